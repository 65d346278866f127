"""--muscle-report and [report]: files of a run, from one process or from workers."""

from __future__ import annotations

import json
import signal
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from pytest_muscle import ModelUpdate, read_settings

HEAVY = pytest.mark.heavy
"""For what would take a minute of two cores to import torch many times."""

TESTS = """
    from pytest_muscle import assert_negative_flip_rate

    def test_update(old_predictions, new_predictions):
        assert_negative_flip_rate(old_predictions, new_predictions, max_rate=0.0)

    def test_compat(old_predictions, compat_predictions):
        assert_negative_flip_rate(old_predictions, compat_predictions, max_rate=1.0)
"""


@pytest.fixture
def project(trained_project: pytest.Pytester) -> pytest.Pytester:
    trained_project.makepyfile(test_flips=TESTS)
    return trained_project


def answers(project: pytest.Pytester) -> dict[str, dict[str, tuple[str, bool]]]:
    """What each model answered, in words, and whether that is right, by id: row by row."""
    settings = read_settings(project.path / "muscle.toml", invocation_dir=project.path)
    update = ModelUpdate(settings)
    examples = update.task("colours").eval_by_id
    return {
        side: {
            row.id: (examples[row.id].options[row.answer], row.answer == examples[row.id].gold)
            for row in update.predictions(side, "colours")
        }
        for side in ("old", "new", "compat")
    }


def report_of(directory: Path) -> dict:
    return json.loads((directory / "report.json").read_text(encoding="utf-8"))


def configure(project: pytest.Pytester, table: str) -> None:
    path = project.path / "muscle.toml"
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{table}\n", encoding="utf-8")


@pytest.mark.parametrize(
    "workers", [[], ["-n2"], pytest.param(["-n2", "--dist=load"], marks=HEAVY)], ids=" ".join
)
def test_every_flip_is_written(project, workers):
    result = project.runpytest_subprocess("--muscle-report", "out/report", *workers)

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["muscle: report: *out/report (report.json, report.md, *"])
    report = report_of(project.path / "out" / "report")
    (task,) = report["tasks"]
    assert (report["version"], report["verdict"], report["exit_status"]) == (1, "failed", 1)
    assert (task["name"], task["n"], task["tests"], task["passed"]) == ("colours", 40, 2, False)
    (failed,) = task["failed"]
    assert failed["nodeid"] == "test_flips.py::test_update[colours]"
    assert failed["message"].startswith("task 'colours': negative flip rate is ")
    assert (failed["file"], failed["line"]) == ("test_flips.py", 3)

    said = answers(project)
    flipped = {flip["id"]: flip for flip in task["flips"]}
    for side in ("new", "compat"):
        counts = {"both_right": 0, "negative": 0, "positive": 0, "both_wrong": 0}
        for id_, (old, was_right) in said["old"].items():
            answer, is_right = said[side][id_]
            names = {(True, True): "both_right", (True, False): "negative"}
            names |= {(False, True): "positive", (False, False): "both_wrong"}
            change = names[was_right, is_right]
            counts[change] += 1
            if change in ("negative", "positive"):
                assert flipped[id_][f"to_{side}"] == change
                assert (flipped[id_]["old"], flipped[id_][side]) == (old, answer)
                assert flipped[id_]["question"].startswith("Question: ")
            else:
                assert f"to_{side}" not in flipped.get(id_, {})
        assert task["counts"][side] == {**counts, "unasked": 0}
    assert task["models"].keys() == {"old", "new", "compat"}
    assert [flip["position"] for flip in task["flips"]] == sorted(
        flip["position"] for flip in task["flips"]
    )
    assert task["counts"]["new"]["negative"] > 0
    assert {path.name for path in (project.path / "out" / "report").iterdir()} == {
        "report.json",
        "report.md",
        "report.html",
        "metrics.txt",
    }


def test_nothing_is_written_by_default(project):
    before = {path.name for path in project.path.iterdir()}
    project.runpytest_inprocess("-p", "no:cacheprovider")
    written = {path.name for path in project.path.iterdir()} - before
    assert written <= {"__pycache__"}


