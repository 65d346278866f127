"""Tasks that a definition of lm-evaluation-harness makes: `task = "lm-eval:NAME"`."""

from __future__ import annotations

from typing import Any

from pytest_muscle.harness.snapshots import Snapshots
from pytest_muscle.harness.task import HarnessTask
from pytest_muscle.tasks import Task

__all__ = ["HarnessTask", "Snapshots", "make_task"]


def make_task(snapshots: Snapshots, **attributes: Any) -> Task:
    """Return a task of its attributes, of the kind that its table in muscle.toml names.

    Args:
        snapshots: Where examples of definitions are kept.
        attributes: Those of `Task`.
    """
    if attributes["settings"].task is None:
        return Task(**attributes)
    return HarnessTask(**attributes, snapshots=snapshots)
