"""Examples by id: read when the first one is asked for."""

from __future__ import annotations

from pytest_muscle.tasks.lookup import ExamplesById


def test_examples_are_read_when_the_first_one_is_asked_for(colour_task):
    task = colour_task()
    examples = ExamplesById(task)
    assert "eval" not in vars(task)

    assert examples["q4-1"] == task.eval[1]
    assert examples.get("q9-1") is None
    assert list(examples) == [example.id for example in task.eval]
    assert len(examples) == 10
