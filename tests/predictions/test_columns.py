"""Predictions by column: they come back as they were, and a million of them are small."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import operator
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_muscle.errors import PredictionsError
from pytest_muscle.predictions import Prediction, Predictions
from pytest_muscle.predictions import columns as columns_module
from pytest_muscle.predictions.columns import Columns, ColumnsBuilder


def prediction(**values: Any) -> Prediction:
    usual = {"id": "a", "answer": 1, "gold": 1, "correct": True, "score": 1.0}
    return Prediction(**(usual | values))


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


NUMBERS = st.floats(allow_nan=False)
PREDICTIONS = st.lists(
    st.builds(
        Prediction,
        id=st.text(max_size=3) | st.integers(),
        answer=st.none() | st.integers() | st.lists(st.integers(), max_size=2),
        gold=st.text(max_size=2) | st.tuples(st.integers()),
        correct=st.booleans(),
        score=NUMBERS,
        loglikelihoods=st.none() | st.lists(NUMBERS, max_size=4).map(tuple),
        digest=st.none() | st.text(max_size=2) | st.text(max_size=2).map(sha),
    ),
    max_size=12,
)


@given(PREDICTIONS, st.sampled_from([1, 3, 4096]))
def test_rows_come_back_as_they_were(rows: list[Prediction], block: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns_module, "BLOCK", block)
        found = Columns.of(rows)
        assert list(found) == rows
        assert found == rows
        assert found == Columns.of(rows)
        assert [found[number] for number in range(len(rows))] == rows


@given(PREDICTIONS, st.slices(12))
def test_part_of_the_rows_is_that_of_a_list(rows: list[Prediction], part: slice):
    found = Columns.of(rows)[part]
    assert list(found) == rows[part]
    assert found == Columns.of(rows[part])


@given(PREDICTIONS.filter(bool), st.data())
def test_rows_are_taken_in_any_order(rows: list[Prediction], data: st.DataObject):
    order = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    found = Columns.of(rows).take(np.array(order, dtype=np.intp))
    assert list(found) == [rows[number] for number in order]


def test_a_row_s_values_are_python_s_own():
    row = Columns.of([prediction(correct=np.bool_(True), loglikelihoods=(np.float32(-0.5), -1))])[0]
    assert [type(value) for value in (row.correct, row.score)] == [bool, float]
    assert row.loglikelihoods == (-0.5, -1.0)
    assert {type(value) for value in row.loglikelihoods} == {float}


@pytest.mark.parametrize("number", [2, -3])
def test_there_is_no_row_beyond_the_last(number):
    rows = Columns.of([prediction(), prediction(id="b")])
    assert rows[-1].id == "b"
    with pytest.raises(IndexError):
        _ = rows[number]


@pytest.mark.parametrize(
    "change",
    [
        {"id": "b"},
        {"answer": 2},
        {"gold": 2},
        {"correct": False},
        {"score": 0.5},
        {"loglikelihoods": None},
        {"loglikelihoods": (-1.0, -2.5)},
        {"loglikelihoods": (-1.0,)},
        {"digest": None},
        {"digest": "b" * 64},
        {"digest": "A" * 64},
        {"digest": "odd"},
    ],
)
def test_tables_that_differ_in_one_value_are_not_equal(change):
    row = prediction(loglikelihoods=(-1.0, -2.0), digest="a" * 64)
    rows = Columns.of([row, prediction(id="z")])
    other = Columns.of([dataclasses.replace(row, **change), prediction(id="z")])
    assert rows != other
    assert rows == Columns.of([row, prediction(id="z")])


def test_a_table_equals_its_rows_and_nothing_of_another_kind():
    rows = (prediction(), prediction(id="b"))
    assert Columns.of(rows) == rows
    assert Columns.of(rows) != rows[:1]
    assert Columns.of(rows) != {"a": 1}
    assert Columns.of([prediction(score=math.nan)]) == Columns.of([prediction(score=float("nan"))])


@pytest.mark.parametrize("change", [{"score": "high"}, {"score": None}, {"loglikelihoods": ("x",)}])
def test_a_score_that_is_no_number_is_named(change):
    with pytest.raises(PredictionsError) as caught:
        Predictions([prediction(), prediction(id="b", **change)], task="support")
    assert str(caught.value).startswith("support: a score or log-likelihood of example 'b' is not")


def test_changing_what_is_said_of_a_table_copies_no_row():
    table = Predictions([prediction()])
    assert isinstance(table.rows, Sequence)
    assert dataclasses.replace(table, model="v1").rows is table.rows


def test_a_prediction_of_four_options_takes_little_more_than_a_hundred_bytes():
    builder = ColumnsBuilder()
    n = 10_000
    for number in range(n):
        builder.add(
            str(number),
            number % 4,
            0,
            correct=number % 4 == 0,
            score=1.0,
            loglikelihoods=(-1.0, -2.0, -3.0, -4.0),
            digest=sha(str(number)),
        )
    columns = builder.build()
    arrays = [getattr(columns, name) for name in ("ids", "answers", "gold", "correct", "scores")]
    packed = operator.attrgetter("values", "ends", "known")(columns.loglikelihoods)
    digests = operator.attrgetter("packed", "known")(columns.digests)
    assert sum(array.nbytes for array in (*arrays, *packed, *digests)) / n < 108


def test_numpy_is_not_loaded_before_there_is_a_table():
    code = (
        "import sys; from pytest_muscle import Prediction, Predictions;"
        "Prediction(1, 1, 1, True, 1.0); before = 'numpy' in sys.modules;"
        "Predictions.from_lists([1], [1], [1]); print(before, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
