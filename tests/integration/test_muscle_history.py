"""--muscle-history and [report] history: a line per run, and the trend in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_muscle.training.store import FACTS

TESTS = """
    from pytest_muscle import assert_negative_flip_rate

    def test_update(old_predictions, new_predictions):
        assert_negative_flip_rate(old_predictions, new_predictions, max_rate=1.0)

    def test_compat(old_predictions, compat_predictions):
        assert_negative_flip_rate(old_predictions, compat_predictions, max_rate=1.0)
"""


@pytest.fixture
def project(trained_project: pytest.Pytester) -> pytest.Pytester:
    trained_project.makepyfile(test_flips=TESTS)
    path = trained_project.path / "muscle.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\n[gate]\nmax_nfr = 0.25\nconfidence = 0.9\n", encoding="utf-8")
    return trained_project


def run(project: pytest.Pytester, *more: str) -> tuple[pytest.RunResult, dict, str]:
    result = project.runpytest_subprocess(
        "--muscle-report=out", "--muscle-history=runs.jsonl", *more
    )
    out = project.path / "out"
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return result, report, (out / "report.html").read_text(encoding="utf-8")


def lines_of(project: pytest.Pytester) -> list[str]:
    return (project.path / "runs.jsonl").read_text(encoding="utf-8").splitlines()


def test_the_second_run_shows_the_first(project, monkeypatch):
    monkeypatch.setenv("GITHUB_SHA", "c0ffee1" + "0" * 33)
    result, report, page = run(project)
    result.assert_outcomes(passed=2)
    assert report["history"] == []
    assert "Trend over" not in page
    result, report, page = run(project)
    (past,) = report["history"]
    (task,), first = report["tasks"], past["tasks"]["colours"]
    assert past["commit"] == "c0ffee1" + "0" * 33
    for name in ("nfr", "nfr_interval", "compat_nfr", "old_accuracy", "compat_accuracy"):
        assert first[name] == task[name] is not None
    assert "Trend over 2 runs" in page
    lines = list(map(json.loads, lines_of(project)))
    assert len(lines) == 2
    assert not any({"history", "training"} & {*line, *line["tasks"][0]} for line in lines)
    assert task["limit"] == {"max_nfr": 0.25, "floor_margin": None, "confidence": 0.9}
    assert "limit 25.00 %, which the upper 90 % bound must keep" in page


def test_lines_that_are_none_of_ours_are_left_out_with_a_warning(project):
    run(project)
    path = project.path / "runs.jsonl"
    path.write_bytes(b'{"version": 99}\n\xff{\n' + path.read_bytes() + b"null\n")
    result, report, page = run(project)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["muscle: warning: *runs.jsonl: 3 lines left out of the trend: damaged, or not of *"]
    )
    assert (len(report["history"]), report["history_skipped"]) == (1, 3)
    assert "3 lines of the history left out" in page


@pytest.mark.parametrize("workers", [[], pytest.param(["-n2"], marks=pytest.mark.heavy)])
def test_the_training_of_adapters_is_in_the_report(project, workers):
    _, report, page = run(project, *workers)
    (task,) = report["tasks"]
    assert task["training"].keys() == {"old", "new", "compat"}
    for side, training in task["training"].items():
        assert training["origin"] == "stored"
        assert (training["epochs"], len(training["validation"])) == (2, 2)
        assert training["validation"][-1]["step"] == training["steps"]
        assert len(training["curve"]) == training["steps"]
        assert all(point["loss"] > 0 for point in training["curve"])
        masked = [point["masked"] for point in training["curve"]]
        assert all(mask is not None for mask in masked) == (side == "compat")
    assert "Training of the compat adapter" in page


def test_adapters_of_an_older_version_and_given_ones_have_no_curve(project):
    adapters = project.path / ".muscle_cache" / "adapters"
    (compat,) = (path.parent for path in adapters.glob(f"*compat*/{FACTS}"))
    for path in adapters.glob(f"*/{FACTS}"):
        old = json.loads(path.read_text(encoding="utf-8"))
        kept = {name: old[name] for name in ("fingerprint", "made_of", "steps")}
        path.write_text(json.dumps(kept), encoding="utf-8")
        assert old["curve"]
    given = project.path / "given"
    compat.rename(given)
    path = project.path / "muscle.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(f'{text}\n[compat]\nadapter = "given"\n', encoding="utf-8")
    result, report, page = run(project, "--muscle-no-train")
    result.assert_outcomes(passed=2)
    training = report["tasks"][0]["training"]
    assert {side: training[side]["origin"] for side in training} == {
        "old": "stored",
        "new": "stored",
        "compat": "given",
    }
    assert not any(training[side]["curve"] for side in training)
    assert "The compat adapter was given, so there is no record of its training." in page
    assert "The new task adapter was stored by a version that kept no record" in page


def test_margins_are_of_the_answers(project):
    _, report, _ = run(project)
    (task,) = report["tasks"]
    assert task["margins"]["new"]["unit"] == "nats"
    assert task["margins"]["new"]["flips"] == task["counts"]["new"]["negative"] > 0
    for flip in task["flips"]:
        assert (flip["old_margin"] > 0) == (flip["old"] == flip["gold"])
        assert (flip["new_margin"] > 0) == (flip["new"] == flip["gold"])
        if flip.get("to_new") == "negative":
            assert flip["old_margin"] > 0 > flip["new_margin"]


def test_a_history_in_the_way_fails_before_the_run(project: pytest.Pytester):
    Path(project.path / "runs.jsonl").mkdir()
    result = project.runpytest_inprocess("--muscle-history=runs.jsonl")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
