"""`--muscle-show`: configuration, models, prompts and an estimate; nothing is run or written."""

from __future__ import annotations

import re

import pytest

from tests.conftest import colour_rows
from tests.integration.showing import TESTS, add, show


def test_of_a_fresh_project_it_shows_what_would_be_made(tiny_project):
    tiny_project.makepyfile(TESTS)
    result = show(tiny_project)

    result.stdout.fnmatch_lines(
        [
            "*= configuration =*",
            str(tiny_project.path / "muscle.toml"),
            "key * value * from",
            'old.model *v1"  file',
            "adapter.rank * 8 *  file",
            "*= models =*",
            "architecture * LlamaForCausalLM * LlamaForCausalLM",
            "on disk * F32 * F32",
            "runs in * float32 on cpu * float32 on cpu",
            "*= tasks =*",
            "colours",
            "  kind * multiple_choice, metric acc",
            "  evaluation   40 examples, data/eval.jsonl",
            "  training     60 examples, data/train.jsonl",
            "  answers      4 options; option *",
            "  slices       place",
            "  gate         no limit",
            "  first prompt, id q7-60, * tokens:",
            "  │ Question: Which colour has the * of the *",
            "  │ Answer:",
            "  options, each appended to it:",
            "    ' *'",
            "*= stored, and to be made =*",
            "colours  old adapter     would be trained on 60 examples",
            "         old answers     40 examples would be asked",
            "         compat adapter  would be trained on 60 examples",
            "         old teacher     runs over the train set",
            "         compat answers  40 examples would be asked",
            "*= estimate =*",
            "colours  old task adapter * 96 * under 5 s",
            "time: under *",
            "memory: about *",
            "*= no tests ran in *",
        ]
    )
    gold = next(row for row in colour_rows(100, 7)[60:])
    result.stdout.fnmatch_lines([f"    ' {gold['options'][gold['label']]}'  ← gold"])
    result.stdout.no_fnmatch_line("run.cache*")
    start = next(n for n, line in enumerate(result.outlines) if "= configuration =" in line)
    assert [line for line in result.outlines[start + 2 :] if len(line) > 80] == []


def test_a_project_without_tests_shows_no_compat_model_that_nobody_asks_for(tiny_project):
    result = show(tiny_project)
    result.stdout.fnmatch_lines(["colours: a compat adapter is trained only where a test asks*"])
    result.stdout.no_fnmatch_line("*compat answers*")
    add(tiny_project, "[compat]\nepochs = 1\n")
    show(tiny_project).stdout.fnmatch_lines(["*compat answers*"])


def test_flags_stand_beside_what_they_set(tiny_project):
    result = show(tiny_project, "--muscle-limit=7", "--muscle-cache=elsewhere")
    result.stdout.fnmatch_lines(
        [
            "run.cache * --muscle-cache",
            "--muscle-limit * 7 * flag",
            "  evaluation   7 examples, *",
        ]
    )


def test_with_v_it_shows_all_keys_and_quietly_only_what_would_be_made(tiny_project):
    verbose = show(tiny_project, "-v")
    verbose.stdout.fnmatch_lines(
        ["run.batch_tokens *auto*  default", "tasks.colours.gate.confidence * – * default"]
    )
    quiet = show(tiny_project, "-q")
    quiet.stdout.no_fnmatch_line("*= tasks =*")
    quiet.stdout.fnmatch_lines(
        ["*= stored, and to be made =*", "colours * old adapter*", "*= estimate =*", "time: *"]
    )
    assert len(quiet.outlines) < 20 < len(verbose.outlines)


def test_only_the_controller_of_xdist_shows(tiny_project):
    tiny_project.makepyfile(TESTS)
    result = show(tiny_project, "-n2")
    assert result.stdout.str().count("= estimate =") == 1


def test_with_plan_both_are_printed(tiny_project):
    result = show(tiny_project, "--muscle-plan")
    result.stdout.fnmatch_lines(["*= configuration =*", "*= estimate =*", "*= plan =*"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("/v2", "/v3"), "*muscle.toml: new.model: no such file or directory: *"),
        (("slices =", "slicse ="), "*muscle.toml: tasks.colours.slicse: unknown key*"),
    ],
)
def test_a_mistake_is_one_clear_paragraph(tiny_project, change, said):
    path = tiny_project.path / "muscle.toml"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    result = tiny_project.runpytest_inprocess("--muscle-show")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_what_is_wrong_with_one_task_hides_nothing_of_the_others(tiny_project):
    path = tiny_project.path / "muscle.toml"
    text = path.read_text()
    task = text[text.index("[tasks.colours]") : text.index("[adapter]")]
    broken = task.replace("tasks.colours", "tasks.broken").replace("{{ label }}", "{{ lable }}")
    path.write_text(f"{text}\n{broken}")
    result = tiny_project.runpytest_inprocess("--muscle-show")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*= models =*",
            "colours",
            "  │ Question: *",
            "broken",
            "  not usable: see the errors below",
            "colours  old adapter*",
            "time: *",
            "*= errors =*",
            "ERROR: *no column 'lable', which muscle.toml:",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_without_a_configuration_it_says_so(pytester):
    result = pytester.runpytest_inprocess("--muscle-show")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no model update is configured*"])


