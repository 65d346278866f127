"""Runs that pytest-xdist shares among worker processes: which tests go to one worker.

All tests of a task go to one worker, which loads the task's models once; so a run of some tasks
loads them on as many workers as there are tasks, not on all.

Workers tell the controller of the groups over a channel of their own: `--dist loadgroup` writes
them in node ids, where `--last-failed` and JUnit files would find them, and which pytest 9.2 and
pytest-xdist 3.8 together do not do.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

import pytest

MARKER = "xdist_group"
CHANNEL = "muscle_channel"
"""Where a worker finds its channel in what it is told."""

Groups = dict[str, tuple[str, str | None]]
"""A group and, if there is one, a task for the node ids of tests that have a group."""

KEY = pytest.StashKey[Groups]()


def worker_name(config: pytest.Config) -> str | None:
    """Return the name of this worker, as "gw1"; none in other processes."""
    told: dict[str, Any] | None = getattr(config, "workerinput", None)
    return None if told is None else told["workerid"]


def task_of(item: pytest.Item) -> str | None:
    """Return the task that a test is run for, if it is run for one."""
    # The parameter of a test function; the attribute of a gate of muscle.toml.
    callspec = getattr(item, "callspec", None)
    task: str | None = (
        getattr(item, "muscle_task", None)
        if callspec is None
        else callspec.params.get("muscle_task")
    )
    return task


def groups_of(items: Sequence[pytest.Item], fixtures: Set[str]) -> Groups:
    """Return the groups of tests: by their `xdist_group`, else by their task.

    Tests that use models and no task join the first task's group: its worker has both base models.

    Args:
        items: All tests.
        fixtures: Names of fixtures that use models.
    """
    groups: Groups = {}
    without_task = []
    for item in items:
        names = {_name(mark) for mark in item.iter_markers(MARKER)}
        task = task_of(item)
        if names:
            groups[item.nodeid] = "_".join(sorted(names)), task
        elif task is not None:
            groups[item.nodeid] = f"muscle-{task}", task
        elif not fixtures.isdisjoint(getattr(item, "fixturenames", ())):
            without_task.append(item.nodeid)
    own = (group for group, task in groups.values() if task and group == f"muscle-{task}")
    home = next(own, "muscle-models")
    return groups | dict.fromkeys(without_task, (home, None))


def listen(node: Any) -> None:
    """Open a channel on which a new worker tells the groups of its tests."""
    channel = node.gateway.newchannel()
    channel.setcallback(node.config.stash.setdefault(KEY, {}).update)
    node.workerinput[CHANNEL] = channel


def tell(session: pytest.Session, fixtures: Set[str]) -> None:
    """Tell the controller, if this is a worker of one that listens, the groups of the tests."""
    channel = getattr(session.config, "workerinput", {}).get(CHANNEL)
    if channel is not None:
        channel.send(groups_of(session.items, fixtures))


def told(config: pytest.Config) -> Groups:
    """Return what workers have told this controller."""
    return config.stash.get(KEY, {})


def by_groups(config: pytest.Config) -> bool:
    """Return whether tests are distributed by groups: by `--dist loadgroup`, or by default.

    Where the user names a number of workers alone, pytest-xdist puts "load" in the options.
    """
    said = config.known_args_namespace
    default = getattr(said, "dist", "no") == "no" and not getattr(said, "distload", False)
    return KEY in config.stash and (
        config.option.dist == "loadgroup" or (default and config.option.dist == "load")
    )


def _name(mark: pytest.Mark) -> str:
    return str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))
