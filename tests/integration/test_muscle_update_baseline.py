"""`--muscle-update-baseline`: record, compare without the old model, accept after a release."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import write_jsonl

TESTS = """
    from pytest_muscle import assert_negative_flip_rate

    def test_update(old_predictions, new_predictions):
        report = assert_negative_flip_rate(old_predictions, new_predictions, max_rate=0.99)
        print("COMPARED", report.n, report.negative_flips)
"""


def read_jsonl(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def recorded(trained_project: pytest.Pytester) -> pytest.Pytester:
    """The tiny project with a baseline of the old model."""
    trained_project.makepyfile(TESTS)
    result = trained_project.runpytest_subprocess("--muscle-update-baseline")
    assert result.ret == 0
    return trained_project


def forget_the_old_model(project: pytest.Pytester) -> None:
    """Leave what a CI machine has: the new model, the data, the baseline."""
    path = project.path / "muscle.toml"
    text = path.read_text(encoding="utf-8")
    start, end = text.index("[old]"), text.index("[new]")
    path.write_text(text[:start] + text[end:], encoding="utf-8")


def baseline(project: pytest.Pytester) -> Path:
    return project.path / "muscle_baselines/colours.jsonl"


def test_it_records_all_tasks_and_runs_no_test(recorded):
    result = recorded.runpytest_subprocess("--muscle-update-baseline")

    result.stdout.fnmatch_lines(["*= baselines =*", "colours: 40 examples, accuracy *"])
    result.stdout.no_fnmatch_line("*1 passed*")
    manifest = json.loads(Path(f"{baseline(recorded)}.manifest.json").read_text())
    assert manifest["n"] == 40
    facts = manifest["facts"]
    for name in ("task_digest", "data_digest", "made_of", "date", "dtype", "pytest_muscle"):
        assert facts[name]
    assert {"model", "libraries", "dtype", "device"} <= facts["made_of"].keys()
    assert str(recorded.path) not in json.dumps(manifest)


def test_recorded_again_it_is_the_same_file(recorded):
    before = baseline(recorded).read_bytes()

    result = recorded.runpytest_subprocess("--muscle-update-baseline", "-p", "no:cacheprovider")

    assert result.ret == 0
    assert baseline(recorded).read_bytes() == before
    result.stdout.fnmatch_lines(["*since then no answer of 40 became right or wrong"])


def test_lines_are_in_the_order_of_ids_whatever_the_data_s_is(recorded):
    ids = [row["id"] for row in read_jsonl(baseline(recorded))]
    before = baseline(recorded).read_bytes()
    data = recorded.path / "data/eval.jsonl"
    write_jsonl(data, read_jsonl(data)[::-1])

    result = recorded.runpytest_subprocess("--muscle-update-baseline")

    assert ids == sorted(ids)
    assert result.ret == 0
    assert baseline(recorded).read_bytes() == before


def test_the_old_model_is_not_needed_any_more(recorded):
    with_model = recorded.runpytest_subprocess("-s").stdout.str()
    forget_the_old_model(recorded)

    result = recorded.runpytest_subprocess("-s")

    result.assert_outcomes(passed=1)
    (compared,) = [line for line in result.outlines if "COMPARED" in line]
    assert compared in with_model
    assert "COMPARED 40" in compared


def test_an_old_model_that_is_gone_may_still_be_named(recorded):
    path = recorded.path / "muscle.toml"
    text = path.read_text()
    path.write_text(re.sub(r'model = ".*/v1"', 'model = "./models/gone"', text))
    assert "./models/gone" in path.read_text()

    recorded.runpytest_subprocess().assert_outcomes(passed=1)
    baseline(recorded).unlink()
    result = recorded.runpytest_subprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*old.model: no such file or directory*models/gone"])


def test_answers_computed_otherwise_get_a_warning(recorded):
    path = recorded.path / "muscle.toml"
    path.write_text(path.read_text().replace('"float32"', '"bfloat16"'))

    result = recorded.runpytest_subprocess("-p", "no:cacheprovider")

    result.stdout.fnmatch_lines(
        ["*BaselineWarning: *were computed in float32 on cpu, today's in bfloat16 on cpu*"]
    )


def test_one_process_records_where_there_are_several(recorded):
    baseline(recorded).unlink()

    result = recorded.runpytest_subprocess("--muscle-update-baseline", "-n", "2")

    assert result.ret == 0
    assert baseline(recorded).is_file()
    assert sum(line.startswith("colours: 40 examples") for line in result.outlines) == 1


def test_data_in_another_order_are_the_same_questions(recorded):
    forget_the_old_model(recorded)
    data = recorded.path / "data/eval.jsonl"
    write_jsonl(data, read_jsonl(data)[::-1])

    recorded.runpytest_subprocess().assert_outcomes(passed=1)


def test_without_baseline_and_old_model_it_says_how_to_record_one(trained_project):
    trained_project.makepyfile(TESTS)
    forget_the_old_model(trained_project)

    result = trained_project.runpytest_subprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*there is neither a baseline of task 'colours' nor an old model",
            "*muscle_baselines/colours.jsonl*pytest --muscle-update-baseline*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def change_data(project: pytest.Pytester) -> list[str]:
    """Change one question, take one out, add one; return their ids."""
    data = project.path / "data/eval.jsonl"
    rows = read_jsonl(data)
    rows[0]["question"] = rows[0]["question"].replace("Which", "What")
    gone = rows.pop(1)
    fresh = {**rows[5], "id": "brand-new"}
    write_jsonl(data, [*rows, fresh])
    return [rows[0]["id"], gone["id"], fresh["id"]]


def test_other_data_stop_the_run_with_a_list(recorded):
    changed, gone, fresh = change_data(recorded)

    result = recorded.runpytest_subprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*muscle_baselines/colours.jsonl: the baseline does not belong to today's task *",
            "*1 example asked otherwise:",
            f"*'{changed}' prompt: *Which*What*",
            f"*1 example no longer in the data: '{gone}'",
            f"*1 example not in the baseline: '{fresh}'",
            "*--muscle-update-baseline*--muscle-accept-changes*",
        ]
    )


@pytest.mark.parametrize("score", ["all", "needed"])
def test_changes_that_are_accepted_leave_examples_out_and_say_so(recorded, score):
    ids = change_data(recorded)
    forget_the_old_model(recorded)
    path = recorded.path / "muscle.toml"
    path.write_text(path.read_text().replace("[run]", f'[run]\nscore = "{score}"'))

    result = recorded.runpytest_subprocess("-s", "--muscle-accept-changes")

    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*COMPARED 38 *", "*only 38 examples are compared*"])
    (compared,) = [line for line in result.outlines if "COMPARED" in line]
    assert not any(id_ in compared for id_ in ids)


WITH_MARKS = """
[old]
model = "{models}/v1"

