"""Assertions on a model update; a failure shows the examples that flipped.

Each takes `Predictions` (or what `compare` takes without gold answers), returns the `FlipReport`
it judged, and raises `FlipAssertionError` where a limit is passed. Limits are fractions: 0.02 is
2 %. With `confidence` it is the one-sided upper confidence bound that must keep the limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, Protocol

from pytest_muscle.predictions.prediction import SCORE_ALL
from pytest_muscle.reports.flips import Check, render_failure

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.predictions import Predictions


class Gate(Protocol):
    """The limits of `assert_gate`; each may be none."""

    @property
    def max_nfr(self) -> float | None:
        """Largest negative flip rate, 0-1."""

    @property
    def confidence(self) -> float | None:
        """Confidence of the upper bounds that are judged; none judges the point estimates."""

    @property
    def max_accuracy_drop(self) -> float | None:
        """Largest loss of accuracy, a fraction; negative asks for a gain."""

    @property
    def max_inconsistency(self) -> float | None:
        """Largest inconsistency rate, 0-1."""


class FlipAssertionError(AssertionError):
    """A limit was passed. Its text is made when it is asked for.

    Attributes:
        report: The report that was judged.
        checks: Everything that was checked.
        before: Old against new, where `report` is old against compat.
        flips_shown: How many flipped examples the text shows; none shows all.
    """

    flips_shown: int | None = 10

    def __init__(
        self, report: FlipReport, checks: Sequence[Check], before: FlipReport | None = None
    ) -> None:
        super().__init__(report, checks, before)
        self.report = report
        self.checks = tuple(checks)
        self.before = before

    @property
    def exceeded(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.exceeded)

    def __str__(self) -> str:
        return render_failure(
            self.report, self.checks, before=self.before, flips_shown=self.flips_shown
        )


def assert_negative_flip_rate(
    old: Predictions, new: Predictions, *, max_rate: float, confidence: float | None = None
) -> FlipReport:
    """Assert that at most a share `max_rate` of all examples flips from right to wrong.

    Args:
        old: The old model's predictions.
        new: The new model's predictions.
        max_rate: Largest negative flip rate allowed, 0-1.
        confidence: Judge the exact one-sided upper bound at this confidence instead.

    Raises:
        FlipAssertionError: If more flip.
        ComparisonError: If the two cannot be compared.
        ValueError: If an argument is out of range.
    """
    __tracebackhide__ = True
    _require("max_rate", max_rate)
    _require_confidence(confidence)
    report = _compare(old, new)
    return _judge(report, [_check_flips(report, max_rate, confidence)])


def assert_inconsistency_rate(old: Predictions, new: Predictions, *, max_rate: float) -> FlipReport:
    """Assert that at most a share `max_rate` of new answers is wrong and other than before.

    Args:
        old: The old model's predictions.
        new: The new model's predictions.
        max_rate: Largest inconsistency rate allowed, 0-1.

    Raises:
        FlipAssertionError: If there are more.
        ComparisonError: If the two cannot be compared.
        ValueError: If an argument is out of range.
    """
    __tracebackhide__ = True
    _require("max_rate", max_rate)
    report = _compare(old, new)
    _require_all(report, "the inconsistency rate")
    return _judge(report, [_check_inconsistency(report, max_rate)])


def assert_accuracy_drop(
    old: Predictions, new: Predictions, *, max_drop: float, confidence: float | None = None
) -> FlipReport:
    """Assert that accuracy falls by at most `max_drop`.

    Args:
        old: The old model's predictions.
        new: The new model's predictions.
        max_drop: Largest loss of accuracy allowed, a fraction; negative asks for a gain.
        confidence: Judge the one-sided upper bound (Bonett & Price 2012) instead.

    Raises:
        FlipAssertionError: If it falls by more.
        ComparisonError: If the two cannot be compared.
        ValueError: If an argument is out of range.
    """
    __tracebackhide__ = True
    _require("max_drop", max_drop, lowest=-1)
    _require_confidence(confidence)
    report = _compare(old, new)
    _require_all(report, "the accuracy drop")
    return _judge(report, [_check_drop(report, max_drop, confidence)])


def assert_mean_regress(old: Predictions, new: Predictions, *, max_regress: float) -> FlipReport:
    """Assert that where the score falls, it falls by at most `max_regress` on average.

    Args:
        old: The old model's predictions.
        new: The new model's predictions.
        max_regress: Largest mean fall allowed, in the score's own unit, 0-1.

    Raises:
        FlipAssertionError: If it falls by more.
        ComparisonError: If the two cannot be compared.
        ValueError: If an argument is out of range.
    """
    __tracebackhide__ = True
    _require("max_regress", max_regress)
    report = _compare(old, new)
    _require_all(report, "the mean regress")
    check = Check(
        measure="mean regress of the score",
        value=report.mean_regress,
        limit=max_regress,
        unit="score",
    )
    return _judge(report, [check])


def assert_flips_reduced(
    old: Predictions,
    new: Predictions,
    compat: Predictions,
    *,
    min_reduction: float,
    max_accuracy_drop: float | None = 0.0,
) -> FlipReport:
    """Assert that the compat model wins back a share of the new model's negative flips.

    Where the new model has no negative flips there is nothing to win back, and the compat model
    must have none either.

    Args:
        old: The old model's predictions.
        new: The new model's predictions.
        compat: The predictions of the new model with the compat adapter.
        min_reduction: Smallest relative reduction, 0-1: 1 - NFR(compat) / NFR(new).
        max_accuracy_drop: Largest loss of accuracy from new to compat allowed, a fraction; none
            leaves it out, as it must be with [run] score = "needed".

    Returns:
        The report of old against compat.

    Raises:
        FlipAssertionError: If fewer are won back, or accuracy falls by more.
        ComparisonError: If the three cannot be compared, or accuracy is not known.
        ValueError: If an argument is out of range.
    """
    __tracebackhide__ = True
    _require("min_reduction", min_reduction)
    if max_accuracy_drop is not None:
        _require("max_accuracy_drop", max_accuracy_drop, lowest=-1)
    before, report = _compare(old, new), _compare(old, compat)
    plain, left, n = len(before.negative_flips), len(report.negative_flips), report.n
    won_back = (plain - left) / plain if plain else (-math.inf if left else math.nan)
    checks = [
        Check(
            measure="reduction of negative flips, new → compat",
            value=won_back,
            limit=min_reduction,
            at_least=True,
            note=f"{plain} → {left} of {n}",
        )
    ]
    if max_accuracy_drop is not None:
        leave_out = "give max_accuracy_drop=None to judge flips alone"
        for each in (before, report):
            _require_all(each, "the accuracy drop from new to compat", leave_out)
        drop = Check(
            measure="accuracy drop, new → compat",
            value=report.accuracy_drop - before.accuracy_drop,
            limit=max_accuracy_drop,
            unit="points",
        )
        checks.append(drop)
    return _judge(report, checks, before)


def assert_gate(old: Predictions, new: Predictions, *, gate: Gate) -> FlipReport:
    """Assert all limits of a gate, as `[gate]` of muscle.toml sets them; one error lists them all.

    Args:
        old: The old model's predictions.
        new: The new (or compat) model's predictions.
        gate: The limits; those that are none are not checked.

    Raises:
        FlipAssertionError: If a limit is passed.
        ComparisonError: If the two cannot be compared, or a limit needs answers that are not
            known.
        ValueError: If a limit is out of range, or none is set: such a gate passes everything.
    """
    __tracebackhide__ = True
    _require_confidence(gate.confidence)
    if gate.max_nfr is None and gate.max_accuracy_drop is None and gate.max_inconsistency is None:
        raise ValueError(
            "the gate has no limit and would pass everything: set max_nfr, max_accuracy_drop or "
            "max_inconsistency in [gate] of muscle.toml"
        )
    for name, lowest in (("max_nfr", 0), ("max_accuracy_drop", -1), ("max_inconsistency", 0)):
        if getattr(gate, name) is not None:
            _require(name, getattr(gate, name), lowest=lowest)
    report = _compare(old, new)
    for name in ("max_accuracy_drop", "max_inconsistency"):
        if getattr(gate, name) is not None:
            _require_all(report, f"[gate] {name}", f"leave {name} out")
    checks: list[Check] = []
    if gate.max_nfr is not None:
        checks.append(_check_flips(report, gate.max_nfr, gate.confidence))
    if gate.max_accuracy_drop is not None:
        checks.append(_check_drop(report, gate.max_accuracy_drop, gate.confidence))
    if gate.max_inconsistency is not None:
        checks.append(_check_inconsistency(report, gate.max_inconsistency))
    return _judge(report, checks)


def _compare(old: Predictions, new: Predictions) -> FlipReport:
    from pytest_muscle.comparison import compare

    return compare(old, new)


def _require_all(report: FlipReport, what: str, instead: str | None = None) -> None:
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


def _judge(
    report: FlipReport, checks: Sequence[Check], before: FlipReport | None = None
) -> FlipReport:
    __tracebackhide__ = True
    if any(check.exceeded for check in checks):
        raise FlipAssertionError(report, checks, before)
    return report


def _check_flips(report: FlipReport, limit: float, confidence: float | None) -> Check:
    return Check(
        measure="negative flip rate",
        value=report.negative_flip_rate,
        limit=limit,
        note=f"{len(report.negative_flips)} of {report.n}",
        interval=report.negative_flip_interval,
        bound=None if confidence is None else report.negative_flip_upper_bound(confidence),
        confidence=confidence,
    )


def _check_drop(report: FlipReport, limit: float, confidence: float | None) -> Check:
    return Check(
        measure="accuracy drop",
        value=report.accuracy_drop,
        limit=limit,
        unit="points",
        bound=None if confidence is None else report.accuracy_drop_upper_bound(confidence),
        confidence=confidence,
    )


def _check_inconsistency(report: FlipReport, limit: float) -> Check:
    rate = report.inconsistency_rate
    return Check(
        measure="inconsistency rate",
        value=rate,
        limit=limit,
        note=f"{round(rate * report.n)} of {report.n}",
    )


def _require(name: str, value: Any, *, lowest: float = 0) -> None:
    number = float(value) if isinstance(value, Real) else math.nan
    if not lowest <= number <= 1:
        hint = f"; for {number:g} % write {number / 100:g}" if 1 < number <= 100 else ""
        raise ValueError(f"{name}={value!r} is not a fraction between {lowest} and 1{hint}")


def _require_confidence(confidence: float | None) -> None:
    if confidence is not None:
        from pytest_muscle.comparison.intervals import check_confidence

        check_confidence(confidence)