def test_the_table_names_a_folder_of_the_project_and_the_flag_goes_before_it(project):
    configure(project, '[report]\ndir = "reports/latest"\nhistory = "reports/runs.jsonl"')
    project.runpytest_inprocess()
    assert report_of(project.path / "reports" / "latest")["settings"] == "muscle.toml"
    elsewhere = project.path / "elsewhere"
    elsewhere.mkdir()
    (project.path / "reports" / "latest" / "report.json").unlink()
    project.runpytest_inprocess(f"--muscle-report={elsewhere}")
    assert report_of(elsewhere)["verdict"] == "failed"
    assert not (project.path / "reports" / "latest" / "report.json").exists()
    lines = (project.path / "reports" / "runs.jsonl").read_text().splitlines()
    assert [json.loads(line)["tasks"][0]["failed"] for line in lines] == [1, 1]


@pytest.mark.parametrize("key", ["dir", "history"])
def test_the_table_names_nothing_outside_the_project(project, key):
    configure(project, f'[report]\n{key} = "../outside"')
    result = project.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: muscle.toml: report.{key}: *outside the project*"])


def test_a_link_leads_nothing_out_of_the_project(project, tmp_path_factory):
    (project.path / "linked").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    configure(project, '[report]\ndir = "linked/report"')
    result = project.runpytest_inprocess()
    result.stderr.fnmatch_lines(["ERROR: muscle.toml: report.dir: *outside the project*"])


def test_a_run_that_tests_no_task_leaves_the_configured_folder_alone(project):
    configure(project, '[report]\ndir = "report"\nhistory = "runs.jsonl"')
    project.makepyfile(test_plain="def test_plain(): pass")
    assert project.runpytest_inprocess("test_plain.py").ret == 0
    assert not (project.path / "report").exists()
    assert not (project.path / "runs.jsonl").exists()
    project.runpytest_inprocess("test_plain.py", "--muscle-report=asked")
    assert report_of(project.path / "asked")["tasks"] == []


def test_a_task_whose_models_are_missing_is_in_the_report(project):
    path = project.path / "muscle.toml"
    path.write_text(path.read_text().replace("rank = 8", "rank = 4"))
    result = project.runpytest_inprocess("--muscle-report=report", "--muscle-no-train")
    result.assert_outcomes(errors=2)
    (task,) = report_of(project.path / "report")["tasks"]
    assert (task["tests"], task["passed"], task["flips"]) == (2, False, [])
    assert "TrainingError" in task["failed"][0]["message"]


def test_a_report_is_written_after_x(project):
    result = project.runpytest_inprocess("-x", "--muscle-report=report")
    result.assert_outcomes(failed=1)
    (task,) = report_of(project.path / "report")["tasks"]
    assert (task["tests"], task["counts"].keys()) == (1, {"new"})


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is POSIX's")
@pytest.mark.parametrize("workers", [[], pytest.param(["-n1"], marks=HEAVY)], ids=" ".join)
def test_a_report_is_written_after_an_interruption(project, workers):
    project.makepyfile(
        test_stop=f"""
        import os, signal, time

        def test_stop():
            parent = os.getppid() if {bool(workers)} else os.getpid()
            os.kill(parent, signal.{signal.SIGINT.name})
            time.sleep(10)
        """
    )
    result = project.runpytest_subprocess("--muscle-report=report", *workers)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    report = report_of(project.path / "report")
    assert report["interrupted"]
    assert report["verdict"] != "passed"
    assert report["tasks"][0]["counts"].keys() == {"new", "compat"}
    assert "interrupted" in (project.path / "report" / "report.md").read_text(encoding="utf-8")


def test_a_run_that_was_stopped_before_its_tests_has_not_passed(project):
    project.makepyfile(
        test_flips="""
        import os, signal, time

        def test_new(new_predictions, old_predictions): pass

        def test_stop(muscle_task):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        """
    )
    project.runpytest_subprocess("--muscle-report=report", "--muscle-limit=5", "-k", "test_stop")
    report = report_of(project.path / "report")
    assert (report["verdict"], report["limit"]) == ("none", 5)
    project.runpytest_subprocess("--muscle-report=report", "--muscle-limit=5")
    assert report_of(project.path / "report")["verdict"] == "none"
    text = (project.path / "report" / "report.md").read_text(encoding="utf-8")
    assert "**The model update was not judged**: 1 test passed by then." in text
    assert "Only the first 5 examples of each task." in text