[new]
model = "{models}/v2"

[tasks.marked]
kind = "generation"
eval = "data/eval.jsonl"
prompt = "Question: {{{{ question }}}}"
gold = "{{{{ options[label] }}}}"
metric = "letters_of:odd"
max_new_tokens = 2

[gate]
max_nfr = 1

[run]
device = "cpu"
dtype = "float32"
score = "needed"
"""


def test_accepted_changes_are_left_out_where_every_other_mark_can_fall(tiny_project, tiny_models):
    """By a metric of the user's own all is needed: all that the baseline has, not all data."""
    (tiny_project.path / "muscle.toml").write_text(WITH_MARKS.format(models=tiny_models))
    tiny_project.makepyfile(letters_of="def odd(answer, gold, fields): return len(answer) % 3 - 1")
    tiny_project.syspathinsert()
    assert tiny_project.runpytest_inprocess("--muscle-update-baseline").ret == 0
    data = tiny_project.path / "data" / "eval.jsonl"
    data.write_text(data.read_text().replace("Which", "What", 1))

    result = tiny_project.runpytest_inprocess("muscle.toml", "--muscle-accept-changes")

    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*only 39 examples are compared*", "marked  39 *"])


def test_a_limit_is_no_change(recorded):
    result = recorded.runpytest_subprocess("-s", "--muscle-limit=7")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*COMPARED 7 *"])


