"""A gate that was decided early, and a noise floor, in every file."""

from __future__ import annotations

import dataclasses
import json

import pytest

from pytest_muscle.comparison import compare
from pytest_muscle.predictions.stop import Stop
from pytest_muscle.reports.data import Counts, RunReport, TaskReport
from pytest_muscle.reports.details import describe_details
from pytest_muscle.reports.gitlab import render_metrics
from pytest_muscle.reports.json_report import render_json
from pytest_muscle.reports.junit import describe_properties
from pytest_muscle.reports.markdown import render_markdown
from pytest_muscle.reports.noise import NoiseSummary
from pytest_muscle.reports.terminal import summarise


@pytest.fixture
def run(table, make_run) -> RunReport:
    """Five examples that can flip, of which two were asked, and both flip."""
    old, new = table([0] * 5), table([1] * 5)
    stop = Stop(
        decision="fails",
        why="2 of 2 examples asked flip",
        asked=2,
        flips=2,
        can_flip=5,
        population=5,
        limit=0.2,
        confidence=None,
        interval="exact",
        surety=None,
    )
    new = dataclasses.replace(
        new, rows=new.columns[1:3], unasked=("e0", "e3", "e4"), stop=stop, examples=old.examples
    )
    report = compare(old, new)
    summary = dataclasses.replace(
        summarise("support", report), noise=NoiseSummary(0.01, 0.005, 0.02, 4, "old", "seed")
    )
    details = describe_details("support", {"new": report}, None)
    return make_run(TaskReport(name="support", tests=1, summary=summary, details=details))


def test_what_was_seen_is_said_to_be_that(run):
    (task,) = json.loads(render_json(run))["tasks"]
    assert (task["nfr"], task["least_nfr"]) == (None, 0.4)
    assert task["counts"]["new"] == dataclasses.asdict(Counts(negative=2, unasked=3))
    assert [flip["id"] for flip in task["flips"]] == ["e1", "e2"]
    assert task["stopped"].startswith("decided after 2 of 5 that can flip")
    text = render_markdown(run)
    assert "| ≥ 40.00 |" in text
    assert "decided after 2 of 5 that can flip" in text
    assert "<summary>2 negative flips, old → new, seen until the gate was decided</summary>" in text


def test_a_rate_that_is_not_known_is_no_figure(run):
    assert "muscle_nfr" not in render_metrics(run)
    assert "muscle_negative_flips" not in render_metrics(run)
    names = dict(describe_properties(run.tasks[0].summary, {"new": 2})).keys()
    assert names == {"muscle.n", "muscle.accuracy_old"}


def test_the_noise_floor_is_in_the_files(run):
    (task,) = json.loads(render_json(run))["tasks"]
    assert task["noise"]["rate"] == 0.01
    assert task["noise"]["builds"] == 4
    assert "noise floor 1.00 % (0.50–2.00), 4 builds" in render_markdown(run)
