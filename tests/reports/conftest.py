"""Runs to report on, made from answers by the same path as those of a session."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pytest_muscle.comparison import FlipReport, compare
from pytest_muscle.predictions import Predictions
from pytest_muscle.reports.data import (
    Counts,
    FailedTest,
    FlippedExample,
    RunReport,
    TaskDetails,
    TaskReport,
)
from pytest_muscle.reports.details import describe_details
from pytest_muscle.reports.slices import summarise_slices
from pytest_muscle.reports.terminal import TaskSummary, summarise
from pytest_muscle.tasks.example import Example

OPTIONS = (" yes", " no", " maybe")


@pytest.fixture
def table() -> Callable[..., Predictions]:
    """A function that makes a table of answers to questions whose right answer is option 0."""

    def make(answers: Sequence[int], model: str = "m", question: str = "Q{}?") -> Predictions:
        ids = [f"e{number}" for number in range(len(answers))]
        examples = {
            id_: Example(
                id=id_,
                prompt=f"A shot.\n{question.format(number)}",
                options=OPTIONS,
                gold=0,
                fields={"kind": f"k{number % 2}"},
                shots=len("A shot.\n"),
            )
            for number, id_ in enumerate(ids)
        }
        made = Predictions.from_lists(ids, answers, [0] * len(ids), task="support", model=model)
        return dataclasses.replace(made, examples=examples, slices=("kind",))

    return make


@pytest.fixture
def reports(table: Callable[..., Predictions]) -> dict[str, FlipReport]:
    """Six examples: e1 is a negative flip to both, e2 to compat alone, e4 a positive one to new."""
    old = table([0, 0, 0, 1, 1, 2], "m1")
    return {
        "new": compare(old, table([0, 1, 0, 1, 0, 1], "m2")),
        "compat": compare(old, table([0, 2, 1, 1, 1, 2], "mc")),
    }


@pytest.fixture
def make_run(reports: dict[str, FlipReport]) -> Callable[..., RunReport]:
    """A function that makes a run of one task, or of those that are given."""

    def make(*tasks: TaskReport, name: str = "support", **changes: Any) -> RunReport:
        summary = dataclasses.replace(
            summarise(name, reports["new"], reports["compat"], "FAILED\n1 of 2"),
            slices=summarise_slices(reports["new"]),
            found=("found x = 1: NFR 5.00 %",),
        )
        task = TaskReport(
            name=name,
            tests=2,
            failed=(FailedTest(nodeid=f"test_a.py::test[{name}]", message="m", file="test_a.py"),),
            summary=summary,
            details=describe_details(name, reports, None),
        )
        values: dict[str, Any] = {
            "written": "2026-11-25T12:00:00+00:00",
            "pytest_muscle": "0.1.0",
            "settings": "muscle.toml",
            "old": "models/v1",
            "new": "org/name@abc",
            "exit_status": 1,
            "tasks": tasks or (task,),
        }
        return RunReport(**(values | changes))

    return make


@pytest.fixture
def many_flips() -> Callable[[int], TaskReport]:
    """A function that makes a task of so many flips: of three to new, two are negative ones."""

    def make(n: int) -> TaskReport:
        flips = tuple(
            FlippedExample(
                position=at,
                id=f"e{at}",
                question=f"Customer {at}: my order has not arrived, what <can> I do & when? " * 2,
                gold=" refund",
                to_new="negative" if at % 3 else "positive",
                to_compat=None if at % 5 else "negative",
                old=" refund" if at % 3 else " wait",
                new=" wait" if at % 3 else " refund",
                compat=" refund" if at % 5 else " wait",
                slices={"country": ("de", "fr", "日本")[at % 3]},
            )
            for at in range(n)
        )
        counts = Counts(negative=n - n // 3, positive=n // 3, both_right=n, both_wrong=n)
        return TaskReport(
            name="support",
            tests=1,
            summary=TaskSummary(task="support", n=3 * n, old_accuracy=0.5, nfr=2 / 9),
            details=TaskDetails(
                task="support", models={}, counts={"new": counts, "compat": counts}, flips=flips
            ),
        )

    return make