def test_no_report_of_what_was_not_run(project):
    project.runpytest_inprocess("--collect-only", "--muscle-report=report")
    project.runpytest_inprocess("--muscle-plan", "--muscle-report=report")
    assert not (project.path / "report").exists()


def test_a_folder_that_cannot_be_is_refused_before_the_run(project):
    (project.path / "taken").write_text("")
    result = project.runpytest_inprocess("--muscle-report=taken")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --muscle-report: *taken is not a directory"])
    result = project.runpytest_inprocess("--muscle-history=data")
    result.stderr.fnmatch_lines(["ERROR: --muscle-history: *data is a directory"])
    result = project.runpytest_inprocess("--muscle-report=")
    result.stderr.fnmatch_lines(["ERROR: --muscle-report: is empty", "*name a directory"])


def test_a_report_that_cannot_be_written_fails_the_run(project):
    project.makepyfile(
        test_flips="""
        from pathlib import Path

        def test_update(old_predictions, new_predictions):
            Path("report").write_text("in the way")
        """
    )
    result = project.runpytest_inprocess("--muscle-report=report", "--muscle-history=runs.jsonl")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["muscle: ERROR: the report cannot be written: *"])
    assert len((project.path / "runs.jsonl").read_text().splitlines()) == 1


def test_a_report_needs_an_update(pytester):
    pytester.makepyfile("def test_plain(): pass")
    result = pytester.runpytest_inprocess("--muscle-report=report")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *no model update is configured"])


@pytest.mark.parametrize("workers", [[], pytest.param(["-n2"], marks=HEAVY)], ids=" ".join)
def test_github_actions_gets_a_summary_and_errors(project, monkeypatch, workers):
    summary = project.path / "summary.md"
    summary.write_text("from a step before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path.parent))
    monkeypatch.setenv("GITHUB_SHA", "c0ffee")
    result = project.runpytest_subprocess("--muscle-history=runs.jsonl", *workers)
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("from a step before\n## Model update\n\n❌ ")
    assert text.count("## Model update") == 1
    rows = [line for line in text.splitlines() if line.startswith("| `") and "Question" in line]
    assert 0 < len(rows) <= 10
    folder = project.path.name
    (line,) = [line for line in result.outlines if line.startswith("::")]
    assert line.startswith(
        f"::error file={folder}/test_flips.py,line=3,title=pytest-muscle%3A colours::"
        "task 'colours': negative flip rate is "
    )
    assert "%25" in line
    assert json.loads((project.path / "runs.jsonl").read_text())["commit"] == "c0ffee"


def test_outside_github_actions_there_are_no_errors_for_it(project):
    result = project.runpytest_inprocess()
    result.stdout.no_fnmatch_line("::*")


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=" ".join)
def test_junit_files_have_the_figures(project, workers):
    project.makepyfile(test_plain="def test_plain(): pass")
    project.runpytest_subprocess("--junitxml=junit.xml", *workers)
    cases = {
        case.get("name"): {
            given.get("name"): given.get("value") for given in case.findall("properties/property")
        }
        for case in ET.parse(project.path / "junit.xml").iter("testcase")
    }
    said = answers(project)
    flips = sum(said["old"][id_][1] and not said["new"][id_][1] for id_ in said["old"])
    update = cases["test_update[colours]"]
    assert update["muscle.task"] == "colours"
    assert (update["muscle.n"], update["muscle.negative_flips"]) == ("40", str(flips))
    assert float(update["muscle.nfr"]) == flips / 40
    assert float(update["muscle.nfr_low"]) < flips / 40 < float(update["muscle.nfr_high"])
    for side in ("old", "new"):
        right = sum(is_right for _, is_right in said[side].values())
        assert float(update[f"muscle.accuracy_{side}"]) == right / 40
    assert "muscle.compat_nfr" in cases["test_compat[colours]"]
    assert cases["test_plain"] == {}
