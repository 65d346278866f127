"""The hooks: a small plugin of somebody else's adds names and hears of each run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import scipy.stats  # noqa: F401  (pytester drops what a run inside it imports)

import pytest_muscle.update  # noqa: F401

PLUGIN = """
import json


def pytest_muscle_add_metrics():
    return {"first-option": "acme_muscle.judging:first", "share": "acme_muscle.judging:share"}


def pytest_muscle_add_objectives(config):
    return {"new_everywhere": "acme_muscle.learning:new_everywhere"}


def pytest_muscle_add_importers():
    return {"acme": "acme_muscle.logs:read_log"}


def pytest_muscle_report(report, directory, config):
    with open(config.rootpath / "told.jsonl", "a") as file:
        told = {"report": report, "directory": directory and str(directory)}
        file.write(json.dumps(told) + "\\n")
    return f"acme: {report['verdict']}"
"""

JUDGING = """
def first(loglikelihoods, options):
    assert len(loglikelihoods) == len(options)
    return 0


def share(answer, gold, fields):
    assert gold == fields["options"][fields["label"]]
    return len(answer) / 100
"""

LEARNING = """
from pytest_muscle.training.objectives import TokenLoss, distillation


def new_everywhere(student, gold, teachers, temperature):
    return TokenLoss(distillation(student, teachers.new, temperature))
"""

LOGS = """
from pytest_muscle import Predictions


def read_log(path, *, right="yes"):
    rows = [line.split() for line in path.read_text().splitlines()]
    return Predictions.from_lists(
        [id for id, said in rows], [said == right for id, said in rows], [True] * len(rows)
    )
"""


def write_package(project: pytest.Pytester) -> None:
    """Write the plugin and the metadata by which pytest finds installed ones."""
    project.makepyfile(
        **{
            "acme_muscle/__init__": "",
            "acme_muscle/plugin": PLUGIN,
            "acme_muscle/judging": JUDGING,
            "acme_muscle/learning": LEARNING,
            "acme_muscle/logs": LOGS,
        }
    )
    metadata = project.mkdir("acme_muscle-1.0.dist-info")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-muscle\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[pytest11]\nacme = acme_muscle.plugin\n")


@pytest.fixture
def project(trained_project: pytest.Pytester) -> pytest.Pytester:
    """The tiny project where the plugin is installed."""
    write_package(trained_project)
    trained_project.syspathinsert()
    return trained_project


LOGS_ALONE = """
[old]
predictions = "acme:v1.log"

[new]
predictions = "acme:v2.log?right=ja"

[tasks.read]
kind = "predictions"

[gate]
max_nfr = 0.4
"""


@pytest.fixture
def logs(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project of two logs, without a model, where the plugin is installed."""
    write_package(pytester)
    pytester.syspathinsert()
    pytester.makeini("[pytest]\n")
    (pytester.path / "muscle.toml").write_text(LOGS_ALONE)
    (pytester.path / "v1.log").write_text("a yes\nb yes\nc no\n")
    (pytester.path / "v2.log").write_text("a ja\nb nein\nc ja\n")
    return pytester


def told(project: pytest.Pytester) -> list[dict]:
    lines = (project.path / "told.jsonl").read_text().splitlines()
    return list(map(json.loads, lines))


def configure(project: pytest.Pytester, before: str, after: str) -> None:
    path = project.path / "muscle.toml"
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


WRITTEN = """
[tasks.written]
kind = "generation"
eval = "data/eval.jsonl"
prompt = "Question: {{ question }}\\nAnswer:"
gold = "{{ options[label] }}"
metric = "share"
max_new_tokens = 4

[adapter]"""


@pytest.mark.parametrize(
    "workers", [(), pytest.param(("-n2",), marks=pytest.mark.heavy)], ids=["alone", "-n2"]
)
def test_its_metrics_judge_options_and_texts(project, workers):
    configure(project, 'slices = ["place"]', 'metric = "first-option"')
    configure(project, "\n[adapter]", WRITTEN)
    project.makepyfile(
        """
        import json
        import pathlib
        import pytest

        rows = [json.loads(line) for line in open("data/eval.jsonl")]

        @pytest.mark.muscle(tasks=["colours"])
        def test_options(new_predictions):
            assert [row.answer for row in new_predictions] == [0] * 40
            assert [row.correct for row in new_predictions] == [row["label"] == 0 for row in rows]

        @pytest.mark.muscle(tasks=["written"])
        def test_texts(new_predictions, old_predictions, flip_report):
            assert new_predictions.graded and old_predictions.graded
            for row in new_predictions:
                assert row.score == len(row.text.strip()) / 100
        """
    )
    run = project.runpytest_subprocess if workers else project.runpytest_inprocess
    result = run("-v", *workers)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "muscle: plugins add metric first-option (acme), metric share (acme), objective "
            "new_everywhere (acme), importer acme (acme)",
            "*= model update =*",
            "muscle: acme: passed",
        ]
    )


