"""What a gate on a rate can tell with so many examples, before they are run, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_muscle.comparison.intervals import (
    MOST_EXAMPLES,
    check_confidence,
    exact_bounds,
    find_bounds,
    first,
)


@dataclass(frozen=True)
class GatePlan:
    """What a gate `rate <= limit` over n examples can pass and notice; rates are fractions 0-1.

    Attributes:
        n: Number of examples.
        limit: The largest rate allowed.
        confidence: Of the one-sided upper bound that is gated; none gates on the rate seen.
        power: The probability asked of `passing_rate` and `detectable_rate`.
        method: The bound's name in `INTERVALS`.
        most_flips: The largest count that passes; none if not even 0 does.
        examples_to_pass: The fewest examples at which 0 flips pass; none if no number does.
        passing_rate: The largest true rate at which the gate passes with probability `power` or
            more; none if it cannot pass.
        detectable_rate: The smallest true rate above the limit that shows with probability `power`
            or more, in an exact one-sided test of rate <= limit at that confidence, or without
            confidence in a gate that fails; none if no rate does.
    """

    n: int
    limit: float
    confidence: float | None
    power: float
    method: str
    most_flips: int | None
    examples_to_pass: int | None
    passing_rate: float | None
    detectable_rate: float | None

    @property
    def can_pass(self) -> bool:
        """Whether any count passes."""
        return self.most_flips is not None

    @property
    def smallest_excess(self) -> float | None:
        """How far above the limit `detectable_rate` is."""
        return None if self.detectable_rate is None else self.detectable_rate - self.limit

    def passing_probability(self, rate: float) -> float:
        """Return how probably the gate passes where the true rate is `rate`."""
        if self.most_flips is None:
            return 0.0
        from scipy.special import bdtr

        return float(bdtr(self.most_flips, self.n, rate))


def plan_gate(
    n: int,
    limit: float,
    *,
    confidence: float | None,
    power: float = 0.8,
    method: str = "exact",
) -> GatePlan:
    """Plan a gate `rate <= limit`, by the binomial distribution of the count.

    Args:
        n: Number of examples, at least 1.
        limit: The largest rate allowed, a fraction 0-1.
        confidence: Of the one-sided upper bound that is gated; none gates on the rate seen.
        power: The probability with which a rate should pass or be noticed.
        method: The bound's name in `INTERVALS`.

    Raises:
        ComparisonError: If there is no such method.
        ValueError: If `n`, `limit`, `confidence` or `power` is out of range.
    """
    if n < 1:
        raise ValueError(f"n={n!r} is no number of examples; give 1 or more")
    if not 0 <= limit <= 1:
        raise ValueError(f"limit={limit!r} is not a fraction between 0 and 1")
    if not 0 < power < 1:
        raise ValueError(f"power={power!r} is not between 0 and 1, both excluded")
    if confidence is not None:
        check_confidence(confidence)
    bounds = find_bounds(method)

    def passes(flips: int, examples: int) -> bool:
        if confidence is None:
            return flips / examples <= limit
        return bounds(flips, examples, confidence)[1] <= limit

    passing = first(lambda flips: not passes(flips, n), 0, n + 1)
    most = None if passing == 0 else n if passing is None else passing - 1
    noticed = _fewest_to_notice(n, limit, confidence, most)
    return GatePlan(
        n=n,
        limit=limit,
        confidence=confidence,
        power=power,
        method=method,
        most_flips=most,
        examples_to_pass=first(lambda examples: passes(0, examples), 1, MOST_EXAMPLES),
        passing_rate=None if most is None else exact_bounds(most, n, 1 - power)[1],
        detectable_rate=None if noticed is None else exact_bounds(noticed, n, 1 - power)[0],
    )


def _fewest_to_notice(
    n: int, limit: float, confidence: float | None, most: int | None
) -> int | None:
    """Return the smallest count that shows a rate above the limit; none if no count of n does."""
    if confidence is None:
        return None if most is None or most == n else most + 1
    # P(count >= k | rate = limit) <= 1 - confidence, which is the exact lower bound's definition.
    return first(lambda count: exact_bounds(count, n, confidence)[0] >= limit, 1, n + 1)
