"""What makes an adapter: the keys that adapters are stored under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pytest_muscle import extensions
from pytest_muscle.references import source_digest
from pytest_muscle.settings import CompatSettings, RecipeSettings
from pytest_muscle.tasks import Task
from pytest_muscle.training.objectives import OBJECTIVES, find_objective
from pytest_muscle.training.store import AdapterKey

TRAINING_VERSION = 2
"""Goes up when the same recipe would give another adapter; part of every fingerprint."""

_NOT_MADE_OF = ("adapter", "adapter_revision", "rank")
"""Keys of `[compat]` that do not make the adapter; the rank is that of its start."""


def task_key(task: Task, base: Mapping[str, Any], recipe: RecipeSettings, side: str) -> AdapterKey:
    """Return the key of a task adapter.

    Args:
        task: The task whose train set is learnt.
        base: Facts of the base model.
        recipe: Hyper-parameters.
        side: `old` or `new`.
    """
    return AdapterKey(
        task.name,
        side,
        {
            "version": TRAINING_VERSION,
            "base": base,
            "data": task.train_digest,
            "recipe": asdict(recipe),
        },
    )


def compat_key(
    task: Task, old: Mapping[str, Any], new: Mapping[str, Any], recipe: CompatSettings
) -> AdapterKey:
    """Return the key of a compatibility adapter.

    Args:
        task: The task whose train set is learnt.
        old: Facts of the old task model.
        new: Facts of the new task model, whose adapter is the start.
        recipe: Strategy and hyper-parameters.
    """
    made_of = asdict(recipe)
    for name in _NOT_MADE_OF:
        made_of.pop(name)
    strategy = extensions.resolve(recipe.strategy, extensions.current().objectives)
    return AdapterKey(
        task.name,
        "compat",
        {
            "version": TRAINING_VERSION,
            "old": old,
            "new": new,
            "data": task.train_digest,
            "recipe": made_of | {"strategy": strategy},
            "strategy": _source(strategy),
        },
    )


def _source(strategy: str) -> str | None:
    """Return a digest of where a strategy not ours stands; ours have TRAINING_VERSION."""
    if strategy in OBJECTIVES:
        return None
    find_objective(strategy)  # raises in words what cannot be imported
    return source_digest(strategy)
