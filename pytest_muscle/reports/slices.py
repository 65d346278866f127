"""The table of slices: where negative flips concentrate, shown with -v."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_muscle.reports.flips import shorten
from pytest_muscle.reports.numbers import percent

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.tasks import Task

MOST_SLICES = 20
LONGEST_VALUE = 30


class SliceSummary(NamedTuple):
    """One slice of a task in plain values; rates are fractions 0-1 of the slice's examples.

    Attributes:
        column: The data's column.
        value: Its value in this slice.
        n: Number of examples.
        nfr: Negative flip rate, old to new.
        low: Lower end of its exact two-sided 95 % interval.
        high: Upper end.
        compat_nfr: Negative flip rate, old to compat, if there is a compat adapter.
    """

    column: str
    value: str
    n: int
    nfr: float
    low: float
    high: float
    compat_nfr: float | None


def summarise_slices(
    task: Task, report: FlipReport, compat_report: FlipReport | None
) -> tuple[SliceSummary, ...]:
    """Return a task's slices by the columns that its `slices` names, the worst first."""
    from pytest_muscle.comparison import slice_flips

    summaries = []
    for column in task.settings.slices:
        values: dict[Hashable, str] = {
            example.id: str(example.fields[column]) for example in task.eval
        }
        compat = (
            {group.value: group for group in slice_flips(compat_report, values)}
            if compat_report
            else {}
        )
        for group in slice_flips(report, values):
            summaries.append(
                SliceSummary(
                    column,
                    group.value,
                    group.n,
                    group.negative_flip_rate,
                    *group.interval,
                    compat[group.value].negative_flip_rate if compat else None,
                )
            )
    return tuple(summaries)


def render_slices(task: str, slices: Sequence[SliceSummary]) -> str:
    """Return one table of a task's slices, the worst of each column first."""
    from tabulate import tabulate

    rows = [
        (
            shorten(f"{group.column} = {group.value}", LONGEST_VALUE),
            group.n,
            percent(group.nfr, 2, ""),
            f"{percent(group.low, 2, '')}–{percent(group.high, 2, '')}",
            "–" if group.compat_nfr is None else percent(group.compat_nfr, 2, ""),
        )
        for group in slices[:MOST_SLICES]
    ]
    headers = (shorten(task, LONGEST_VALUE), "n", "NFR old→new", "95 % interval", "NFR old→compat")
    table = tabulate(rows, headers, disable_numparse=True, colalign=("left", *["right"] * 4))
    hidden = len(slices) - len(rows)
    return f"{table}\n… and {hidden} more slices" if hidden else str(table)
