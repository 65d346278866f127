"""The table of slices: where negative flips concentrate, shown with -v."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_muscle.reports.numbers import percent
from pytest_muscle.reports.texts import shorten

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.tasks import Task

MOST_SLICES = 20
LONGEST_VALUE = 30


class SliceSummary(NamedTuple):
    """One slice of a comparison in plain values; rates are fractions 0-1 of its examples.

    Attributes:
        column: The data's column.
        value: Its value in this slice.
        n: Number of examples.
        nfr: Negative flip rate.
        low: Lower end of its exact two-sided 95 % interval.
        high: Upper end.
    """

    column: str
    value: str
    n: int
    nfr: float
    low: float
    high: float


def summarise_slices(task: Task, report: FlipReport) -> tuple[SliceSummary, ...]:
    """Return a comparison's slices by the columns that the task's `slices` names, worst first."""
    from pytest_muscle.comparison import slice_flips

    summaries = []
    for column in task.settings.slices:
        examples = task.eval_by_id.select(report.pairs.ids)
        for group in slice_flips(report, (str(example.fields[column]) for example in examples)):
            rate = group.negative_flip_rate
            summaries.append(SliceSummary(column, group.value, group.n, rate, *group.interval))
    return tuple(summaries)


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
                "–" if compat_nfr is None else percent(compat_nfr, 2, ""),
            )
        )
    headers = (shorten(task, LONGEST_VALUE), "n", "NFR old→new", "95 % interval", "NFR old→compat")
    table = tabulate(rows, headers, disable_numparse=True, colalign=("left", *["right"] * 4))
    more = [f"… and {count} more values of {column}" for column, count in hidden.items()]
    return "\n".join([table, *more])
