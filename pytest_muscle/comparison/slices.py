"""Where flips concentrate: the comparison of groups of examples."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pytest_muscle.comparison.intervals import clopper_pearson
from pytest_muscle.comparison.report import FlipReport
from pytest_muscle.errors import ComparisonError


@dataclass(frozen=True, slots=True)
class SliceFlips:
    """Negative flips among the examples of one group.

    Attributes:
        value: What the group's examples share.
        n: Number of its examples.
        negative_flips: How many of them flipped from right to wrong.
        interval: Exact two-sided 95 % interval of their share, fractions 0-1.
    """

    value: str
    n: int
    negative_flips: int
    interval: tuple[float, float]

    @property
    def negative_flip_rate(self) -> float:
        """Negative flips as a share of the group's examples, a fraction 0-1."""
        return self.negative_flips / self.n


def slice_flips(
    report: FlipReport, values: Mapping[Hashable, str] | Iterable[str]
) -> list[SliceFlips]:
    """Return the negative flips of each group, the highest rate first, equals by name.

    Args:
        report: The comparison of all examples.
        values: The group of each example: by id, or one after the other in the report's order.

    Raises:
        ComparisonError: If an example has no group.
    """
    in_order = _by_id(report, values) if isinstance(values, Mapping) else values
    numbers: dict[str, int] = {}
    groups = np.fromiter((numbers.setdefault(value, len(numbers)) for value in in_order), np.intp)
    if len(groups) != report.n:
        raise ComparisonError(
            f"{report.n} examples and {len(groups)} values to slice by", where=report.task
        )
    sizes = np.bincount(groups).tolist()
    flips = np.bincount(groups[report.pairs.negative], minlength=len(sizes)).tolist()
    slices = [
        SliceFlips(value, n, flipped, clopper_pearson(flipped, n, 0.95))
        for value, n, flipped in zip(numbers, sizes, flips, strict=True)
    ]
    return sorted(slices, key=lambda group: (-group.negative_flip_rate, group.value))


def _by_id(report: FlipReport, values: Mapping[Hashable, str]) -> Iterator[str]:
    for id_ in report.pairs.ids:
        if id_ not in values:
            raise ComparisonError(f"example {id_!r} has no value to slice by", where=report.task)
        yield values[id_]
