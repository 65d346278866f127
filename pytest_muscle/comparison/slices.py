"""Where flips concentrate: the comparison of groups of examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_muscle.comparison.families import adjust
from pytest_muscle.comparison.intervals import clopper_pearson
from pytest_muscle.comparison.report import FlipReport
from pytest_muscle.errors import ComparisonError

Interval: TypeAlias = Callable[[int, int, float], tuple[float, float]]
"""(flips, n, two-sided confidence) -> interval."""


@dataclass(frozen=True, slots=True)
class SliceFlips:
    """Negative flips among the examples of one group.

    Attributes:
        value: What the group's examples share.
        n: Number of its examples.
        negative_flips: How many of them flipped from right to wrong.
        interval: Two-sided interval of their share, fractions 0-1.
        p_value: How probable so many of all flips, or more, are among them by chance.
        adjusted_p: The same in view of all slices of the family.
        column: What the examples were grouped by.
    """

    value: str
    n: int
    negative_flips: int
    interval: tuple[float, float]
    p_value: float = math.nan
    adjusted_p: float = math.nan
    column: str | None = None

    @property
    def negative_flip_rate(self) -> float:
        """Negative flips as a share of the group's examples, a fraction 0-1."""
        return self.negative_flips / self.n


def slice_flips(
    report: FlipReport,
    values: Mapping[Hashable, str] | Iterable[str],
    *,
    column: str | None = None,
    interval: Interval = clopper_pearson,
    confidence: float = 0.95,
    adjustment: str = "holm",
) -> list[SliceFlips]:
    """Return the negative flips of each group, the highest rate first, equals by name.

    Args:
        report: The comparison of all examples.
        values: The group of each example: by id, or one after the other in the report's order.
        column: What the values are of.
        interval: How intervals are computed.
        confidence: Of the intervals, two-sided.
        adjustment: How the p-values of these slices are adjusted, a name in `ADJUSTMENTS`. Slices
            of several columns that are read together are one family: see `adjust_slices`.

    Raises:
        ComparisonError: If an example has no group, or there is no such adjustment.
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    in_order = _by_id(report, values) if isinstance(values, Mapping) else values
    numbers: dict[str, int] = {}
    groups = np.fromiter((numbers.setdefault(value, len(numbers)) for value in in_order), np.intp)
    if len(groups) != report.n:
        raise ComparisonError(
            f"{report.n} examples and {len(groups)} values to slice by", where=report.task
        )
    sizes = np.bincount(groups)
    flips = np.bincount(groups[report.pairs.negative], minlength=len(sizes))
    p_values = concentration_p(flips, sizes, int(flips.sum()), report.n)
    slices = [
        SliceFlips(value, n, flipped, interval(flipped, n, confidence), p_value, adjusted_p, column)
        for value, n, flipped, p_value, adjusted_p in zip(
            numbers,
            sizes.tolist(),
            flips.tolist(),
            p_values.tolist(),
            adjust(p_values, adjustment).tolist(),
            strict=True,
        )
    ]
    return sorted(slices, key=lambda group: (-group.negative_flip_rate, group.value))


def report_slices(
    report: FlipReport, *, interval: Interval = clopper_pearson, adjustment: str = "none"
) -> list[SliceFlips]:
    """Return the slices of a comparison by the columns that its tables name, column by column.

    All of them are one family for the adjustment. There are none where no column is named or the
    examples are not at hand.

    Args:
        report: The comparison.
        interval: How intervals are computed.
        adjustment: How p-values are adjusted, a name in `ADJUSTMENTS`.

    Raises:
        ComparisonError: If the negative flips are not known, or there is no such adjustment.
    """
    examples = report.examples
    slices: list[SliceFlips] = []
    for column in report.slice_columns if examples else ():
        values = (str(examples[id_].fields[column]) for id_ in report.pairs.ids)
        slices += slice_flips(report, values, column=column, interval=interval, adjustment="none")
    return adjust_slices(slices, adjustment)


def concentration_p(
    flips: ArrayLike, sizes: ArrayLike, all_flips: int, n: int
) -> NDArray[np.float64]:
    """Return one-sided p-values of slices: do their examples flip more often than all others?

    Fisher's exact test: the probability of so many flips or more in a slice, had all flips been
    dealt to all examples at random.

    Args:
        flips: Negative flips in each slice, [m].
        sizes: Examples in each slice, [m].
        all_flips: Negative flips among all examples.
        n: Number of all examples.
    """
    counts = np.stack([np.asarray(flips, np.int64), np.asarray(sizes, np.int64)])
    unlike, where = np.unique(counts, axis=1, return_inverse=True)  # small slices are much alike
    tails = [
        _hypergeometric_tail(flipped, size, all_flips, n)
        for flipped, size in zip(*unlike.tolist(), strict=True)
    ]
    return np.array(tails, dtype=np.float64)[where.reshape(-1)]


def _hypergeometric_tail(flipped: int, size: int, all_flips: int, n: int) -> float:
    """Return the probability of so many flips or more in a slice, with all flips dealt at random.

    scipy.stats has it, and takes most of a second to import; scipy.special does not.
    """
    from scipy.special import gammaln, logsumexp

    least = max(flipped, size - (n - all_flips), 0)
    counts = np.arange(least, min(size, all_flips) + 1)
    if least == max(0, size - (n - all_flips)):
        return 1.0

    def log_choose(whole: int, part: NDArray[np.int64] | int) -> Any:
        return gammaln(whole + 1) - gammaln(part + 1) - gammaln(whole - part + 1)

    ways = log_choose(all_flips, counts) + log_choose(n - all_flips, size - counts)
    return min(1.0, float(np.exp(logsumexp(ways) - log_choose(n, size))))


def adjust_slices(slices: Iterable[SliceFlips], method: str = "holm") -> list[SliceFlips]:
    """Return slices in their order, their p-values adjusted as one family.

    Args:
        slices: All that are looked at together, of one column or several.
        method: A name in `ADJUSTMENTS`.

    Raises:
        ComparisonError: If there is no such method.
    """
    family = list(slices)
    adjusted = adjust([group.p_value for group in family], method).tolist()
    return [
        replace(group, adjusted_p=adjusted_p)
        for group, adjusted_p in zip(family, adjusted, strict=True)
    ]


def _by_id(report: FlipReport, values: Mapping[Hashable, str]) -> Iterator[str]:
    for id_ in report.pairs.ids:
        if id_ not in values:
            raise ComparisonError(f"example {id_!r} has no value to slice by", where=report.task)
        yield values[id_]