def test_a_changed_metric_judges_again_and_the_function_s_own_name_finds_the_same(project):
    """One table for each text of the source; by either name."""
    configure(project, 'slices = ["place"]', 'metric = "first-option"')
    project.makepyfile(
        "def test_it(old_predictions): print('ANSWERS', {row.answer for row in old_predictions})"
    )
    kept = project.path / ".muscle_cache" / "predictions"

    def run(*arguments: str) -> tuple[str, int]:
        result = project.runpytest_inprocess("-s", *arguments)
        result.assert_outcomes(passed=1)
        (said,) = [line for line in result.outlines if "ANSWERS" in line]
        return said.partition("ANSWERS ")[2].rstrip("."), len(list(kept.rglob("*.jsonl")))

    answers, tables = run()
    assert answers == "{0}"
    assert run() == ("{0}", tables)
    configure(project, '"first-option"', '"acme_muscle.judging:first"')
    assert run() == ("{0}", tables)
    configure(project, '"acme_muscle.judging:first"', '"first-option"')
    source = project.path / "acme_muscle" / "judging.py"
    source.write_text(source.read_text().replace("return 0", "return len(options) - 1"))
    assert run() == ("{3}", tables + 1)


def test_its_objective_trains_and_a_changed_one_trains_again(project):
    path = project.path / "muscle.toml"
    path.write_text(f'{path.read_text()}\n[compat]\nstrategy = "new_everywhere"\nepochs = 1\n')
    project.makepyfile("def test_it(compat_adapter): print('MADE', compat_adapter.path)")

    def run(*arguments: str) -> str:
        result = project.runpytest_inprocess("-s", *arguments)
        result.assert_outcomes(passed=1)
        (said,) = [line for line in result.outlines if "MADE" in line]
        return said.partition("MADE ")[2].rstrip(".")

    made = run()
    assert json.loads((Path(made) / "muscle.json").read_text())["strategy"] == "new_everywhere"
    assert run("--muscle-no-train") == made
    source = project.path / "acme_muscle" / "learning.py"
    source.write_text(source.read_text() + "\n# changed\n")
    assert run() != made


def test_an_objective_that_fails_is_told_in_words(project):
    path = project.path / "muscle.toml"
    path.write_text(f'{path.read_text()}\n[compat]\nstrategy = "new_everywhere"\n')
    source = project.path / "acme_muscle" / "learning.py"
    source.write_text(source.read_text().replace("teachers.new", "teachers.newer"))
    project.makepyfile("def test_it(compat_adapter): pass")
    result = project.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    said = result.stdout.str()
    assert (
        "TrainingError: muscle.toml: compat.strategy: the training strategy 'new_everywhere' "
        "fails: AttributeError: " in said
    )
    assert "trainer.py" not in said


def test_its_importer_reads_logs(logs):
    """Of a, b and c only b is right in the old log and wrong in the new one."""
    result = logs.runpytest_inprocess("muscle.toml")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*read * 3 *33.33*", "muscle: acme: passed"])


def test_a_test_may_read_a_log_itself(logs):
    logs.makepyfile(
        """
        from pytest_muscle import Predictions

        def test_it():
            assert [row.correct for row in Predictions.load("acme:v1.log")] == [True, True, False]
        """
    )
    logs.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("acmee:v1.log", "*tasks.read.old_predictions: there is no importer 'acmee'*"),
        ("acme:v1.log?rihgt=x", "*acme has no option 'rihgt'*"),
        ("acme:v3.log", "*no such file or directory: *v3.log*"),
    ],
)
def test_a_mistake_in_the_reference_is_said_as_with_our_importers(logs, log, said):
    configure(logs, 'kind = "predictions"', f'kind = "predictions"\nold_predictions = "{log}"')
    result = logs.runpytest_inprocess("muscle.toml")
    result.stdout.fnmatch_lines([said])
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def read_log(path, **options): return path.no_such", "fails: AttributeError: *"),
        ("def read_log(path, right=0): return [1, 2]", "returns list, not Predictions*"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError: *"),
    ],
)
def test_an_importer_that_fails_is_named(logs, source, said):
    (logs.path / "acme_muscle" / "logs.py").write_text(source)
    result = logs.runpytest_inprocess("muscle.toml")
    where = "*the importer 'acme' (acme_muscle.logs:read_log, of plugin 'acme') "
    result.stdout.fnmatch_lines([where + said])