def test_a_model_of_the_hub_that_is_not_here_is_not_at_hand(tiny_project):
    path = tiny_project.path / "muscle.toml"
    text = path.read_text()
    model = re.search(r'\[new\]\nmodel = "(.*)"', text)[1]
    commit = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"
    path.write_text(text.replace(f'"{model}"', f'"org/name"\nrevision = "{commit}"'))
    result = show(tiny_project)
    result.stdout.fnmatch_lines(
        [
            "kind * directory * hub",
            "new: its weights are not at hand",
            "colours  new task adapter * not known",
            "time: *",
            "not in it: *",
        ]
    )


def test_without_the_device_it_shows_what_it_can(tiny_project, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    path = tiny_project.path / "muscle.toml"
    path.write_text(path.read_text().replace('device = "cpu"', 'device = "cuda"'))
    result = show(tiny_project)
    result.stdout.fnmatch_lines(
        [
            "architecture * LlamaForCausalLM *",
            "old: device 'cuda' is not there",
            "  first prompt, *",
            "time: not known",
            "not in it: old task adapter, old model answers, *",
            "  answers: device 'cuda' is not there",
        ]
    )


def test_weights_that_are_damaged_are_said_to_be(tiny_project, tiny_models):
    import shutil

    shutil.copytree(tiny_models / "v2", tiny_project.path / "bad")
    (tiny_project.path / "bad/model.safetensors").write_bytes(b"junk")
    path = tiny_project.path / "muscle.toml"
    path.write_text(path.read_text().replace(f"{tiny_models}/v2", "bad"))
    result = show(tiny_project)
    text = " ".join(" ".join(result.outlines).split())
    assert "new: its weights cannot be read: ValueError: model.safetensors is no" in text
    result.stdout.fnmatch_lines(
        ["colours  old task adapter * 96 *", "*new task adapter * not known"]
    )


def test_of_logs_that_are_read_there_is_no_prompt(pytester):
    for side in ("old", "new"):
        rows = ["id,answer,gold", *(f"{i},{'ab'[i % 2]},a" for i in range(5))]
        (pytester.path / f"{side}.csv").write_text("\n".join(rows))
    (pytester.path / "muscle.toml").write_text(
        '[old]\npredictions = "csv:old.csv"\n[new]\npredictions = "csv:new.csv"\n'
        '[tasks.read]\nkind = "predictions"\n'
    )
    result = show(pytester)
    result.stdout.fnmatch_lines(
        [
            "no model is configured: answers are read",
            "  kind         predictions: nothing is asked",
            "  read from    csv:old.csv, csv:new.csv",
            "read    old answers  5 examples, read from a log",
            "nothing is to be made: *",
        ]
    )


def test_no_weights_are_loaded_and_no_adapter_is_trained(tiny_project, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr("pytest_muscle.models.language_model.load_network", fail)
    monkeypatch.setattr("pytest_muscle.training.fitting.fit_adapter", fail)
    tiny_project.makepyfile(TESTS)
    show(tiny_project)


def test_a_chat_is_shown_as_the_template_writes_it(tiny_project, tiny_tokenizer):
    (tiny_project.path / "tokenizer").mkdir()
    tiny_tokenizer.save_pretrained(tiny_project.path / "tokenizer")
    template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant] "
    (tiny_project.path / "tokenizer/chat_template.jinja").write_text(template)
    path = tiny_project.path / "muscle.toml"
    path.write_text(path.read_text().replace('v2"', 'v2"\ntokenizer = "tokenizer"'))
    add(
        tiny_project,
        '[tasks.chat]\nkind = "generation"\neval = "data/eval.jsonl"\nchat = true\n'
        'prompt = "{{ question }}\\t?"\ngold = "{{ options[label] }}"\nmax_new_tokens = 9\n',
    )
    result = show(tiny_project)
    result.stdout.fnmatch_lines(
        [
            "tokenizer * – * */tokenizer",
            "chat",
            "  kind * generation, metric exact_match",
            "  writing      at most 9 tokens, greedy",
            "  │ [[]user] Which colour has the * of the *[?]→[?]",
            "  │ [[]assistant]·",
            "  right answers:",
            "chat     old adapter  none: the task has no train set",
        ]
    )
    # The old model has the tokenizer of its own, without a template.
    result.stdout.fnmatch_lines(
        [
            "chat * old model answers * 40 * not known",
            "chat * new model answers * 40 * under 5 s",
            "not in it: old model answers: the tokenizer has no chat template*",
        ]
    )


def test_a_gate_that_can_never_pass_is_said_of_the_task(trained_project):
    add(trained_project, "[gate]\nmax_nfr = 0.01\nconfidence = 0.95\n")
    result = show(trained_project)
    text = " ".join(" ".join(result.outlines).split())
    assert "gate NFR at most 1.00 %; at 95 % confidence" in text
    assert "it can NEVER PASS: 40 examples can never show an NFR of at most 1.00 %" in text
