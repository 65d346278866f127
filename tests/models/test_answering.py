"""A task's questions in, a table of answers out."""

from __future__ import annotations

import math

import pytest

from pytest_muscle.models import LanguageModel
from pytest_muscle.models.answering import answer
from pytest_muscle.predictions.question import Question


@pytest.fixture
def model(tiny_models, base_of):
    return LanguageModel(base_of(tiny_models / "v1"))


def test_one_answer_for_each_example_in_their_order(model, colour_task):
    task = colour_task()

    table = answer(model, Question(task), {"date": "today"}, description="scoring")

    assert [row.id for row in table] == [example.id for example in task.eval]
    assert [row.digest for row in table] == [example.digest for example in task.eval]
    assert [row.gold for row in table] == [example.gold for example in task.eval]
    for row in table:
        assert row.answer == row.loglikelihoods.index(max(row.loglikelihoods))
        assert (row.correct, row.score) == (row.answer == row.gold, float(row.correct))
    assert (table.task, table.model) == ("colours", "v1")
    assert table.facts == {
        "task_digest": task.digest,
        "dtype": "float32",
        "layout": "tree",
        "date": "today",
    }


def test_the_task_s_metric_chooses(model, colour_task):
    task = colour_task(metric="acc_norm", choices=("red", "green and yellow"), gold="{{ 0 }}")

    table = answer(model, Question(task), {}, description="scoring")

    for row in table:
        short, long = row.loglikelihoods
        assert row.answer == int(long / len("green and yellow") > short / len("red"))
        assert not math.isclose(short, long)