TESTS = """
from pytest_muscle import assert_negative_flip_rate


def test_update(old_predictions, new_predictions):
    assert_negative_flip_rate(old_predictions, new_predictions, max_rate=0.1)


def test_other(old_predictions, new_predictions):
    assert_negative_flip_rate(old_predictions, new_predictions, max_rate=0.5)


def test_plain():
    pass
"""


@pytest.mark.parametrize("workers", [[], ["-n2"], ["-n2", "--dist=each"]], ids=" ".join)
def test_it_is_told_once_what_report_json_says(logs, workers):
    logs.makepyfile(TESTS)
    result = logs.runpytest_subprocess("--muscle-report=out", *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["muscle: report: *out (report.json, *", "muscle: acme: failed"])
    (heard,) = told(logs)
    assert heard["directory"] == str(logs.path / "out")
    assert heard["report"] == json.loads((logs.path / "out" / "report.json").read_text())
    assert [task["n"] for task in heard["report"]["tasks"]] == [3]


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=" ".join)
def test_it_is_told_of_all_flips_where_nobody_asks_for_a_report(logs, workers):
    """More of them than a pull request's comment shows."""
    ids = range(60)
    (logs.path / "v1.log").write_text("".join(f"{id} yes\n" for id in ids))
    (logs.path / "v2.log").write_text("".join(f"{id} nein\n" for id in ids))
    logs.makepyfile(TESTS)
    logs.runpytest_subprocess(*workers)
    (heard,) = told(logs)
    assert heard["directory"] is None
    (task,) = heard["report"]["tasks"]
    assert [flip["id"] for flip in task["flips"]] == [str(id) for id in ids]
    assert task["counts"]["new"]["negative"] == 60


def test_it_is_told_nothing_where_no_task_was_tested(logs):
    logs.makepyfile(TESTS)
    logs.runpytest_inprocess("-k", "plain", "--muscle-report=out").assert_outcomes(
        passed=1, deselected=2
    )
    logs.runpytest_inprocess("--collect-only")
    logs.runpytest_inprocess("--muscle-plan")
    assert not (logs.path / "told.jsonl").exists()


FAILING = """
import pytest
import sys

def pytest_muscle_report(report):
    report.clear()
    {fails}
"""


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("report['verdict']", "fails: KeyError: 'verdict' (conftest.py:6)"),
        ("sys.exit('no token')", "fails: SystemExit: no token (conftest.py:6)"),
        ("pytest.fail('first line\\nsecond')", "fails: Failed: first line (outcomes.py:*)"),
        ("return 3", "returns int, not a line or a list of lines"),
        ("return ['a', 3]", "returns list, not a line or a list of lines"),
    ],
)
def test_one_that_fails_is_named_fails_the_run_and_stops_no_other(logs, fails, said):
    logs.makeconftest(FAILING.format(fails=fails))
    result = logs.runpytest_inprocess("muscle.toml")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "muscle: acme: passed",
            f"muscle: ERROR: pytest_muscle_report of plugin 'conftest.py' {said}",
        ]
    )
    assert told(logs)[0]["report"]["verdict"] == "passed"


def test_it_says_several_lines_or_none(logs):
    logs.makeconftest(
        "def pytest_muscle_report(report):\n    return ['one', f\"{len(report['tasks'])}\\nthree\"]"
    )
    (logs.path / "acme_muscle" / "plugin.py").write_text(
        PLUGIN.replace("return f\"acme: {report['verdict']}\"", "")
    )
    result = logs.runpytest_inprocess("muscle.toml")
    assert result.ret == 0
    said = [line for line in result.outlines if line.startswith("muscle: ")][-3:]
    assert said == ["muscle: one", "muscle: 1", "muscle: three"]
