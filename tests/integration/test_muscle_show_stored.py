"""`--muscle-show`: what is stored and what would be made, after runs of all kinds."""

from __future__ import annotations

import re
import sys

from tests.conftest import colour_rows, write_jsonl
from tests.integration.showing import TESTS, add, show


def test_after_a_run_all_is_stored_and_costs_nothing(trained_project):
    trained_project.makepyfile(TESTS)
    result = show(trained_project)
    result.stdout.fnmatch_lines(
        [
            "colours  old adapter     stored: colours-old-*",
            "         old answers     40 examples stored: 20??-??-??*",
            "         compat adapter  stored: colours-compat-*",
            "         compat answers  40 examples stored: *",
            "*= estimate =*",
            "nothing is to be made: a run reads what is stored, and loads no model",
        ]
    )


def test_with_no_train_what_is_missing_is_refused(tiny_project):
    tiny_project.makepyfile(TESTS)
    result = show(tiny_project, "--muscle-no-train")
    result.stdout.fnmatch_lines(
        [
            "--muscle-no-train * true * flag",
            "colours  old adapter * missing, and must not be trained:*",
            "         old answers * 40 examples cannot be asked: needs its*",
        ]
    )


def test_answers_of_a_run_that_was_killed_are_counted(trained_project):
    predictions = trained_project.path / ".muscle_cache/predictions"
    (table,) = predictions.glob("colours-new-*.jsonl")
    name = table.name.removesuffix(".jsonl")
    code = """
        from pathlib import Path
        from pytest_muscle import ModelUpdate, read_settings
        from pytest_muscle.models import scoring
        from pytest_muscle.predictions import journal

        write = journal.Journal.append

        def append(self, batch):
            write(self, batch)
            if batch.slots and self.count() >= 10:
                raise KeyboardInterrupt

        journal.Journal.append = append
        settings = read_settings(Path("muscle.toml"), invocation_dir=Path.cwd())
        try:
            ModelUpdate(settings).predictions("new", "colours")
        except KeyboardInterrupt:
            print("killed")
    """
    add(trained_project, "batch_tokens = 200\n")
    for path in predictions.glob(f"*{name}*"):
        path.unlink()
    program = trained_project.makepyfile(kill=code)
    assert "killed" in trained_project.run(sys.executable, program).stdout.str()
    program.unlink()

    result = show(trained_project)
    line = next(line for line in result.outlines if "new answers" in line)
    done = int(re.search(r"(\d+) of 40 examples kept", line)[1])
    assert 10 <= done < 40
    result.stdout.fnmatch_lines([f"colours  new model answers * {40 - done} *"])


def test_a_baseline_fits_or_it_says_why_not(trained_project):
    trained_project.makepyfile(TESTS)
    recorded = trained_project.runpytest_inprocess("--muscle-update-baseline")
    assert recorded.ret == 0
    show(trained_project).stdout.fnmatch_lines(
        ["*old answers     baseline of 40 examples: 20??-??-??*", "*fits"]
    )
    rows = colour_rows(100, 7)[60:]
    rows[3]["question"] = "Which colour has nothing?"
    write_jsonl(trained_project.path / "data/eval.jsonl", rows)
    result = show(trained_project)
    text = " ".join(" ".join(result.outlines).split())
    assert "not to be had: the baseline does not belong to today's task 'colours'" in text
    assert "1 example asked otherwise" in text


def test_an_adapter_that_is_given_is_not_trained(tiny_project, tiny_models, make_tiny_adapter):
    make_tiny_adapter(tiny_models / "v1", tiny_project.path / "adapter", 1)
    path = tiny_project.path / "muscle.toml"
    path.write_text(path.read_text().replace('v1"', 'v1"\nadapter = "adapter"'))
    result = show(tiny_project)
    result.stdout.fnmatch_lines(["adapter * adapter *–", "colours  old adapter  given: *"])
    result.stdout.no_fnmatch_line("*old task adapter*")


def test_of_a_training_that_was_ended_it_says_where_it_goes_on(trained_project):
    adapters = trained_project.path / ".muscle_cache/adapters"
    (adapter,) = adapters.glob("colours-compat-*")
    work = adapters / ".training" / adapter.name
    for path in sorted(adapter.iterdir()):
        path.unlink()
    adapter.rmdir()
    (work / "checkpoint-6").mkdir(parents=True)
    (work / "old.json").touch()
    (work / "old.states").touch()
    trained_project.makepyfile(TESTS)
    result = show(trained_project)
    result.stdout.fnmatch_lines(
        [
            "         compat adapter  would go on being trained on 60 examples:*",
            "*goes on after step 6",
            "         old teacher     kept",
            "         new teacher     runs over the train set",
            "         compat answers  40 examples would be asked",
            "colours  new model teaches * 48 *",
        ]
    )
    result.stdout.no_fnmatch_line("*old model teaches*")
    result.stdout.fnmatch_lines(["time rests on 1 training measured before"])


def test_only_what_the_old_model_has_right_is_asked_where_no_more_is_needed(trained_project):
    path = trained_project.path / "muscle.toml"
    path.write_text(path.read_text() + 'score = "needed"\n')
    from pytest_muscle.predictions import Predictions

    (table,) = (trained_project.path / ".muscle_cache/predictions").glob("colours-old-*.jsonl")
    right = int(Predictions.load(table).can_flip.sum())
    result = show(trained_project)
    result.stdout.fnmatch_lines([f"*new answers * {right} examples would be asked"])


def test_an_old_model_that_is_gone_is_not_missed_beside_its_baseline(trained_project):
    recorded = trained_project.runpytest_inprocess("--muscle-update-baseline")
    assert recorded.ret == 0
    path = trained_project.path / "muscle.toml"
    path.write_text(path.read_text().replace('/v1"', '/gone"') + "[compat]\n")
    result = show(trained_project)
    result.stdout.fnmatch_lines(
        [
            "old: it is not here any more",
            "colours  old adapter * not to be had: its base model is not*",
            "*old answers     baseline of 40 examples: *",
            "*new answers     40 examples stored: *",
        ]
    )


def test_a_compat_adapter_that_cannot_be_trained_is_not_estimated(tiny_project):
    tiny_project.makepyfile(TESTS)
    path = tiny_project.path / "muscle.toml"
    path.write_text(path.read_text().replace('train = "data/train.jsonl"\n', ""))
    result = show(tiny_project)
    result.stdout.fnmatch_lines(
        [
            "colours  old adapter     none: the task has no train set",
            "         compat adapter  not to be had: the task has no train set",
            "         compat answers  not to be had: needs its adapter",
        ]
    )
    result.stdout.no_fnmatch_line("not in it: *")


def test_models_of_different_vocabularies_have_no_compat_adapter(tiny_project, tiny_tokenizer):
    from transformers import AutoTokenizer

    other = tiny_project.path / "tokenizer"
    tiny_tokenizer.save_pretrained(other)
    larger = AutoTokenizer.from_pretrained(other)
    larger.add_tokens(["<more>"])
    larger.save_pretrained(other)
    tiny_project.makepyfile(TESTS)
    path = tiny_project.path / "muscle.toml"
    path.write_text(path.read_text().replace('v2"', 'v2"\ntokenizer = "tokenizer"'))
    result = show(tiny_project)
    text = " ".join(" ".join(result.outlines).split())
    assert "compat adapter not to be had: the old and the new model have different vocab" in text
