"""What the limits of muscle.toml can tell with the examples at hand, before a model is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_muscle.comparison.families import family_confidence
from pytest_muscle.comparison.planning import GatePlan, plan_gate
from pytest_muscle.settings.limits import floor_margin

if TYPE_CHECKING:
    from pytest_muscle.settings import GateSettings, TaskSettings
    from pytest_muscle.tasks import Example
    from pytest_muscle.tasks.examples import SomeExamples

POWER = 0.8
"""The probability with which a rate should pass or be noticed."""


@dataclass(frozen=True, kw_only=True)
class LimitPlan:
    """One limit on negative flips, planned.

    Attributes:
        key: Of muscle.toml.
        gate: What it can tell: over all examples, or over those of the smallest slice.
        above_floor: Whether the limit is above the noise floor. Then it is planned for a floor of
            0, where the limit is its margin.
        smallest: Column and value of the smallest slice, of a limit of slices.
        slices: Number of all slices.
        too_small: How many of them cannot pass even without a flip.
    """

    key: Literal["max_nfr", "max_slice_nfr"]
    gate: GatePlan
    above_floor: bool = False
    smallest: tuple[str, str] | None = None
    slices: int = 0
    too_small: int = 0

    @property
    def never_passes(self) -> bool:
        """Whether it fails whatever the new model answers.

        Above a noise floor it does not: fewer flips than the floor has may pass.
        """
        return not self.above_floor and not self.gate.can_pass


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """The planned limits of one task.

    Attributes:
        task: Name of the task.
        n: Number of its evaluation examples.
        settings: The task's gate, limits that are not planned included.
        limits: The plans of `max_nfr` and `max_slice_nfr`, those that are set.
    """

    task: str
    n: int
    settings: GateSettings
    limits: tuple[LimitPlan, ...]

    @property
    def never_passes(self) -> bool:
        """Whether the gate fails whatever the new model answers."""
        return any(limit.never_passes for limit in self.limits)


def plan_task(
    name: str,
    settings: TaskSettings,
    examples: Sequence[Example] | SomeExamples,
    power: float = POWER,
) -> TaskPlan:
    """Plan a task's limits on negative flips.

    Args:
        name: Name of the task.
        settings: Its table in muscle.toml.
        examples: Its evaluation examples; gone through only where slices are limited.
        power: The probability with which a rate should pass or be noticed.

    Raises:
        DataError: If a row is not usable.
        ValueError: If `power` is out of range.
    """
    gate = settings.gate
    planned = [
        plan_flips(gate, len(examples), power),
        _plan_slices(gate, settings.slices, examples, power),
    ]
    limits = tuple(limit for limit in planned if limit is not None)
    return TaskPlan(task=name, n=len(examples), settings=gate, limits=limits)


def plan_flips(gate: GateSettings, n: int, power: float = POWER) -> LimitPlan | None:
    """Plan `max_nfr` over n examples; none where it is not set."""
    margin = floor_margin(gate.max_nfr)
    limit = gate.max_nfr if margin is None else margin
    if limit is None:
        return None
    plan = _plan(gate, n, float(limit), power)
    return LimitPlan(key="max_nfr", gate=plan, above_floor=margin is not None)


def _plan_slices(
    gate: GateSettings,
    columns: Sequence[str],
    examples: Sequence[Example] | SomeExamples,
    power: float,
) -> LimitPlan | None:
    if gate.max_slice_nfr is None:
        return None
    sizes = Counter(
        (column, str(example.fields[column])) for example in examples for column in columns
    )
    if not sizes:
        return None
    smallest, n = min(sizes.items(), key=lambda item: (item[1], item[0]))
    plan = _plan(gate, n, gate.max_slice_nfr, power, shared_by=len(sizes))
    needed = plan.examples_to_pass
    return LimitPlan(
        key="max_slice_nfr",
        gate=plan,
        smallest=smallest,
        slices=len(sizes),
        too_small=sum(needed is None or size < needed for size in sizes.values()),
    )


def _plan(
    gate: GateSettings, n: int, limit: float, power: float, *, shared_by: int = 1
) -> GatePlan:
    confidence, method = gate.judged_confidence, gate.interval
    if gate.family_wise and confidence is not None:
        confidence = family_confidence(confidence, shared_by)
    return plan_gate(n, limit, confidence=confidence, power=power, method=method)
