"""The noise floor: how many flips there are between builds of the same version."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_muscle.comparison.alignment import align_tables
from pytest_muscle.comparison.intervals import check_confidence, exact_bounds
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions import Predictions
from pytest_muscle.predictions.packed import Mask
from pytest_muscle.predictions.prediction import ROUNDING

FEW = 20
"""With fewer flips than this, what flips and floor have in common is not counted on."""


@dataclass(frozen=True, eq=False)
class NoiseFloor:
    """What k builds of one version differ in by themselves; rates are fractions 0-1.

    Attributes:
        ids: The examples' ids, [n].
        shares: Of the k (k - 1) ordered pairs of builds, the share in which an example that the
            first has right is wrong in the second, or its score falls, [n].
        largest_share: The largest share there can be.
        k: Number of builds.
        varied: How the builds differ, such as "seed" or "dtype, batch size".
        version: Which version was built, "old" or "new", where it is known.
        without: The shares without each of the builds in turn, [k, n]; none of two builds.
    """

    ids: tuple[Hashable, ...]
    shares: NDArray[np.float64] = field(repr=False)
    largest_share: float
    k: int
    varied: str = ""
    version: str = ""
    without: NDArray[np.float64] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rate(self) -> float:
        """The mean negative flip rate between two builds."""
        return float(np.mean(self.shares))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the two-sided interval of the rate.

        Of three and more builds it covers other examples and other builds: a jackknife over builds
        is added to the variance over examples (which errs on the wide side: both hold what chance
        does to a single answer; Owen 2007), and exact bounds are taken for the effective number of
        examples and degrees of freedom (Korn & Graubard 1998). Of two builds nothing is known about
        others: it covers other examples only, for these two builds.

        Raises:
            ValueError: If `confidence` is not strictly between 0 and 1.
        """
        check_confidence(confidence)
        return self.bounds((1 + confidence) / 2)

    def bounds(self, confidence: float) -> tuple[float, float]:
        """Return both one-sided bounds of the rate, each at this confidence; see `interval`."""
        from scipy.special import stdtrit

        n, scale = len(self), self.largest_share
        rate = self.rate / scale
        over_examples = float(np.var(self.shares, ddof=1)) / n / scale**2 if n > 1 else 0.0
        over_builds = 0.0
        if self.without is not None:
            rates = np.mean(self.without, axis=1) / scale
            over_builds = float(np.var(rates)) * (self.k - 1)
        variance = over_examples + over_builds
        if variance <= 0:
            low, high = exact_bounds(rate * n, n, confidence)
            return low * scale, high * scale
        # Satterthwaite's degrees of freedom: of k builds there are but k - 1.
        freedom = variance**2 / (
            over_examples**2 / max(1, n - 1) + over_builds**2 / max(1, self.k - 1)
        )
        widening = 1.0
        if confidence > 0.5:
            widening = float(stdtrit(n - 1, confidence) / stdtrit(freedom, confidence)) ** 2
        effective = min(float(n), rate * (1 - rate) / variance * widening)
        low, high = exact_bounds(rate * effective, effective, confidence)
        return low * scale, high * scale

    def align(self, ids: Sequence[Hashable]) -> NoiseFloor:
        """Return the floor of some of its examples, in their order.

        Raises:
            ComparisonError: If it does not hold them all.
        """
        if tuple(ids) == self.ids:
            return self
        positions = {example: position for position, example in enumerate(self.ids)}
        missing = [example for example in ids if example not in positions]
        if missing:
            raise ComparisonError(
                f"the noise floor lacks {len(missing)} of {len(ids)} examples, the first "
                f"{missing[0]!r}",
                hint="measure the noise floor on all examples of the comparison",
            )
        order = np.array([positions[example] for example in ids], dtype=np.intp)
        without = None if self.without is None else self.without[:, order]
        return replace(self, ids=tuple(ids), shares=self.shares[order], without=without)


