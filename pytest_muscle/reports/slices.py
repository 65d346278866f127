"""The table of slices: where negative flips concentrate, shown with -v."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_muscle.reports.numbers import percent
from pytest_muscle.reports.texts import shorten

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport

MOST_SLICES = 20
LONGEST_VALUE = 30
SURE = 0.05
"""Largest adjusted p-value of a slice that is said to flip more than others."""


class SliceSummary(NamedTuple):
    """One slice of a comparison in plain values; rates are fractions 0-1 of its examples.

    Attributes:
        column: The data's column.
        value: Its value in this slice.
        n: Number of examples.
        nfr: Negative flip rate.
        low: Lower end of its exact two-sided 95 % interval.
        high: Upper end.
        p: Probability of so many flips in it by chance, adjusted for all slices of the task.
    """

    column: str
    value: str
    n: int
    nfr: float
    low: float
    high: float
    p: float = 1.0


def summarise_slices(report: FlipReport, adjustment: str = "holm") -> tuple[SliceSummary, ...]:
    """Return a comparison's slices by the columns that its tables name, worst first.

    There are none where the new model was stopped before all flips were known.

    Args:
        report: The comparison.
        adjustment: How their p-values are adjusted, a name in `ADJUSTMENTS`.
    """
    from pytest_muscle.comparison.slices import adjust_slices, report_slices

    if report.stop is not None:
        return ()
    slices = report_slices(report)
    if any(group.p_value <= SURE for group in slices):  # else adjusting changes no finding
        slices = adjust_slices(slices, adjustment)
    return tuple(
        SliceSummary(
            str(group.column),
            group.value,
            group.n,
            group.negative_flip_rate,
            *group.interval,
            group.adjusted_p,
        )
        for group in slices
    )


def describe_found(report: FlipReport, seed: int) -> tuple[str, ...]:
    """Return a line for each slice, of any columns of the data, that was found and confirmed.

    There is none where the new model was stopped before all flips were known.

    Args:
        report: The comparison.
        seed: Of the halves that are searched and that confirm.
    """
    from pytest_muscle.comparison.discovery import find_slices

    if report.stop is not None or not (examples := report.examples):
        return ()
    rows = [examples[id_].fields for id_ in report.pairs.ids]
    found = find_slices(report, rows, seed=seed)
    if not found:
        return ("no columns and values were found where flips concentrate",)
    return tuple(
        f"found {shorten(group.name, 2 * LONGEST_VALUE)}: NFR {percent(group.negative_flip_rate)} "
        f"of {group.n}, elsewhere {percent(group.rest_rate)} (p {show_p(group.adjusted_p)}, on "
        "the half that was not searched)"
        for group in found
    )


def describe_worst(slices: Sequence[SliceSummary], most: int = 3) -> list[str]:
    """Return a line for each of the slices whose examples flip more than others by no chance.

    Args:
        slices: All slices of a task.
        most: Most lines.
    """
    found = sorted((group for group in slices if group.p <= SURE), key=lambda group: -group.nfr)
    return [
        f"{shorten(f'{group.column} = {group.value}', LONGEST_VALUE)}: NFR "
        f"{percent(group.nfr)} of {group.n}, more than elsewhere (p {show_p(group.p)})"
        for group in found[:most]
    ]


def show_p(p: float) -> str:
    """Return a p-value with two digits: "= 0.012"; those below 0.001 as "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def render_slices(
    task: str, slices: Sequence[SliceSummary], compat_slices: Sequence[SliceSummary] = ()
) -> str:
    """Return one table of a task's slices, of each column the worst ones.

    Args:
        task: Name of the task.
        slices: Old against new.
        compat_slices: Old against compat, in any order.
    """
    from tabulate import tabulate

    compat = {(group.column, group.value): group.nfr for group in compat_slices}
    rows = []
    hidden: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    for group in slices:
        if shown[group.column] == MOST_SLICES:
            hidden[group.column] += 1
            continue
        shown[group.column] += 1
        compat_nfr = compat.get((group.column, group.value))
        rows.append(
            (
                shorten(f"{group.column} = {group.value}", LONGEST_VALUE),
                group.n,
                percent(group.nfr, 2, ""),
                f"{percent(group.low, 2, '')}–{percent(group.high, 2, '')}",
                show_p(group.p).removeprefix("= ") if group.p <= SURE else "",
                "–" if compat_nfr is None else percent(compat_nfr, 2, ""),
            )
        )
    headers = (
        shorten(task, LONGEST_VALUE),
        "n",
        "NFR old→new",
        "95 % interval",
        "p",
        "NFR old→compat",
    )
    table = tabulate(rows, headers, disable_numparse=True, colalign=("left", *["right"] * 5))
    more = [f"… and {count} more values of {column}" for column, count in hidden.items()]
    return "\n".join([table, *more])