def test_another_metric_cannot_be_accepted(recorded):
    path = recorded.path / "muscle.toml"
    path.write_text(path.read_text().replace("gold = ", 'metric = "acc_norm"\ngold = '))

    result = recorded.runpytest_subprocess("--muscle-accept-changes")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*metric: 'acc' when it was recorded, 'acc_norm' now"])
    result.stdout.no_fnmatch_line("*--muscle-accept-changes")


def test_another_old_model_is_not_the_one_of_the_baseline(recorded):
    path = recorded.path / "muscle.toml"
    text = path.read_text()
    path.write_text(text.replace('/v1"', '/v2"'))
    assert path.read_text() != text

    result = recorded.runpytest_subprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*was recorded from another model (*/v1 + *"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: [*lines[:-1], lines[-1][:40]], "*colours.jsonl:40: is not a prediction*"),
        (
            lambda lines: [lines[0].replace('"correct": ', '"correct":  '), *lines[1:]],
            "*colours.jsonl:1: the line of example * is not the one that was written",
        ),
        (lambda lines: lines[:-1], "*colours.jsonl: has 39 rows where its manifest counts 40"),
    ],
)
def test_a_damaged_baseline_is_found_and_named(recorded, damage, message):
    lines = baseline(recorded).read_text().splitlines(keepends=True)
    baseline(recorded).write_text("".join(damage(lines)))

    result = recorded.runpytest_subprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message, "*version control*--muscle-update-baseline*"])


def test_a_baseline_of_a_newer_version_is_refused(recorded):
    path = Path(f"{baseline(recorded)}.manifest.json")
    path.write_text(path.read_text().replace('"format": 3', '"format": 4'))

    result = recorded.runpytest_subprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*has format 4; this version reads up to 3", "*update pytest-*"])


def test_the_new_model_s_answers_are_accepted_after_a_release(recorded):
    before = {row["id"]: row["correct"] for row in read_jsonl(baseline(recorded))}

    result = recorded.runpytest_subprocess("--muscle-update-baseline=new")

    assert result.ret == 0
    after = {row["id"]: row["correct"] for row in read_jsonl(baseline(recorded))}
    wrong = sum(before[id_] and not after[id_] for id_ in before)
    right = sum(after[id_] and not before[id_] for id_ in before)
    result.stdout.fnmatch_lines([f"*since then {wrong} of 40 became wrong and {right} right"])
    assert wrong + right > 0


def test_limits_and_typing_mistakes_are_refused(recorded):
    for arguments, message in (
        (["--muscle-update-baseline", "--muscle-limit=3"], "*a baseline holds all examples*"),
        (["--muscle-update-baseline=neu"], "*must be old, new or compat, not 'neu'*"),
    ):
        result = recorded.runpytest_subprocess(*arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([message])


def test_baselines_stay_inside_the_project(recorded):
    path = recorded.path / "muscle.toml"
    path.write_text(path.read_text().replace("[run]", '[run]\nbaselines = "../elsewhere"'))

    result = recorded.runpytest_subprocess("--muscle-update-baseline")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*run.baselines: *elsewhere is outside the project*"])
    assert not (recorded.path.parent / "elsewhere").exists()


def test_another_adapter_of_the_old_model_is_another_model(
    recorded, tiny_models, make_tiny_adapter
):
    """One that was trained there and is given here is the same."""
    (trained,) = recorded.path.glob(".muscle_cache/adapters/colours-old-*")
    make_tiny_adapter(tiny_models / "v1", recorded.path / "another", 5)
    path = recorded.path / "muscle.toml"
    text = path.read_text()

    def run_with(adapter: Path) -> pytest.RunResult:
        path.write_text(text.replace('/v1"\n', f'/v1"\nadapter = "{adapter}"\n'))
        return recorded.runpytest_subprocess()

    run_with(trained).assert_outcomes(passed=1)
    result = run_with(recorded.path / "another")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*was recorded from another model (*/v1 + colours-old-*"])
