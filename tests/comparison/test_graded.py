"""Graded scores: flips are changes of the score."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_muscle import Prediction, Predictions, compare
from pytest_muscle.errors import ComparisonError, PredictionsError

SCORES = st.lists(
    st.tuples(st.sampled_from([0, 0.25, 0.5, 0.75, 1]), st.sampled_from([0, 0.25, 0.5, 0.75, 1])),
    min_size=1,
    max_size=30,
)


def tables(rows, tolerance=0.0):
    ids = range(len(rows))
    return tuple(
        Predictions.from_scores(ids, [row[side] for row in rows], tolerance=tolerance, task="t")
        for side in (0, 1)
    )


@given(SCORES, st.sampled_from([0.0, 0.25, 0.3]))
def test_measures_are_those_of_the_paper(rows, tolerance):
    report = compare(*tables(rows, tolerance))
    changes = [new - old for old, new in rows]
    falls = [-change for change in changes if -change > tolerance]
    rises = [change for change in changes if change > tolerance]
    assert report.negative_flip_rate == len(falls) / len(rows)
    assert report.positive_flip_rate == len(rises) / len(rows)
    assert report.mean_regress == pytest.approx(sum(falls) / len(falls) if falls else 0)
    assert report.mean_gain == pytest.approx(sum(rises) / len(rises) if rises else 0)
    assert report.old_accuracy == pytest.approx(sum(row[0] for row in rows) / len(rows))
    assert report.accuracy_drop == pytest.approx(-sum(changes) / len(rows))


@given(SCORES, st.sampled_from([0.0, 0.25]))
def test_what_can_fall_is_enough_to_ask(rows, tolerance):
    old, new = tables(rows, tolerance)
    wanted = old.can_flip
    asked = dataclasses.replace(
        new,
        rows=new.columns.take(wanted.nonzero()[0]),
        unasked=tuple((~wanted).nonzero()[0].tolist()),
    )
    whole, needed = compare(old, new), compare(old, asked)
    assert needed.negative_flips == whole.negative_flips
    assert needed.list_negative_flips() == whole.list_negative_flips()


def test_a_fall_of_the_tolerance_is_none_however_it_is_rounded():
    old, new = tables([(0.3, 0.2), (0.8, 0.7), (1.0, 0.9)], tolerance=0.1)
    report = compare(old, new)
    assert report.negative_flips == ()
    assert (report.mean_regress, report.mean_regress_upper_bound()) == (0, 0)
    assert compare(new, old).mean_gain == 0


def test_the_deepest_falls_come_first():
    report = compare(*tables([(0.5, 0.25), (1, 1), (1, 0), (0.75, 0.25)]))
    flips = report.list_negative_flips(2)
    assert [(flip.id, flip.old_score, flip.new_score) for flip in flips] == [
        (2, 1, 0),
        (3, 0.75, 0.25),
    ]


@pytest.mark.parametrize(
    "name", ["inconsistency_rate", "relative_negative_flip_rate", "trust_compatibility"]
)
def test_what_needs_right_and_wrong_is_refused(name):
    with pytest.raises(ComparisonError, match="these have graded scores"):
        getattr(compare(*tables([(0, 1)])), name)


def test_what_has_no_answer_is_not_better_than_what_is_below_zero():
    rows = [Prediction(i, "words", "gold", False, -2.0, text="words") for i in range(3)]
    old = Predictions(rows, graded=True)
    silent = Prediction(1, None, "gold", False, 0.0, text="")
    new = Predictions([rows[2], silent, rows[0]], graded=True)
    said = "scores go below 0, which the new model's missing answers count for 1 id: 1"
    with pytest.raises(ComparisonError, match=said):
        compare(old, new)
    with pytest.raises(ComparisonError, match="the old model's missing answers"):
        compare(new, old)
    assert compare(old, old).negative_flip_rate == 0


def test_tables_of_two_kinds_are_refused():
    graded = Predictions.from_scores([1], [0.5])
    right = dataclasses.replace(graded, graded=False, rows=[Prediction(1, "a", "a", True, 1.0)])
    with pytest.raises(ComparisonError, match="the old scores are graded"):
        compare(graded, right)


def test_two_tolerances_are_refused():
    with pytest.raises(ComparisonError, match=r"a tolerance of 0, the new ones of 0.1"):
        compare(tables([(0, 1)])[0], tables([(0, 1)], 0.1)[1])


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf")])
def test_a_tolerance_is_a_size(tolerance):
    with pytest.raises(PredictionsError, match="not a size of a change"):
        Predictions.from_scores([1], [0.5], tolerance=tolerance)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), "0.5", None])
def test_a_score_is_a_finite_number(score):
    with pytest.raises(PredictionsError, match="score"):
        Predictions.from_scores([1], [score])


def drawn(*rows: tuple[float, ...]) -> Predictions:
    return Predictions(
        [
            Prediction(i, "a", "a", False, sum(draws) / len(draws), text="a", draws=draws)
            for i, draws in enumerate(rows)
        ],
        graded=True,
    )


def test_a_flip_of_draws_is_beyond_their_noise():
    old = drawn((1, 1, 1, 1), (1, 1, 1, 0), (0, 0, 0, 0))
    new = drawn((0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 1, 1))
    report = compare(old, new)
    # Of 70 ways to deal 4 + 4 draws, all four to the old side is one; at least three of it 17.
    assert report.negative_flips == (0,)
    assert report.positive_flips == (2,)
    assert report.old_accuracy == pytest.approx(1.75 / 3)
    # Each of the three has 4 right draws of 8, and one way in 70 to deal all of them to the old.
    assert report.expected_false_flips == pytest.approx(3 / 70)


def test_single_answers_give_no_false_flips_to_expect():
    single = Predictions.from_lists([1, 2], [0, 0], [0, 0])
    assert compare(single, single).expected_false_flips is None


def test_the_mean_regress_of_draws_is_that_of_the_flips():
    old = drawn((1, 1, 1, 1), (1, 1, 1, 0), (1, 0, 0, 0), (0, 0, 0, 0))
    new = drawn((0, 0, 0, 0), (1, 1, 0, 0), (0, 0, 0, 0), (1, 1, 1, 1))
    report = compare(old, new)
    assert report.negative_flips == (0,)
    assert (report.mean_regress, report.mean_gain) == (1, 1)
    assert report.mean_regress_upper_bound() == 1
    assert compare(old, old).mean_regress_upper_bound() == 0


def test_draws_against_single_answers_are_refused():
    single = dataclasses.replace(drawn((1,)), rows=[Prediction(0, "a", "a", True, 1.0)])
    with pytest.raises(ComparisonError, match="not drawn equally often"):
        compare(drawn((1, 1, 1)), single)


def test_texts_draws_and_scores_come_back_from_a_file(tmp_path):
    table = dataclasses.replace(drawn((1, 0, 1), (0, 0, 0)), tolerance=0.25, task="t")
    table.save(tmp_path / "table.jsonl")
    assert Predictions.load(tmp_path / "table.jsonl") == table