def noise_floor(
    builds: ArrayLike | Sequence[Predictions],
    ids: Sequence[Hashable] | None = None,
    *,
    tolerance: float | None = None,
    varied: str = "",
    version: str = "",
) -> NoiseFloor:
    """Return the noise floor of k builds of the same version.

    Args:
        builds: The predictions of each build, aligned by id, k of them; or whether each build has
            an example right, bool, or its scores, [k, n].
        ids: The examples' ids, [n]; by default those of the first predictions, else positions.
        tolerance: With scores, falls up to this are none; by default that of the predictions.
        varied: How the builds differ, for reports.
        version: Which version was built, for reports.

    Raises:
        ComparisonError: If there are fewer than two builds, no examples, not as many ids as
            examples, scores without a tolerance, or predictions that cannot be compared.
    """
    if _are_tables(builds):
        floor = _floor_of_tables(builds, tolerance)
        floor = floor if ids is None else floor.align(ids)
    else:
        floor = _floor_of_array(np.asarray(builds), ids, tolerance)
    return replace(floor, varied=varied, version=version)


def _are_tables(builds: Any) -> TypeGuard[Sequence[Predictions]]:
    return (
        isinstance(builds, list | tuple)
        and bool(builds)
        and all(isinstance(build, Predictions) for build in builds)
    )


def _floor_of_tables(builds: Sequence[Predictions], tolerance: float | None) -> NoiseFloor:
    """Return the floor of tables, whose flips are those that `compare` finds."""
    first, *others = (
        builds if tolerance is None else [replace(table, tolerance=tolerance) for table in builds]
    )
    tables = [first]
    for other in others:
        order = align_tables(first, other)[1]
        same = other if order is None else replace(other, rows=other.columns.take(order))
        tables.append(same)

    def differ(i: int, j: int) -> Mask:
        pairs = align_tables(tables[i], tables[j])[0]
        return np.asarray(pairs.negative | pairs.positive, dtype=np.bool_)

    graded = any(table.graded for table in tables)
    return _floor(tuple(first.columns.ids), len(tables), differ, graded=graded)


def _floor_of_array(
    table: NDArray[Any], ids: Sequence[Hashable] | None, tolerance: float | None
) -> NoiseFloor:
    if table.ndim != 2 or not table.shape[1]:
        raise ComparisonError(
            f"builds are a table of builds by examples, not one of shape {table.shape}",
            hint="give a row for each build, with an element for each example; or predictions",
        )
    k, n = table.shape
    names = tuple(range(n)) if ids is None else tuple(ids)
    if len(names) != n or len(set(names)) != n:
        raise ComparisonError(f"{len(set(names))} different ids for {n} examples")
    graded = table.dtype != np.bool_
    if graded and tolerance is None:
        raise ComparisonError(
            "a noise floor of scores needs to know what counts as a fall",
            hint="give tolerance=0.0, or whether each answer is right (bool)",
        )

    def differ(i: int, j: int) -> Mask:
        if not graded:
            return np.asarray(table[i] != table[j], dtype=np.bool_)
        assert tolerance is not None
        change = np.abs(table[i].astype(np.float64) - table[j].astype(np.float64))
        return np.asarray(change > tolerance + ROUNDING, dtype=np.bool_)

    return _floor(names, k, differ, graded=graded)


def _floor(
    names: tuple[Hashable, ...], k: int, differ: Callable[[int, int], Mask], *, graded: bool
) -> NoiseFloor:
    """Return the floor of k builds; where two differ, one order of the two is a flip.

    Args:
        names: The examples' ids, [n].
        k: Number of builds.
        differ: Returns where two builds differ, [n].
        graded: Whether scores are graded, so that all builds can differ from each other.
    """
    if k < 2:
        raise ComparisonError(
            "a noise floor needs two builds or more of the same version",
            hint="build the same version again, with another seed for instance",
        )
    falls = np.zeros((k, len(names)), dtype=np.int64)  # of the pairs that a build is in
    for i in range(k):
        for j in range(i):
            fell = differ(i, j)
            falls[i] += fell
            falls[j] += fell
    total = falls.sum(axis=0) // 2
    without = (total - falls) / ((k - 1) * (k - 2)) if k > 2 else None
    most = k * (k - 1) // 2 if graded else k // 2 * (k - k // 2)
    return NoiseFloor(names, total / (k * (k - 1)), most / (k * (k - 1)), k, without=without)


