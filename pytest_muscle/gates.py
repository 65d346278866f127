"""All limits of a gate at once, as `[gate]` of muscle.toml sets them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from pytest_muscle.checks import (
    Check,
    check_drop,
    check_excess,
    check_flips,
    check_inconsistency,
    check_regress,
    check_slices,
    require,
    require_all,
    require_confidence,
)

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.comparison.noise import NoiseFloor


class Gate(Protocol):
    """The limits of `assert_gate`; each may be none.

    What else `GateSettings` has (`max_mean_regress`, `max_slice_nfr`, `interval`, `family_wise`,
    `judged_confidence`) counts where an object has it.
    """

    @property
    def max_nfr(self) -> float | str | None:
        """Largest negative flip rate, 0-1, or "floor + 0.01": above the noise floor."""

    @property
    def confidence(self) -> float | None:
        """Confidence of the upper bounds that are judged; none judges the point estimates."""

    @property
    def max_accuracy_drop(self) -> float | None:
        """Largest loss of accuracy, a fraction; negative asks for a gain."""

    @property
    def max_inconsistency(self) -> float | None:
        """Largest inconsistency rate, 0-1."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A gate's limits, checked.

    Attributes:
        max_nfr: Largest negative flip rate, 0-1.
        floor_margin: Largest negative flip rate above the noise floor, 0-1.
        max_accuracy_drop: Largest loss of accuracy, or of the mean score.
        max_inconsistency: Largest inconsistency rate, 0-1.
        max_mean_regress: Largest mean fall of the scores that fall.
        max_slice_nfr: Largest negative flip rate of each slice, 0-1.
        confidence: Of the bounds that are judged; none judges the point estimates.
        interval: Method of the bounds of rates.
        family_wise: Whether the confidence is held for all slices at once.
    """

    max_nfr: float | None = None
    floor_margin: float | None = None
    max_accuracy_drop: float | None = None
    max_inconsistency: float | None = None
    max_mean_regress: float | None = None
    max_slice_nfr: float | None = None
    confidence: float | None = None
    interval: str = "exact"
    family_wise: bool = False

    def only(self, name: str) -> Limits:
        """Return one of the limits alone, judged as before; `max_nfr` with its margin."""
        kept = {name, "floor_margin"} if name == "max_nfr" else {name}
        others = {*LOWEST, "floor_margin"} - kept
        none: dict[str, Any] = dict.fromkeys(others)
        return replace(self, **none)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is limited."""
        return all(getattr(self, name) is None for name in (*LOWEST, "floor_margin"))


LOWEST: dict[str, float] = {
    "max_nfr": 0,
    "max_accuracy_drop": -1,
    "max_inconsistency": 0,
    "max_mean_regress": 0,
    "max_slice_nfr": 0,
}
"""The limits by name, and the least value of each."""


def read_gate(gate: Gate) -> Limits:
    """Return a gate's limits.

    Raises:
        ValueError: If one is out of range, or none is set: such a gate passes everything.
    """
    from pytest_muscle.settings.limits import floor_margin

    values: dict[str, Any] = {name: getattr(gate, name, None) for name in LOWEST}
    margin = floor_margin(values["max_nfr"])
    if margin is not None:
        values["max_nfr"] = None
    confidence = getattr(gate, "judged_confidence", gate.confidence)
    require_confidence(confidence)
    for name, lowest in LOWEST.items():
        if values[name] is not None:
            highest = math.inf if name == "max_mean_regress" else 1
            require(name, values[name], lowest=lowest, highest=highest)
    limits = Limits(
        **values,
        floor_margin=margin,
        confidence=confidence,
        interval=getattr(gate, "interval", "exact"),
        family_wise=getattr(gate, "family_wise", False),
    )
    if limits.is_empty:
        raise ValueError(
            "the gate has no limit and would pass everything: set max_nfr, max_accuracy_drop or "
            "max_inconsistency in [gate] of muscle.toml"
        )
    return limits


def check_limits(
    report: FlipReport, limits: Limits, floor: NoiseFloor | None = None
) -> list[Check]:
    """Hold a comparison against all limits of a gate.

    Args:
        report: The comparison.
        limits: The limits; those that are none are not checked.
        floor: The noise floor, where a limit is above it.

    Raises:
        ComparisonError: If a limit needs answers that are not known.
        ComparisonError: If a limit is above the noise floor and none is given.
    """
    for name in ("max_accuracy_drop", "max_inconsistency", "max_mean_regress"):
        if getattr(limits, name) is not None:
            require_all(report, f"[gate] {name}", f"leave {name} out")
    confidence, method = limits.confidence, limits.interval
    checks: list[Check] = []
    if limits.max_nfr is not None:
        checks.append(check_flips(report, limits.max_nfr, confidence, method))
    if limits.floor_margin is not None:
        if floor is None:
            from pytest_muscle.errors import ComparisonError

            raise ComparisonError(
                "max_nfr is above the noise floor, and assert_gate got no floor",
                hint="ask for the fixture `noise_floor` and give floor=noise_floor",
            )
        checks.append(check_excess(report, floor, limits.floor_margin, confidence))
    if limits.max_accuracy_drop is not None:
        checks.append(check_drop(report, limits.max_accuracy_drop, confidence))
    if limits.max_inconsistency is not None:
        checks.append(check_inconsistency(report, limits.max_inconsistency))
    if limits.max_mean_regress is not None:
        checks.append(check_regress(report, limits.max_mean_regress, confidence))
    if limits.max_slice_nfr is not None:
        checks += check_slices(
            report, limits.max_slice_nfr, confidence, method, at_once=limits.family_wise
        )
    return checks
