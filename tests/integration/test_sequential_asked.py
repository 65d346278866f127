"""[gate] sequential: when all is asked, when nothing, and after a kill only what is missing."""

from __future__ import annotations

import json
import re
import signal
import sys
from pathlib import Path

import pytest

from pytest_muscle.models import scoring
from tests.integration.deciding import ASSERTED, Project


@pytest.fixture
def project(pytester: pytest.Pytester, tiny_models: Path, trained_cache: Path) -> Project:
    """The project; what is heavy is imported in this process already, see `tiny_project`."""
    return Project(pytester, tiny_models)


def test_a_complete_table_is_used_where_it_is_stored(project):
    project.gate("v2", "max_nfr = 0.03", sequential=False)
    project.pytester.makepyfile(
        """
        def test_rate(flip_report):
            assert flip_report.negative_flip_rate > 0.03
        """
    )
    project.pytester.runpytest_inprocess().assert_outcomes(passed=1)
    project.gate("v2", "max_nfr = 0.03")
    project.pytester.makepyfile(
        """
        def test_rate(flip_report, new_predictions, asked):
            assert asked == {}
            assert new_predictions.stop is None
            assert flip_report.negative_flip_rate > 0.03
        """
    )
    project.pytester.runpytest_inprocess().assert_outcomes(passed=1)
    path = project.pytester.path / "muscle.toml"
    path.write_text(path.read_text().replace("[run]", '[run]\nscore = "needed"'))
    project.pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_where_all_must_be_asked_all_is_known(project):
    """With --muscle-limit too few can flip for chance to decide; arithmetic needs them all."""
    project.gate("v1", "max_nfr = 0.0")
    project.pytester.makepyfile(
        """
        def test_rate(flip_report, new_predictions, old_predictions, asked):
            assert new_predictions.stop is None
            assert asked["new"] == sum(row.correct for row in old_predictions) < 32
            assert flip_report.negative_flip_rate == 0.0
        """
    )
    project.pytester.runpytest_inprocess("--muscle-limit=80").assert_outcomes(passed=1)


def test_what_cannot_fail_asks_nothing_and_loads_no_model(project):
    project.gate("v2", "max_nfr = 0.9")
    project.pytester.makepyfile(
        """
        from pytest_muscle import assert_gate

        def test_gate(model_update, muscle_task, old_predictions, new_predictions, asked):
            assert asked == {"old": 600}
            assert not model_update.base("new").loaded
            assert new_predictions.stop.asked == 0
            assert_gate(old_predictions, new_predictions, gate=muscle_task.gate)
        """
    )
    result = project.pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    assert re.search(r"colours: new decided after 0 of \d+ .*: passes$", result.stdout.str(), re.M)


def test_a_baseline_asks_everything(project):
    project.gate("v2", "max_nfr = 0.03")
    project.pytester.makepyfile("def test_nothing(): pass")
    result = project.pytester.runpytest_inprocess("--muscle-update-baseline=new")
    assert result.ret == 0
    (baseline,) = project.pytester.path.glob("**/colours.jsonl")
    assert len(baseline.read_text().splitlines()) == 600
    project.gate("v1", "max_nfr = 0.03")
    path = project.pytester.path / "muscle.toml"
    path.write_text(path.read_text()[path.read_text().index("[new]") :])
    project.pytester.makepyfile(
        """
        def test_new(old_predictions, new_predictions):
            assert len(old_predictions) == 600
            assert new_predictions.stop.decision == "fails"
        """
    )
    project.pytester.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_killed_it_goes_on_and_stops_where_an_undisturbed_run_does(project, monkeypatch):
    project.gate("v2", "max_nfr = 0.2")  # near the truth: needs several chunks
    project.pytester.makepyfile(
        test_old="def test_old(old_predictions): assert old_predictions", test_gate=ASSERTED
    )
    project.pytester.runpytest_inprocess("test_old.py").assert_outcomes(passed=1)
    batches, run = [], scoring._Scorer._run
    counted = lambda self, *arguments: (batches.append(1), run(self, *arguments))  # noqa: E731
    monkeypatch.setattr(scoring._Scorer, "_run", counted)
    project.pytester.runpytest_inprocess("test_gate.py").assert_outcomes(failed=1)
    wanted, about = project.table().read_text(), _manifest(project.table())
    assert about["stop"]["asked"] > 2 * 32
    whole = len(batches)
    for path in project.pytester.path.glob(".muscle_cache/predictions/*colours-new-*"):
        path.unlink()
    project.pytester.makeconftest(
        f"""
        import os, signal
        from pytest_muscle.models import scoring

        run, left = scoring._Scorer._run, {whole - 2}

        def counted(self, *arguments):
            global left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return run(self, *arguments)

        scoring._Scorer._run = counted
        """
    )
    assert project.pytester.runpytest_subprocess("test_gate.py").ret == -signal.SIGKILL
    assert list(project.pytester.path.glob(".muscle_cache/predictions/.colours-new-*.journal"))
    project.pytester.makeconftest("")
    batches.clear()

    project.pytester.runpytest_inprocess("test_gate.py").assert_outcomes(failed=1)

    assert len(batches) == 2
    assert project.table().read_text() == wanted
    assert _manifest(project.table()) == about
    assert not list(project.pytester.path.glob(".muscle_cache/predictions/.*.journal"))


def _manifest(table: Path) -> dict[str, object]:
    manifest = json.loads(Path(f"{table}.manifest.json").read_text())
    del manifest["facts"]["date"]
    return manifest
