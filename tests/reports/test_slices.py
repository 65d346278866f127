"""The table of slices."""

from __future__ import annotations

import dataclasses
import re

import pytest
from scipy.stats import fisher_exact

from pytest_muscle import FlipReport, Predictions, compare
from pytest_muscle.predictions.stop import Stop
from pytest_muscle.reports.slices import (
    SliceSummary,
    describe_found,
    describe_worst,
    render_slices,
    summarise_slices,
)
from pytest_muscle.tasks.example import Example


def test_a_row_per_slice():
    rows = [
        SliceSummary("continent", "Asia", 200, 0.05, 0.024, 0.09, 0.012),
        SliceSummary("continent", "Europe", 100, 0.01, 0.0003, 0.0545, 1.0),
    ]
    compat = [SliceSummary("continent", "Asia", 200, 0.03, 0.011, 0.064)]
    lines = render_slices("cities", rows, compat).splitlines()
    assert lines[0].split()[0] == "cities"
    assert lines[2].split() == [
        "continent",
        "=",
        "Asia",
        "200",
        "5.00",
        "2.40–9.00",
        "0.012",
        "3.00",
    ]
    assert lines[3].split() == ["continent", "=", "Europe", "100", "1.00", "0.03–5.45", "–"]


def test_a_long_column_is_cut_and_says_so_and_hides_no_other():
    rows = [SliceSummary("id", str(number), 1, 0.0, 0.0, 0.975, 1.0) for number in range(25)]
    rows.append(SliceSummary("place", "north", 25, 0.0, 0.0, 0.137))
    lines = render_slices("t", rows).splitlines()
    assert lines[-1] == "… and 5 more values of id"
    assert lines[-2].split()[:3] == ["place", "=", "north"]


def test_the_worst_slices_are_those_that_chance_does_not_explain():
    slices = [
        SliceSummary("lang", "de", 100, 0.2, 0.13, 0.29, 0.0004),
        SliceSummary("lang", "fr", 100, 0.1, 0.05, 0.18, 0.03),
        SliceSummary("lang", "it", 10, 0.3, 0.07, 0.65, 0.06),
    ]
    assert describe_worst(slices) == [
        "lang = de: NFR 20.00 % of 100, more than elsewhere (p < 0.001)",
        "lang = fr: NFR 10.00 % of 100, more than elsewhere (p = 0.03)",
    ]
    assert describe_worst(slices, most=1) == describe_worst(slices)[:1]


def planted(n: int = 600) -> FlipReport:
    """Where German stands, 3 of 4 flip; elsewhere none does."""
    examples = {
        i: Example(str(i), "", ("a", "b"), 1, {"lang": "de" if i % 5 == 0 else "en", "x": i % 7})
        for i in range(n)
    }
    flips = [i % 5 == 0 and i % 4 != 0 for i in range(n)]
    old = Predictions.from_lists(range(n), [1] * n, [1] * n)
    new = Predictions.from_lists(range(n), [int(not flip) for flip in flips], [1] * n)
    return compare(
        dataclasses.replace(old, examples=examples, slices=("lang",)),
        dataclasses.replace(new, examples=examples, slices=("lang",)),
    )


def test_a_slice_s_p_value_is_that_of_fisher():
    de, en = summarise_slices(planted())
    assert (de.value, de.n, de.nfr) == ("de", 120, 0.75)
    table = [[90, 30], [0, 480]]
    assert de.p == pytest.approx(2 * fisher_exact(table, alternative="greater").pvalue)
    assert (en.value, en.nfr, en.p) == ("en", 0, 1)


def test_slices_are_searched_for_in_all_columns():
    (line,) = describe_found(planted(), seed=0)
    rate, n = re.match(r"found lang = de: NFR (\S+) % of (\d+), elsewhere 0.00 % ", line).groups()
    assert 40 <= int(n) <= 80  # about half of the 120
    assert float(rate) == pytest.approx(75, abs=15)


def test_nothing_found_is_said_so():
    report = compare([1] * 50, [1] * 50, gold=[1] * 50)
    assert describe_found(report, seed=0) == ()
    assert describe_found(planted(4), seed=0) == (
        "no columns and values were found where flips concentrate",
    )


def test_where_a_gate_was_decided_early_no_slices_are_sought():
    report = planted(20)
    stop = Stop(
        decision="passes",
        why="0 of 5 examples asked flip, and all others may",
        asked=5,
        flips=0,
        can_flip=20,
        population=20,
        limit=0.9,
        confidence=None,
        interval="exact",
        surety=None,
    )
    new = dataclasses.replace(
        report.new, rows=report.old.columns[:5], unasked=tuple(range(5, 20)), stop=stop
    )
    stopped = compare(report.old, new)
    assert describe_found(stopped, seed=0) == ()
    assert summarise_slices(stopped) == ()
