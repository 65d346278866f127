"""One number held against its limit: what is judged, how surely, and what would decide it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions.prediction import ROUNDING, SCORE_ALL
from pytest_muscle.predictions.stop import ASK_ALL, Stop

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.comparison.noise import NoiseFloor
    from pytest_muscle.comparison.planning import GatePlan

LIKELY = 0.95
"""Confidence by which a limit counts as passed or kept for sure, where none is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One number held against its limit.

    Attributes:
        measure: What was measured, in words.
        value: The point estimate; a fraction 0-1 unless `unit` is "score".
        limit: The largest value allowed, or the smallest one where `at_least` is set.
        at_least: Whether `limit` is the smallest value allowed.
        unit: "rate" (shown in per cent), "points" (of a difference of rates) or "score".
        note: The counts behind the value, as "97 of 2691".
        interval: Gives the two-sided 95 % interval, for information; asked on failure only.
        bound: The one-sided upper confidence bound, which is judged instead of the value.
        confidence: Of `bound`.
        stop: Where the new model was stopped, whose decision counts then; `value` is a lower bound.
        examples_to_decide: Gives how many examples would decide, at the rate that was seen, what
            these do not; none where these decide or no number does. Asked on failure only.
        plan: Gives what a limit on flips can tell with so many examples. Asked on failure only.
    """

    measure: str
    value: float
    limit: float
    at_least: bool = False
    unit: str = "rate"
    note: str | None = None
    interval: Callable[[], tuple[float, float]] | None = None
    bound: float | None = None
    confidence: float | None = None
    examples_to_decide: Callable[[], int | None] | None = None
    plan: Callable[[], GatePlan] | None = None
    stop: Stop | None = None

    @property
    def judged(self) -> float:
        """What is held against the limit: the bound if there is one, else the value."""
        return self.value if self.bound is None else self.bound

    @property
    def exceeded(self) -> bool:
        """Whether the limit is passed by more than the error of floating point numbers."""
        if self.stop is not None:
            return self.stop.decision == "fails"
        if self.at_least:
            return self.judged < self.limit - ROUNDING
        return self.judged > self.limit + ROUNDING


def check_flips(
    report: FlipReport, limit: float, confidence: float | None, method: str = "exact"
) -> Check:
    """Hold the negative flip rate against a limit.

    Raises:
        ComparisonError: If it is not known, or there is no such method.
    """
    from pytest_muscle.comparison.intervals import find_bounds

    find_bounds(method)
    if report.stop is not None:
        return _check_stopped(report, report.stop, limit, confidence, method)
    flips = len(report.negative_flips)

    def examples_to_decide() -> int | None:
        from pytest_muscle.comparison.intervals import examples_to_decide

        needed = examples_to_decide(flips, report.n, limit, confidence or LIKELY, method)
        return None if needed == report.n else needed

    return Check(
        measure="negative flip rate",
        value=report.negative_flip_rate,
        limit=limit,
        note=f"{flips} of {report.n}",
        interval=lambda: report.negative_flip_interval(method=method),
        bound=None if confidence is None else report.negative_flip_upper_bound(confidence, method),
        confidence=confidence,
        examples_to_decide=examples_to_decide,
        plan=lambda: _plan(report.n, limit, confidence, method),
    )


def _check_stopped(
    report: FlipReport, stop: Stop, limit: float, confidence: float | None, method: str
) -> Check:
    """Hold what decided a gate early against its limit.

    Raises:
        ComparisonError: If it is another limit.
    """
    __tracebackhide__ = True
    if not stop.judges(limit, confidence, method):
        raise ComparisonError(
            f"what is asserted was not decided: the gate stopped early, {stop.describe()}",
            where=report.task,
            hint=f"{ASK_ALL}, or assert what it decided: {stop.describe_gate()}",
        )
    bound = "" if confidence is None else f"{100 * confidence:g} % upper bound of the "
    return Check(
        measure=f"{bound}negative flip rate",
        value=stop.flips / stop.population,
        limit=limit,
        note=f"{stop.flips} of {stop.asked:,} asked",
        stop=stop,
    )


def check_drop(report: FlipReport, limit: float, confidence: float | None) -> Check:
    """Hold the accuracy drop, of graded scores that of their mean, against a limit.

    Raises:
        ComparisonError: If it is not known.
    """
    graded = report.pairs.graded
    return Check(
        measure="drop of the mean score" if graded else "accuracy drop",
        value=report.accuracy_drop,
        limit=limit,
        unit="score" if graded else "points",
        interval=report.accuracy_drop_interval,
        bound=None if confidence is None else report.accuracy_drop_upper_bound(confidence),
        confidence=confidence,
    )


def check_inconsistency(report: FlipReport, limit: float) -> Check:
    """Hold the inconsistency rate against a limit.

    Raises:
        ComparisonError: If it is not known.
    """
    rate = report.inconsistency_rate
    return Check(
        measure="inconsistency rate",
        value=rate,
        limit=limit,
        note=f"{round(rate * report.n)} of {report.n}",
    )


def check_regress(report: FlipReport, limit: float, confidence: float | None) -> Check:
    """Hold the mean fall of the scores that fall against a limit.

    Raises:
        ComparisonError: If it is not known.
    """
    return Check(
        measure="mean regress of the score",
        value=report.mean_regress,
        limit=limit,
        unit="score",
        bound=None if confidence is None else report.mean_regress_upper_bound(confidence),
        confidence=confidence,
    )


def check_slices(
    report: FlipReport,
    limit: float,
    confidence: float | None,
    method: str = "exact",
    *,
    at_once: bool = False,
) -> list[Check]:
    """Hold the negative flip rate of each slice against a limit.

    Args:
        report: The comparison.
        limit: The largest rate allowed in each, a fraction 0-1.
        confidence: Of the one-sided bounds; none judges the rates themselves.
        method: The bounds' name in `INTERVALS`.
        at_once: Whether the confidence is held for all slices at once, not for each.

    Returns:
        A check for each slice that passes it; else one, of the slice that comes closest.

    Raises:
        ComparisonError: If there are no slices, or the rates are not known.
    """
    from pytest_muscle.comparison.families import family_confidence
    from pytest_muscle.comparison.intervals import rate_interval, upper_bound
    from pytest_muscle.comparison.slices import report_slices

    slices = report_slices(report)
    if at_once and confidence is not None and slices:
        confidence = family_confidence(confidence, len(slices))
    checks = [
        Check(
            measure=f"negative flip rate of {group.column} = {group.value}",
            value=group.negative_flip_rate,
            limit=limit,
            note=f"{group.negative_flips} of {group.n}",
            interval=lambda group=group: rate_interval(  # type: ignore[misc]
                group.negative_flips, group.n, 0.95, method
            ),
            bound=(
                None
                if confidence is None
                else upper_bound(group.negative_flips, group.n, confidence, method)
            ),
            confidence=confidence,
            plan=lambda group=group: _plan(  # type: ignore[misc]
                group.n, limit, confidence, method
            ),
        )
        for group in slices
    ]
    if not checks:
        raise ComparisonError(
            "there is nothing to slice by",
            where=report.task,
            hint='name columns of the data in the task: slices = ["column"]',
        )
    return [check for check in checks if check.exceeded] or [
        max(checks, key=lambda check: check.judged)
    ]


def check_excess(
    report: FlipReport, floor: NoiseFloor, limit: float, confidence: float | None
) -> Check:
    """Hold what the negative flip rate is above the noise floor against a limit.

    Raises:
        ComparisonError: If the floor is none, or not of these examples.
    """
    from pytest_muscle.comparison.noise import (
        NoiseFloor,
        excess,
        excess_interval,
        excess_upper_bound,
    )

    if not isinstance(floor, NoiseFloor):
        raise ComparisonError(
            f"floor={floor!r} is no noise floor",
            where=report.task,
            hint="give the fixture `noise_floor`, or noise_floor([predictions, …]) of several "
            "builds; for a limit that is known use assert_negative_flip_rate",
        )
    negative, aligned = report.pairs.negative, floor.align(report.pairs.ids)
    rate, below = 100 * report.negative_flip_rate, 100 * aligned.rate
    return Check(
        measure="negative flip rate above the noise floor",
        value=excess(negative, aligned),
        limit=limit,
        unit="points",
        note=f"{rate:.2f} % less a floor of {below:.2f} %, from {floor.k} builds",
        interval=lambda: excess_interval(negative, aligned, LIKELY),
        bound=None if confidence is None else excess_upper_bound(negative, aligned, confidence),
        confidence=confidence,
    )


def _plan(n: int, limit: float, confidence: float | None, method: str) -> GatePlan:
    from pytest_muscle.comparison.planning import plan_gate

    return plan_gate(n, limit, confidence=confidence, method=method)


def require_all(report: FlipReport, what: str, instead: str | None = None) -> None:
    """Raise if what is judged needs answers that the new model was not asked for.

    Args:
        report: The comparison.
        what: What needs them.
        instead: What the user can do but ask for them.

    Raises:
        ComparisonError: It says how many are missing.
    """
    __tracebackhide__ = True
    hint = f"{SCORE_ALL}, or {instead}" if instead else SCORE_ALL
    report.pairs.require_all(what, where=report.task, hint=hint)


def require(name: str, value: Any, *, lowest: float = 0, highest: float = 1) -> None:
    """Raise if an argument is not a number within limits.

    Raises:
        ValueError: It says which fraction may have been meant.
    """
    number = float(value) if isinstance(value, Real) else math.nan
    if not lowest <= number <= highest:
        if highest == math.inf:
            raise ValueError(f"{name}={value!r} is not a number of at least {lowest}")
        hint = f"; for {number:g} % write {number / 100:g}" if 1 < number <= 100 else ""
        raise ValueError(f"{name}={value!r} is not a fraction between {lowest} and {highest}{hint}")


def require_confidence(confidence: float | None) -> None:
    """Raise if a confidence is none and not strictly between 0 and 1.

    Raises:
        ValueError: With a sentence that says so.
    """
    if confidence is not None:
        from pytest_muscle.comparison.intervals import check_confidence

        check_confidence(confidence)


def failed(checks: Sequence[Check]) -> bool:
    """Return whether one of several limits is passed."""
    return any(check.exceeded for check in checks)
