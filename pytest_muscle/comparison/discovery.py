"""Where negative flips concentrate, sought in one half of the examples, confirmed in the other."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_muscle.comparison.families import adjust
from pytest_muscle.comparison.grouping import Grouping, group_values, list_columns
from pytest_muscle.comparison.intervals import clopper_pearson
from pytest_muscle.comparison.pairs import count
from pytest_muscle.comparison.report import FlipReport
from pytest_muscle.comparison.sequential import seeded_keys
from pytest_muscle.comparison.slices import concentration_p
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions.packed import Mask

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
Part: TypeAlias = tuple[int, int]
"""A column, by its position, and one of its groups."""

Candidate: TypeAlias = tuple[Part, ...]

FEWEST = 5
"""Smaller slices of the searched half are not looked at."""

FEWEST_FLIPS = 2
"""Nor are those with fewer flips in it."""

MOST_PAIRED = 30
"""Columns that are paired with each other: those whose single values stand out most."""

MOST_TRIED = 500
"""Slices of the searched half, the most conspicuous first, that may become candidates."""


@dataclass(frozen=True, slots=True)
class FoundSlice:
    """A slice of examples that flips more often than the others, by a half not searched.

    All numbers are of the confirming half alone.

    Attributes:
        conditions: One or two columns and the value that the slice's examples have there.
        n: Number of its examples.
        negative_flips: How many of them flipped from right to wrong.
        interval: Two-sided interval of their share, fractions 0-1.
        rest_rate: Negative flip rate of all other examples, a fraction 0-1.
        p_value: How probable so many flips, or more, are in it by chance (Fisher's exact test).
        adjusted_p: The same in view of all candidates that were to be confirmed (Holm).
    """

    conditions: tuple[tuple[str, str], ...]
    n: int
    negative_flips: int
    interval: tuple[float, float]
    rest_rate: float
    p_value: float
    adjusted_p: float

    @property
    def name(self) -> str:
        """The conditions in words."""
        return " and ".join(f"{column} = {value}" for column, value in self.conditions)

    @property
    def negative_flip_rate(self) -> float:
        """Negative flips as a share of the slice's examples, a fraction 0-1."""
        return self.negative_flips / self.n


def find_slices(
    report: FlipReport,
    rows: Sequence[Mapping[str, Any]],
    *,
    seed: int = 0,
    level: float = 0.05,
    most: int = 10,
    interval: Callable[[int, int, float], tuple[float, float]] = clopper_pearson,
    confidence: float = 0.95,
) -> list[FoundSlice]:
    """Seek slices in which negative flips concentrate, by the values of one column or two.

    The examples fall into two halves by a hash of their ids. One half is searched: whatever stands
    out most there becomes a candidate, unless a candidate before it explains it, or, for a pair of
    columns, unless it is no worse than either of its values alone. The other half, which had no
    part in that choice, confirms the candidates or does not. So with probability at least
    1 - level, no slice that is returned is a chance finding, and the rates are not inflated by the
    search. (Of weak slices, the confirming half confirms those that are high in it by chance.)
    Examples must be independent: of near copies, one in each half, one confirms the other.

    Args:
        report: The comparison of all examples.
        rows: The fields of each example, in the report's order, [n].
        seed: Of the halves.
        level: How probable a false finding may be, 0-1.
        most: Largest number of candidates; the fewer, the weaker the slices that are confirmed.
        interval: How intervals are computed, of (flips, n, confidence).
        confidence: Of the intervals, two-sided.

    Returns:
        The slices, the highest rate first.

    Raises:
        ComparisonError: If there are not as many rows as examples.
    """
    if len(rows) != report.n:
        raise ComparisonError(
            f"{report.n} examples and {len(rows)} rows of fields", where=report.task
        )
    groupings = [group_values(rows, column) for column in list_columns(rows)]
    groupings = [grouping for grouping in groupings if grouping.usable]
    searched = seeded_keys(report.pairs.ids, seed) % 2 == 0
    search = _Half(groupings, report.pairs.negative, searched)
    confirm = _Half(groupings, report.pairs.negative, ~searched)
    candidates = _choose(search, level, most)
    sizes = np.array([count(confirm.inside(candidate)) for candidate in candidates], np.int64)
    flips = np.array([confirm.flips_inside(candidate) for candidate in candidates], np.int64)
    if not sizes.any():
        return []
    p_values = concentration_p(flips, sizes, confirm.flips, confirm.n)
    found = [
        FoundSlice(
            conditions=tuple(
                (groupings[column].column, groupings[column].names[group])
                for column, group in candidate
            ),
            n=n,
            negative_flips=flipped,
            interval=interval(flipped, n, confidence),
            rest_rate=(confirm.flips - flipped) / (confirm.n - n),
            p_value=p_value,
            adjusted_p=adjusted_p,
        )
        for candidate, n, flipped, p_value, adjusted_p in zip(
            candidates,
            sizes.tolist(),
            flips.tolist(),
            p_values.tolist(),
            adjust(p_values, "holm").tolist(),
            strict=True,
        )
        if adjusted_p <= level and 0 < n < confirm.n
    ]
    return sorted(found, key=lambda slice_: (-slice_.negative_flip_rate, slice_.conditions))


class _Half:
    """One half of the examples, by the groups of all columns.

    Args:
        groupings: The columns.
        negative: Where the examples flip, [all].
        chosen: Which examples are in this half, [all].
    """

    def __init__(self, groupings: Sequence[Grouping], negative: Mask, chosen: Mask) -> None:
        self.negative = negative[chosen]
        self.columns = [grouping.groups[chosen] for grouping in groupings]
        self.n = len(self.negative)
        self.flips = count(self.negative)

    def inside(self, parts: Candidate) -> Mask:
        """Return which examples have all of some values, [n]."""
        mask = np.ones(self.n, dtype=np.bool_)
        for column, group in parts:
            mask &= self.columns[column] == group
        return mask

    def flips_inside(self, parts: Candidate) -> int:
        """Return how many examples that have all of some values flip."""
        return count(self.inside(parts) & self.negative)

    def concentration(self, inside: Mask, among: Mask) -> float:
        """Return the p-value of the flips inside a slice, among some of the examples."""
        flips, all_flips = count(inside & self.negative), count(among & self.negative)
        return float(concentration_p([flips], [count(inside)], all_flips, count(among))[0])


def _choose(half: _Half, level: float, most: int) -> list[Candidate]:
    """Return what stands out most in the searched half, each of it by its own merit."""
    conspicuous = NormalDist().inv_cdf(1 - level) ** 2
    ranked = heapq.nlargest(
        MOST_TRIED, (entry for entry in _look(half) if entry[0] > conspicuous), key=_rank
    )
    chosen: list[Candidate] = []
    for _, candidate in ranked:
        if len(chosen) == most:
            break
        inside = half.inside(candidate)
        if len(candidate) > 1 and not all(
            _is_better(half, candidate, inside, part, level) for part in candidate
        ):
            continue
        explained = np.zeros(half.n, dtype=np.bool_)
        for other in chosen:
            if not set(other) < set(candidate):
                explained |= half.inside(other)
        rest = ~explained
        if half.concentration(inside & rest, rest) <= level:
            chosen.append(candidate)
    return chosen


def _rank(entry: tuple[float, Candidate]) -> tuple[float, int]:
    """Order by how much a slice stands out; of equals, one value before two."""
    return entry[0], -len(entry[1])


def _is_better(half: _Half, pair: Candidate, inside: Mask, part: Part, level: float) -> bool:
    """Whether a pair stands out among the examples that have one of its two values.

    The value of the other column was the best of several, so each counts as a test.
    """
    (other,) = (column for column, group in pair if (column, group) != part)
    parent = half.inside((part,))
    values = len(np.unique(half.columns[other][parent]))
    return half.concentration(inside, parent) * values <= level


def _look(half: _Half) -> Iterator[tuple[float, Candidate]]:
    """Yield how much each value of a column stands out, then each pair of values."""
    conspicuous = np.zeros(len(half.columns))
    for column, groups in enumerate(half.columns):
        for deviance, group in _stand_out(half, groups):
            conspicuous[column] = max(conspicuous[column], deviance)
            yield deviance, ((column, group),)
    paired = sorted(np.argsort(-conspicuous, kind="stable")[:MOST_PAIRED].tolist())
    for first, second in combinations(paired, 2):
        width = int(half.columns[second].max(initial=0)) + 1
        together = half.columns[first].astype(np.int64) * width + half.columns[second]
        for deviance, code in _stand_out(half, together):
            yield deviance, ((first, code // width), (second, code % width))


def _stand_out(half: _Half, groups: NDArray[Any]) -> list[tuple[float, int]]:
    """Return the deviance of each group whose rate is above that of the others, and the group."""
    flipped, flips = np.unique(groups[half.negative], return_counts=True)
    flipped, flips = flipped[flips >= FEWEST_FLIPS], flips[flips >= FEWEST_FLIPS]
    if not flipped.size:
        return []
    place = np.minimum(np.searchsorted(flipped, groups), len(flipped) - 1)
    sizes = np.bincount(place[flipped[place] == groups], minlength=len(flipped))
    deviances = _deviance(flips, sizes, half.flips, half.n)
    enough = sizes >= FEWEST
    return list(zip(deviances[enough].tolist(), flipped[enough].tolist(), strict=True))


def _deviance(flips: Counts, sizes: Counts, all_flips: int, n: int) -> Floats:
    """Return the likelihood-ratio statistic of flips in a slice against outside; 0 if fewer."""
    from scipy.special import xlogy

    cells = np.stack([flips, sizes - flips, all_flips - flips, n - sizes - all_flips + flips])
    rows = np.stack([sizes, sizes, n - sizes, n - sizes])
    columns = np.array([[all_flips], [n - all_flips]] * 2)
    expected = rows * columns / n
    ratio = np.divide(cells, expected, out=np.ones(cells.shape), where=expected > 0)
    deviance: Floats = 2 * xlogy(cells, ratio).sum(axis=0)
    return np.where(flips * n > sizes * all_flips, deviance, 0.0)
