"""Which log the answers to a task are read from, where its kind is "predictions"."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings.keys import Settings
from pytest_muscle.settings.table import join

PLACE = "{task}"
"""What stands for the task's name in `predictions` of `[old]` and `[new]`."""


class Log(NamedTuple):
    """What the configuration names.

    Attributes:
        text: `NAME:PATH?option=value`, or a path.
        where: File and key, for errors.
    """

    text: str
    where: str


def find_log(settings: Settings, side: Literal["old", "new"], task: str) -> Log | None:
    """Return what a model's answers to a task are read from, or none where it is not said."""
    file = settings.path.name
    own: str | None = getattr(settings.tasks[task], f"{side}_predictions")
    if own is not None:
        return Log(own.replace(PLACE, task), f"{file}: {join('tasks', task)}.{side}_predictions")
    shared: str | None = getattr(settings, f"{side}_predictions")
    if shared is None:
        return None
    return Log(shared.replace(PLACE, task), f"{file}: {side}.predictions")


def check_answers(settings: Settings) -> None:
    """Check that both models' answers are named where a task's kind is "predictions".

    Raises:
        ConfigurationError: If not; if one log is named for several tasks; if `[old]` or `[new]`
            names answers and a task asks a model.
    """
    file = settings.path.name
    read = [name for name, task in settings.tasks.items() if task.kind == "predictions"]
    sides: tuple[Literal["old", "new"], ...] = ("old", "new")
    for side in sides:
        shared: str | None = getattr(settings, f"{side}_predictions")
        for name in read:
            if find_log(settings, side, name) is None:
                raise ConfigurationError(
                    "missing",
                    where=f"{file}: {join('tasks', name)}.{side}_predictions",
                    hint=f"name the {side} model's answers here, or as predictions in [{side}]",
                )
        if shared is None:
            continue
        for name, task in settings.tasks.items():
            if task.kind != "predictions":
                raise ConfigurationError(
                    f"[{side}] names answers, so there is no {side} model to ask",
                    where=f"{file}: {join('tasks', name)}.kind",
                    hint='set kind = "predictions" to compare logs with each other; or name a '
                    f"model in [{side}] and the logs in the tasks that are read",
                )
        sharing = [n for n in read if getattr(settings.tasks[n], f"{side}_predictions") is None]
        if len(sharing) > 1 and PLACE not in shared:
            raise ConfigurationError(
                f"names one log for {len(sharing)} tasks",
                where=f"{file}: {side}.predictions",
                hint=f"write {PLACE} where the task's name stands in it, or {side}_predictions in "
                "each task",
            )
