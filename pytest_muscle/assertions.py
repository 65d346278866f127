"""Assertions on a model update; a failure shows the examples that flipped.

Each takes `Predictions` (or what `compare` takes without gold answers), returns the `FlipReport`
it judged, and raises `FlipAssertionError` where a limit is passed. Limits are fractions: 0.02 is
2 %. With `confidence` it is the one-sided upper confidence bound that must keep the limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_muscle.checks import (
    Check,
    check_drop,
    check_excess,
    check_flips,
    check_inconsistency,
    check_regress,
    failed,
    require,
    require_all,
    require_confidence,
)
from pytest_muscle.gates import Gate, check_limits, read_gate
from pytest_muscle.reports.failure import render_failure

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.comparison.noise import NoiseFloor
    from pytest_muscle.predictions import Predictions


class FlipAssertionError(AssertionError):
    """A limit was exceeded. Its text is made when it is asked for.

    Attributes:
        report: The report that was judged.
        checks: Everything that was checked.
        before: Old against new, where `report` is old against compat and both are judged.
        newer: What was held against the old model: "new" or "compat".
        flips_shown: How many flipped examples the text shows; none shows all.
    """

    flips_shown: int | None = 10

    def __init__(
        self,
        report: FlipReport,
        checks: Sequence[Check],
        before: FlipReport | None = None,
        newer: str = "new",
    ) -> None:
        super().__init__(report, checks, before, newer)
        self.report = report
        self.checks = tuple(checks)
        self.before = before
        self.newer = newer if before is None else "compat"

    @property
    def exceeded(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.exceeded)

    def __str__(self) -> str:
        return render_failure(
            self.report,
            self.checks,
            before=self.before,
            newer=self.newer,
            flips_shown=self.flips_shown,
        )


def assert_negative_flip_rate(
    old: Predictions,
    new: Predictions,
    *,
    max_rate: float,
    confidence: float | None = None,
    interval: str = "exact",
) -> FlipReport:
    """Assert that at most a share `max_rate` of all examples flips from right to wrong.

    Args:
        old: The old model's predictions.
        new: The new model's predictions.
        max_rate: Largest negative flip rate allowed, 0-1.
        confidence: Judge the one-sided upper bound at this confidence instead.
        interval: Of rates: "exact" (Clopper-Pearson) or "wilson".

    Raises:
        FlipAssertionError: If more flip.
        ComparisonError: If the two cannot be compared.
        ValueError: If an argument is out of range.
    """
    __tracebackhide__ = True
    require("max_rate", max_rate)
    require_confidence(confidence)
    report = _compare(old, new)
    return judge(report, [check_flips(report, max_rate, confidence, interval)])


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
    require("max_rate", max_rate)
    report = _compare(old, new)
    require_all(report, "the inconsistency rate")
    return judge(report, [check_inconsistency(report, max_rate)])


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
    require("max_drop", max_drop, lowest=-1)
    require_confidence(confidence)
    report = _compare(old, new)
    require_all(report, "the accuracy drop")
    return judge(report, [check_drop(report, max_drop, confidence)])


def assert_mean_regress(
    old: Predictions, new: Predictions, *, max_regress: float, confidence: float | None = None
) -> FlipReport:
    """Assert that where the score falls, it falls by at most `max_regress` on average.

    Args:
        old: The old model's predictions.
        new: The new model's predictions.
        max_regress: Largest mean fall allowed, in the score's own unit, as 0.05 of ROUGE's 0-1.
        confidence: Judge the one-sided upper bound (paired bootstrap) instead.

    Raises:
        FlipAssertionError: If it falls by more.
        ComparisonError: If the two cannot be compared.
        ValueError: If an argument is out of range.
    """
    __tracebackhide__ = True
    require("max_regress", max_regress, highest=math.inf)
    require_confidence(confidence)
    report = _compare(old, new)
    require_all(report, "the mean regress")
    return judge(report, [check_regress(report, max_regress, confidence)])


def assert_within_noise_floor(
    old: Predictions,
    new: Predictions,
    *,
    floor: NoiseFloor,
    max_excess: float = 0.0,
    confidence: float | None = None,
) -> FlipReport:
    """Assert that old and new differ by no more negative flips than builds of one version do.

    Args:
        old: The old model's predictions.
        new: The new model's predictions.
        floor: The noise floor, from the fixture `noise_floor` or `noise_floor(builds)`.
        max_excess: Largest negative flip rate above the floor allowed, 0-1.
        confidence: Judge the one-sided upper bound of the excess instead.

    Raises:
        FlipAssertionError: If more flip.
        ComparisonError: If the two cannot be compared, or the floor is of other examples.
        ValueError: If an argument is out of range.
    """
    __tracebackhide__ = True
    require("max_excess", max_excess)
    require_confidence(confidence)
    report = _compare(old, new)
    return judge(report, [check_excess(report, floor, max_excess, confidence)])


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
    require("min_reduction", min_reduction)
    if max_accuracy_drop is not None:
        require("max_accuracy_drop", max_accuracy_drop, lowest=-1)
    before, report = _compare(old, new), _compare(old, compat)
    for each in (before, report):
        each.pairs.require_flips("the reduction of negative flips", where=each.task)
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
            require_all(each, "the accuracy drop from new to compat", leave_out)
        drop = Check(
            measure="accuracy drop, new → compat",
            value=report.accuracy_drop - before.accuracy_drop,
            limit=max_accuracy_drop,
            unit="points",
        )
        checks.append(drop)
    return judge(report, checks, before)


def assert_gate(
    old: Predictions, new: Predictions, *, gate: Gate, floor: NoiseFloor | None = None
) -> FlipReport:
    """Assert all limits of a gate, as `[gate]` of muscle.toml sets them; one error lists them all.

    Args:
        old: The old model's predictions.
        new: The new (or compat) model's predictions.
        gate: The limits; those that are none are not checked.
        floor: The noise floor, where `max_nfr` is a limit above it ("floor + 0.01").

    Raises:
        FlipAssertionError: If a limit is passed.
        ComparisonError: If the two cannot be compared, or a limit needs answers that are not
            known.
        ValueError: If a limit is out of range, or none is set: such a gate passes everything.
    """
    __tracebackhide__ = True
    limits = read_gate(gate)
    report = _compare(old, new)
    return judge(report, check_limits(report, limits, floor))


def _compare(old: Predictions, new: Predictions) -> FlipReport:
    from pytest_muscle.comparison import compare

    return compare(old, new)


def judge(
    report: FlipReport,
    checks: Sequence[Check],
    before: FlipReport | None = None,
    *,
    side: str = "new",
) -> FlipReport:
    """Return a report whose checks all hold.

    Args:
        report: What was judged.
        checks: Everything that was checked.
        before: Old against new, where `report` is old against compat and both are judged.
        side: What was held against the old model.

    Raises:
        FlipAssertionError: If one does not.
    """
    __tracebackhide__ = True
    if failed(checks):
        raise FlipAssertionError(report, checks, before, side)
    return report
