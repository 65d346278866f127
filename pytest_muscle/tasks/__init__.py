"""What is asked: tasks and their examples."""

from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.task import Task, build_tasks

__all__ = ["Example", "Task", "build_tasks"]
