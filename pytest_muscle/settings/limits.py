"""What a gate's limits mean together: which floor they are held above, which of them are a family.

The limits of one file are read alone, by `table.py`; what concerns several of them stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings.gate_keys import GateSettings
from pytest_muscle.settings.keys import TaskSettings

_FLOOR = re.compile(r"floor(?:\s*\+\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?))?")

CONFIDENT = ("max_nfr", "max_accuracy_drop", "max_mean_regress", "max_slice_nfr")
"""Limits that `confidence` is held for; that of slices is one, which they share."""


def floor_margin(max_nfr: float | str | None) -> float | None:
    """Return how far above the noise floor a limit is, or none where it is not above one.

    Raises:
        ValueError: If it is a text of another form.
    """
    if not isinstance(max_nfr, str):
        return None
    found = _FLOOR.fullmatch(max_nfr.strip())
    if found is None or not 0 <= float(found[1] or 0) <= 1:
        raise ValueError(
            f'max_nfr = {max_nfr!r} is neither a number nor "floor + a fraction", as "floor + 0.01"'
        )
    return float(found[1] or 0)


def check_gate(
    gate: GateSettings, where: str, task: TaskSettings | None = None, *, whole: bool = True
) -> None:
    """Refuse limits that do not go together.

    Args:
        gate: The limits.
        where: File and key of the table, for errors.
        task: The task that they are of, or none for `[gate]`.
        whole: Whether no other table adds to them, as those of tasks do to `[gate]`.

    Raises:
        ConfigurationError: It names the key.
    """
    try:
        margin = floor_margin(gate.max_nfr)
    except ValueError as error:
        raise ConfigurationError(str(error), where=f"{where}.max_nfr") from error
    if whole and gate.family_wise and gate.confidence is None:
        raise ConfigurationError(
            "needs a confidence to hold for all limits at once",
            where=f"{where}.family_wise",
            hint="set confidence, as 0.95",
        )
    if whole and gate.sequential and gate.max_nfr is None:
        raise ConfigurationError(
            "needs max_nfr, the limit that it stops at", where=f"{where}.sequential"
        )
    if gate.sequential and margin is not None:
        raise ConfigurationError(
            "cannot stop early at a limit above the noise floor, which all examples make up",
            where=f"{where}.sequential",
            hint="set max_nfr to a number, or sequential = false",
        )
    if gate.sequential:
        for other in (
            "max_accuracy_drop",
            "max_inconsistency",
            "max_mean_regress",
            "max_slice_nfr",
        ):
            if getattr(gate, other) is not None:
                raise ConfigurationError(
                    f"stops before {other} is known",
                    where=f"{where}.sequential",
                    hint=f"leave out {other}, or set sequential = false",
                )
    if task is not None and gate.max_slice_nfr is not None and not task.slices:
        raise ConfigurationError(
            "needs columns to slice by",
            where=f"{where}.max_slice_nfr",
            hint='name them in the task: slices = ["column"]',
        )


def with_families(
    tasks: Mapping[str, TaskSettings], *, with_compat: bool = False
) -> dict[str, TaskSettings]:
    """Return the tasks with the number of limits that are judged together in their gates.

    These are all limits that a confidence is held for, of all tasks with `family_wise`; where
    there is a compat model, once for the new and once for the compat one.

    Args:
        tasks: The tasks by name.
        with_compat: Whether all of them have a compat model; a task may name its own.
    """
    size = sum(
        _confident(task.gate) * (2 if with_compat or task.compat_adapter else 1)
        for task in tasks.values()
        if task.gate.family_wise
    )
    return {
        name: replace(task, gate=replace(task.gate, family=max(size, 1)))
        for name, task in tasks.items()
    }


def _confident(gate: GateSettings) -> int:
    limits: Iterable[str] = CONFIDENT
    return sum(getattr(gate, name) is not None for name in limits)