def excess(negative: Mask, floor: NoiseFloor) -> float:
    """Return the negative flip rate less the noise floor of the same examples, in [-0.5, 1].

    Args:
        negative: Where the old answer is right and the new one wrong, [n].
        floor: The floor, aligned with these examples.

    Raises:
        ComparisonError: If the two are not of the same length.
    """
    _check(negative, floor)
    return float(np.mean(negative)) - floor.rate


def excess_interval(
    negative: Mask, floor: NoiseFloor, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the two-sided interval of the excess; see `excess_upper_bound`.

    Raises:
        ComparisonError: If the two are not of the same length.
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    check_confidence(confidence)
    _check(negative, floor)
    return _excess_bounds(negative, floor, (1 + confidence) / 2)


def excess_upper_bound(negative: Mask, floor: NoiseFloor, confidence: float = 0.95) -> float:
    """Return the one-sided upper confidence bound of the excess, for this old and new build.

    The exact bounds of the flip rate and those of the floor (`NoiseFloor.interval`: of three and
    more builds it covers other builds too) are squared and added (MOVER; Zou & Donner 2008), with
    their correlation over examples; where either has fewer than 20 flips, only a negative one
    counts. Without any flip in the floor it is the exact bound of the flip rate, and so holds where
    flips are rare.

    Args:
        negative: Where the old answer is right and the new one wrong, [n].
        floor: The floor, aligned with these examples.
        confidence: Of the bound, one-sided.

    Raises:
        ComparisonError: If the two are not of the same length.
        ValueError: If `confidence` is not strictly between 0 and 1.
    """
    check_confidence(confidence)
    _check(negative, floor)
    return _excess_bounds(negative, floor, confidence)[1]


def _excess_bounds(negative: Mask, floor: NoiseFloor, confidence: float) -> tuple[float, float]:
    flips, n = int(np.count_nonzero(negative)), len(floor)
    low, high = exact_bounds(flips, n, confidence)
    floor_low, floor_high = floor.bounds(confidence)
    rate, noise = flips / n, floor.rate
    unstable = int(np.count_nonzero(floor.shares))
    correlation = 0.0
    if 0 < flips < n and np.ptp(floor.shares) > 0:
        correlation = float(np.corrcoef(negative, floor.shares)[0, 1])
        if min(flips, unstable) < FEW:
            correlation = min(0.0, correlation)
        if floor.without is not None:
            # Builds drawn anew share nothing with this comparison: only examples do.
            correlation *= _share_of_examples(floor)
    difference = rate - noise
    return (
        difference - _reach(rate - low, floor_high - noise, correlation),
        difference + _reach(high - rate, noise - floor_low, correlation),
    )


def _share_of_examples(floor: NoiseFloor) -> float:
    """Return the part of the floor's standard error that examples make, 0-1."""
    assert floor.without is not None
    over_examples = float(np.var(floor.shares)) / len(floor)
    over_builds = float(np.var(np.mean(floor.without, axis=1))) * (floor.k - 1)
    return math.sqrt(over_examples / (over_examples + over_builds))


def _reach(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(0.0, first**2 + second**2 - 2 * correlation * first * second))


def _check(negative: Mask, floor: NoiseFloor) -> None:
    if len(negative) != len(floor):
        raise ComparisonError(
            f"{len(negative)} examples are compared, and the noise floor has {len(floor)}",
            hint="align the floor with the comparison's ids (floor.align)",
        )
