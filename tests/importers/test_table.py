"""A CSV file with one answer a line."""

import pytest

from pytest_muscle import Predictions, compare
from pytest_muscle.errors import ComparisonError, PredictionsError


@pytest.fixture
def load(tmp_path):
    def read(text: str, options: str = "", name: str = "v1.csv") -> Predictions:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return Predictions.load(f"csv:{tmp_path / name}{options}")

    return read


def test_right_and_wrong_answers(load):
    table = load("id,answer,gold,correct\nq1,Rome,Rome,yes\nq2,Oslo,Bern,no\n")
    assert [(row.id, row.answer, row.gold, row.correct, row.score) for row in table] == [
        ("q1", "Rome", "Rome", True, 1.0),
        ("q2", "Oslo", "Bern", False, 0.0),
    ]
    assert not table.graded
    assert table.model == "v1"


def test_without_a_judgement_an_answer_is_right_if_it_equals_its_gold(load):
    table = load("key,said,right\nq1,Rome,Rome\nq2,rome,Rome\n", "?id=key&answer=said&gold=right")
    assert [row.correct for row in table] == [True, False]


def test_scores_between_right_and_wrong_are_graded(load):
    table = load("id,rouge\nq1,0.25\nq2,1\n", "?score=rouge")
    assert table.graded
    assert table.accuracy == pytest.approx(0.625)


def test_columns_are_at_hand_for_slices_and_failures(load):
    table = load("id,prompt,correct,lang\nq1,Capital of Italy?,1,en\n")
    example = table.examples["q1"]
    assert example.prompt == "Capital of Italy?"
    assert example.fields == {"lang": "en"}  # what a model did is nothing to group by


def test_the_gold_answer_may_group_examples(load):
    table = load("id,question,gold,answer\nq1,Capital of Italy?,Rome,Rome\n", "?prompt=question")
    assert table.examples["q1"].fields == {"gold": "Rome"}


def test_two_tables_compare(load):
    old = load("id,correct\na,1\nb,1\nc,0\n")
    new = load("id,correct\nc,1\nb,0\na,1\n", name="v2.csv")
    report = compare(old, new)
    assert report.negative_flips == ("b",)
    assert report.positive_flips == ("c",)


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ("id,prompt,gold,correct\na,1 + 2,3,1\n", "asked different questions"),
        ("id,prompt,gold,correct\nb,1 + 1,2,1\n", "the same examples"),
        ("id,prompt,gold,correct\na,1 + 1,3,1\n", "different"),
    ],
)
def test_tables_of_other_data_are_refused(load, other, problem):
    old = load("id,prompt,gold,correct\na,1 + 1,2,1\n")
    with pytest.raises(ComparisonError, match=problem):
        compare(old, load(other, name="v2.csv"))


@pytest.mark.parametrize(
    ("text", "options", "problem", "where"),
    [
        ("key,correct\na,1\n", "", "no column 'id'", "v1.csv"),
        ("id,correct\na,1\n", "?gold=right", "no column 'right' for gold", "v1.csv"),
        ("id,answer\na,1\n", "", "does not say which answers are right", "v1.csv"),
        ("id,correct,score\na,1,0.5\n", "", "several judgements", "v1.csv"),
        ("id,correct\na,1\nb,maybe\n", "", "neither true nor false", "v1.csv:3"),
        ("id,score\na,1\nb,high\n", "", "not a number", "v1.csv:3"),
        ("id,score\na,1\nb,nan\n", "", "not a finite number", "v1.csv:3"),
        ("id,correct\na,1\nb,1\na,0\n", "", "stands already at v1.csv:2", "v1.csv:4"),
        ("id,correct\na,1\nb\n", "", "has 1 values", "v1.csv:3"),
        ("id,correct\n", "", "has no rows", "v1.csv"),
    ],
)
def test_what_is_refused(load, text, options, problem, where):
    with pytest.raises(PredictionsError) as caught:
        load(text, options)
    assert problem in caught.value.problem
    assert str(caught.value.where).endswith(where)


def test_a_judgement_that_is_named_is_taken(load):
    table = load("id,correct,score\na,1,0.5\nb,0,0.2\n", "?correct=correct")
    assert [row.score for row in table] == [1.0, 0.0]


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "v1.txt").write_text("id,correct\na,1\n")
    with pytest.raises(PredictionsError, match=r"is not a \.csv file"):
        Predictions.load(f"csv:{tmp_path / 'v1.txt'}")
