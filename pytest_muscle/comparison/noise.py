"""The noise floor: how many flips there are between builds of the same version."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_muscle.comparison.intervals import check_confidence, exact_bounds
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions.packed import Mask

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
        without: The shares without each of the builds in turn, [k, n]; none of two builds.
    """

    ids: tuple[Hashable, ...]
    shares: NDArray[np.float64] = field(repr=False)
    largest_share: float
    k: int
    varied: str = ""
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
    builds: ArrayLike,
    ids: Sequence[Hashable] | None = None,
    *,
    tolerance: float | None = None,
    varied: str = "",
) -> NoiseFloor:
    """Return the noise floor of k builds of the same version.

    Args:
        builds: Whether each build has an example right, bool, or its scores, [k, n].
        ids: The examples' ids, [n]; their positions by default.
        tolerance: With scores, falls up to this are none.
        varied: How the builds differ, for reports.

    Raises:
        ComparisonError: If there are fewer than two builds, no examples, not as many ids as
            examples, or scores without a tolerance.
    """
    table = np.asarray(builds)
    if table.ndim != 2 or len(table) < 2 or not table.shape[1]:
        raise ComparisonError(
            f"a noise floor needs two builds or more of the same examples, not {table.shape}",
            hint="build the same version again, with another seed for instance",
        )
    k, n = table.shape
    names = tuple(range(n)) if ids is None else tuple(ids)
    if len(names) != n or len(set(names)) != n:
        raise ComparisonError(f"{len(set(names))} different ids for {n} examples")
    if table.dtype != np.bool_ and tolerance is None:
        raise ComparisonError(
            "a noise floor of scores needs to know what counts as a fall",
            hint="give tolerance=0.0, or whether each answer is right (bool)",
        )
    falls = np.zeros((k, n), dtype=np.int64)  # of the pairs that a build is in
    for i in range(k):
        for j in range(i):
            fell = _fell(table[i], table[j], tolerance) | _fell(table[j], table[i], tolerance)
            falls[i] += fell
            falls[j] += fell
    total = falls.sum(axis=0) // 2
    without = (total - falls) / ((k - 1) * (k - 2)) if k > 2 else None
    # Of two builds in which an example differs, one order of the two is a flip.
    most = k // 2 * (k - k // 2) if table.dtype == np.bool_ else k * (k - 1) // 2
    return NoiseFloor(names, total / (k * (k - 1)), most / (k * (k - 1)), k, varied, without)


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


def _fell(before: NDArray[Any], after: NDArray[Any], tolerance: float | None) -> Mask:
    if tolerance is None:
        return np.asarray(before & ~after, dtype=np.bool_)
    falls = before.astype(np.float64) - after.astype(np.float64)
    return np.asarray(falls > tolerance, dtype=np.bool_)


def _check(negative: Mask, floor: NoiseFloor) -> None:
    if len(negative) != len(floor):
        raise ComparisonError(
            f"{len(negative)} examples are compared, and the noise floor has {len(floor)}",
            hint="align the floor with the comparison's ids (floor.align)",
        )
