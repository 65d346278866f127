"""The table of slices."""

from __future__ import annotations

from pytest_muscle.reports.slices import SliceSummary, render_slices


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
