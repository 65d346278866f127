"""What is asked: tasks and their examples. Names load on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_muscle.lazy import lazy_names

if TYPE_CHECKING:
    from pytest_muscle.tasks.example import Example
    from pytest_muscle.tasks.task import Task, build_tasks

__all__ = ["Example", "Task", "build_tasks"]

__getattr__ = lazy_names(__name__, {"Example": "example", "Task": "task", "build_tasks": "task"})
