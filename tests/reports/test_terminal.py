"""The table at the end of a run."""

import dataclasses
import json
from typing import Any

import pytest

from pytest_muscle.comparison import FlipReport, compare
from pytest_muscle.predictions import Predictions
from pytest_muscle.reports.terminal import TaskSummary, render_summary, summarise


def row(**changes: Any) -> TaskSummary:
    """Give the summary of the prototype's figures in METHOD.md."""
    values = TaskSummary(
        task="support",
        n=2691,
        old_accuracy=0.778,
        new_accuracy=0.879,
        compat_accuracy=0.880,
        nfr=0.0360,
        nfr_interval=(0.0293, 0.0438),
        compat_nfr=0.0316,
        compat_nfr_interval=(0.0253, 0.0389),
        pfr=0.137,
        inconsistency=0.0361,
        verdict="passed",
    )
    return dataclasses.replace(values, **changes)


WITHOUT_COMPAT = {"compat_accuracy": None, "compat_nfr": None, "compat_nfr_interval": None}


def test_a_summary_of_reports():
    gold = [1] * 20
    old = compare(gold, [0] * 4 + [1] * 16, gold=gold)
    compat = compare(gold, [0] * 3 + [1] * 17, gold=gold)
    summary = summarise("t", old, compat, "FAILED")
    assert (summary.n, summary.nfr, summary.compat_nfr) == (20, 0.2, 0.15)
    assert (summary.old_accuracy, summary.new_accuracy, summary.compat_accuracy) == (1, 0.8, 0.85)
    assert summary.nfr_change == pytest.approx(-0.25)
    assert summary.nfr_interval == old.negative_flip_interval()
    assert summary.verdict == "FAILED"


def test_a_summary_without_compat_has_no_change():
    summary = summarise("t", compare([1], [0], gold=[1]))
    assert (summary.compat_nfr, summary.nfr_change, summary.verdict) == (None, None, "")
    assert row(nfr=0.0).nfr_change is None


def test_what_only_the_other_process_compared_is_taken_from_there():
    gold = [1] * 20
    new = compare(gold, [0] * 4 + [1] * 16, gold=gold)
    compat = compare(gold, [0] * 3 + [1] * 17, gold=gold)
    here, there = summarise("t", new), summarise("t", None, compat)
    assert here.merge(there) == there.merge(here) == summarise("t", new, compat)


def test_a_summary_of_old_and_compat_alone():
    table = render_summary([summarise("t", None, compare([1, 1], [1, 0], gold=[1, 1]))], 80)
    assert table.splitlines()[4].split()[:4] == ["t", "2", "100.0→–", "–"]


@pytest.mark.parametrize("summary", [row(), row(**WITHOUT_COMPAT)])
def test_a_summary_travels_as_json(summary: TaskSummary):
    assert TaskSummary.from_json(json.loads(json.dumps(summary.to_json()))) == summary


def test_the_table():
    assert render_summary([row()], 80).splitlines() == [
        "task     n     accuracy   NFR        NFR         change  PFR      verdict",
        "               old→new    old→new    old→compat          incon-",
        "               compat                                    sistent",
        "-------  ----  ---------  ---------  ----------  ------  -------  -------",
        "support  2691  77.8→87.9  3.60       3.16        −12 %   13.70    passed",
        "               88.0       2.93–4.38  2.53–3.89           3.61",
        "NFR, PFR, inconsistent: % of all examples; under NFR its exact 95 % interval",
        "change: NFR old→compat relative to NFR old→new",
    ]


def test_the_table_without_compat():
    table = render_summary([row(**WITHOUT_COMPAT)], 80)
    assert "compat" not in table
    assert "change" not in table
    assert table.splitlines()[3].split() == [
        "support", "2691", "77.8→87.9", "3.60", "13.70", "3.61", "passed",
    ]  # fmt: skip


def needed(new: list[int]) -> FlipReport:
    """Old against new of ten examples; the old model has the last two wrong."""
    old = Predictions.from_lists(range(10), [1] * 8 + [0] * 2, [1] * 10)
    asked = Predictions.from_lists(range(8), new, [1] * 8)
    return compare(old, dataclasses.replace(asked, unasked=(8, 9)))


def test_what_is_not_known_is_a_dash():
    new = needed([0, 0, 1, 1, 1, 1, 1, 1])
    summary = summarise("t", new)
    assert (summary.n, summary.nfr, summary.old_accuracy) == (10, 0.2, 0.8)
    assert summary.nfr_interval == new.negative_flip_interval()
    assert (summary.new_accuracy, summary.pfr, summary.inconsistency) == (None, None, None)
    lines = render_summary([summary], 80).splitlines()
    assert lines[3].split() == ["t", "10", "80.0→–", "20.00", "–", "–"]
    assert lines[-1] == '–: not known with [run] score = "needed"'
    both = summarise("t", new, needed([0, 1, 1, 1, 1, 1, 1, 1]))
    assert (both.compat_nfr, both.compat_accuracy, both.nfr_change) == (0.1, None, -0.5)
    lines = render_summary([both], 80).splitlines()
    assert lines[4].split() == ["t", "10", "80.0→–", "20.00", "10.00", "−50", "%", "–"]
    assert lines[5].split()[0] == "–"
    assert lines[-1] == '–: not known with [run] score = "needed"'
    assert "not known" not in render_summary([row()], 80)


def test_a_task_without_compat_among_others():
    lines = render_summary([row(), row(task="other", **WITHOUT_COMPAT)], 80).splitlines()
    assert lines[6].split() == ["other", "2691", "77.8→87.9", "3.60", "–", "–", "13.70", "passed"]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_table_keeps_to_its_width(width: int):
    wide = row(
        task="a-task-with-a-very-long-name-" * 5,
        n=999_999,
        nfr=0.1234,
        nfr_interval=(0.1111, 0.1357),
        compat_nfr=0.1,
        compat_nfr_interval=(0.1, 0.1111),
        verdict="FAILED",
    )
    lines = render_summary([row(), wide], width).splitlines()
    assert max(map(len, lines)) <= width
    assert "a-" in lines[6]
    assert "FAILED" in lines[6]


def test_odd_task_names_stay_on_their_line():
    table = render_summary([row(task="\x01"), row(task="a\nb\x1b[0m"), row(task="001")], 120)
    assert r"\x01" in table
    assert r"a⏎b\x1b[0m" in table
    assert "001" in table


def test_no_row_is_no_table():
    assert render_summary([], 80) == ""


def test_where_a_gate_was_decided_early_the_least_is_shown():
    stop = "decided after 180 of 1,240 that can flip (of 2,691): passes at 95 % confidence"
    stopped = row(
        **WITHOUT_COMPAT,
        new_accuracy=None,
        nfr=None,
        nfr_interval=None,
        pfr=None,
        inconsistency=None,
        least_nfr=0.0011,
        stopped=stop,
    )
    assert TaskSummary.from_json(json.loads(json.dumps(stopped.to_json()))) == stopped
    text = render_summary([stopped], 100)
    assert [line.split() for line in text.splitlines()][3] == [
        *("support", "2691", "77.8→–", "≥0.11", "–", "–", "passed")
    ]
    assert text.endswith(
        "≥: seen when the gate was decided, [gate] sequential = true; –: not known\n"
        f"support: new {stop}"
    )
    compat = dataclasses.replace(stopped, compat_least_nfr=0.0, compat_stopped=stop)
    text = render_summary([compat], 100)
    assert "≥0.11" in text
    assert "≥0.00" in text
    assert text.endswith(f"support: compat {stop}")
