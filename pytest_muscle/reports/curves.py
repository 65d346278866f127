"""How an adapter was trained, from the facts that are kept beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pytest_muscle.reports.charts import Chart, Line, Panel, Table
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.training.store import Adapter


class TrainingPoint(NamedTuple):
    """What training logged at a step: means since the log before.

    Attributes:
        step: Optimiser steps so far.
        loss: Mean loss of a token, in nats; of a compat adapter that of its strategy.
        masked: Share of tokens where the old model teaches, 0-1; none without a strategy that
            masks.
    """

    step: int
    loss: float
    masked: float | None = None


class ValidationPoint(NamedTuple):
    """What validation came to after an epoch.

    Attributes:
        step: Optimiser steps so far.
        cross_entropy: Mean cross-entropy of a token of the validation examples, in nats.
    """

    step: float
    cross_entropy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How an adapter was trained.

    Attributes:
        origin: Whether the adapter was given, found in the cache, or trained in this run.
        steps: Optimiser steps in all; none where it is not known how it was trained.
        epochs: Passes over the training examples.
        best_step: The step whose weights were kept, where validation chose it.
        curve: What training logged, in order.
        validation: What validation came to, in order.
    """

    origin: Literal["given", "stored", "trained"]
    steps: int | None = None
    epochs: float | None = None
    best_step: int | None = None
    curve: tuple[TrainingPoint, ...] = ()
    validation: tuple[ValidationPoint, ...] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Training:
        """Return what `dataclasses.asdict` and JSON made of it."""
        fields = {
            **values,
            "curve": tuple(TrainingPoint(*point) for point in values["curve"]),
            "validation": tuple(ValidationPoint(*point) for point in values["validation"]),
        }
        return cls(**fields)


def read_training(adapter: Adapter) -> Training:
    """Return how an adapter was trained, as far as its facts say so.

    Facts that are missing or damaged are not known: an adapter that was given has none.
    """
    facts = adapter.facts
    steps = _number(facts.get("steps"))
    if not steps:
        return Training(origin=adapter.origin)
    epochs, best = _number(facts.get("epochs")), _number(facts.get("best_step"))
    return Training(
        origin=adapter.origin,
        steps=int(steps),
        epochs=epochs,
        best_step=int(best) if best else None,
        curve=tuple(_curve(facts.get("curve"))),
        validation=tuple(_validation(facts.get("validation_cross_entropy"), steps, epochs)),
    )


def _curve(logged: Any) -> Iterator[TrainingPoint]:
    for entry in logged if isinstance(logged, list) else ():
        if isinstance(entry, Mapping):
            step, loss = _number(entry.get("step")), _number(entry.get("loss"))
            if step is not None and loss is not None:
                yield TrainingPoint(int(step), loss, _number(entry.get("masked")))


def _validation(by_epoch: Any, steps: float, epochs: float | None) -> Iterator[ValidationPoint]:
    """Yield validation results by step: all epochs have the same number of steps."""
    if not isinstance(by_epoch, Mapping) or not epochs:
        return
    read = [(_number(epoch), _number(value)) for epoch, value in by_epoch.items()]
    known = [(epoch, value) for epoch, value in read if epoch is not None and value is not None]
    for epoch, value in sorted(known):  # the facts' keys stand in the order of texts
        yield ValidationPoint(round(epoch * steps / epochs, 2), value)


def _number(value: Any) -> float | None:
    """Return a number, or none for what is no finite one; keys of JSON are texts."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


FEW = 12
"""Points of a line that are marked, so that a single one is seen too."""

NAMES = {"old": "old task adapter", "new": "new task adapter", "compat": "compat adapter"}


def describe_unknown(side: str, training: Training) -> str | None:
    """Return why there is no curve of an adapter, in a sentence; none where there is one."""
    if training.curve or training.validation:
        return None
    if training.origin == "given":
        return f"The {NAMES[side]} was given, so there is no record of its training."
    return f"The {NAMES[side]} was stored by a version that kept no record of its training."


def chart_training(side: str, training: Training, name: str) -> Chart:
    """Return the training of an adapter as a chart.

    The loss of a task adapter is a cross-entropy, as that of validation is: they share a scale.

    Args:
        side: Whose adapter it is: "old", "new" or "compat".
        training: How it was trained.
        name: Of the chart, in its page.
    """
    loss = _line("negative", [(point.step, point.loss) for point in training.curve])
    validation = _line("positive", training.validation)
    masked = _line(
        "compat",
        [(at.step, 100 * at.masked) for at in training.curve if at.masked is not None],
    )
    if side == "compat":
        panels = [
            Panel(title="Loss, nats per token", lines=loss),
            Panel(title="Validation cross-entropy, nats per token", lines=validation),
        ]
    else:
        panels = [Panel(title="Cross-entropy, nats per token", lines=[*loss, *validation])]
    panels.append(Panel(title="Tokens where the old model teaches, %", lines=masked))
    shared = any(len(panel.lines) > 1 for panel in panels)
    return Chart(
        name=f"{name}-{side}",
        title=f"Training of the {NAMES[side]}",
        note=_describe(training),
        panels=[panel for panel in panels if panel.lines],
        keys=(("negative", "training"), ("positive", "validation")) if shared else (),
        foot="optimiser step",
        marked=training.best_step,
    )


def tabulate_training(training: Training) -> Table:
    """Return the numbers of the chart by step."""
    steps = sorted(
        {point.step for point in training.curve} | {point.step for point in training.validation}
    )
    logged: dict[float, TrainingPoint] = {point.step: point for point in training.curve}
    validated = {point.step: point.cross_entropy for point in training.validation}
    rows = [
        (
            f"{step:g}",
            f"{logged[step].loss:.4f}" if step in logged else "",
            f"{validated[step]:.4f}" if step in validated else "",
            _share(logged[step].masked) if step in logged else "",
        )
        for step in steps
    ]
    columns = ("step", "loss", "validation cross-entropy", "masked")
    kept = [at for at in range(4) if any(row[at] for row in rows)]
    return Table(
        columns=[columns[at] for at in kept], rows=[[row[at] for at in kept] for row in rows]
    )


def _line(colour: str, points: Sequence[tuple[float, float]]) -> list[Line]:
    if not points:
        return []
    xs, ys = zip(*points, strict=True)
    return [Line(colour=colour, xs=xs, ys=ys, marker="o" if len(points) <= FEW else "")]


def _describe(training: Training) -> str:
    said = counted(training.steps or 0, "step")
    if training.epochs is not None:
        said += f", {training.epochs:.3g} epoch{'' if training.epochs == 1 else 's'}"
    if training.best_step:
        said += f"; the weights of step {training.best_step:,} were kept"
    return said


def _share(masked: float | None) -> str:
    return "" if masked is None else f"{100 * masked:.1f} %"
