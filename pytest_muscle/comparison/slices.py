"""Where flips concentrate: the comparison of groups of examples."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

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


def slice_flips(report: FlipReport, values: Mapping[Hashable, str]) -> list[SliceFlips]:
    """Return the negative flips of each group, the highest rate first, equals by name.

    Args:
        report: The comparison of all examples.
        values: The group of each example, by id.

    Raises:
        ComparisonError: If an example has no group.
    """
    sizes: dict[str, int] = {}
    flips: dict[str, int] = {}
    flipped = set(report.negative_flips)
    for id_ in report.pairs.ids:
        if id_ not in values:
            raise ComparisonError(f"example {id_!r} has no value to slice by", where=report.task)
        value = values[id_]
        sizes[value] = sizes.get(value, 0) + 1
        flips[value] = flips.get(value, 0) + (id_ in flipped)
    slices = [
        SliceFlips(value, n, flips[value], clopper_pearson(flips[value], n, 0.95))
        for value, n in sizes.items()
    ]
    return sorted(slices, key=lambda group: (-group.negative_flip_rate, group.value))
