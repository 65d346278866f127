"""A new model that was asked only what the old one has right: what is known all the same."""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from random import Random
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_muscle.comparison import MEASURES, FlipReport, compare
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions import Prediction, Predictions

ANSWERS = st.sampled_from(["a", "b", "c"])
Rows: TypeAlias = list[tuple[str, str, str]]
TABLES = st.lists(st.tuples(ANSWERS, ANSWERS, ANSWERS), min_size=1, max_size=40)
KNOWN = {"old_accuracy", "negative_flip_rate", "trust_compatibility"}


def both(rows: Rows, random: Random) -> tuple[FlipReport, FlipReport]:
    """Old against new with all answers, and with those alone that the old model has right."""
    ids = list(range(len(rows)))
    old = Predictions.from_lists(ids, [row[0] for row in rows], [row[2] for row in rows], task="t")
    new = Predictions.from_lists(ids, [row[1] for row in rows], [row[2] for row in rows])
    right = [row.correct for row in old]
    asked = [row for row in new if right[row.id]]
    unasked = [row.id for row in new if not right[row.id]]
    random.shuffle(asked)
    random.shuffle(unasked)
    return compare(old, new), compare(old, Predictions(asked, unasked=tuple(unasked)))


@given(TABLES, st.randoms(use_true_random=False))
def test_negative_flips_are_those_of_all_answers(rows: Rows, random: Random):
    whole, needed = both(rows, random)
    assert needed.n == whole.n == len(rows)
    assert needed.negative_flips == whole.negative_flips
    assert needed.list_negative_flips() == whole.list_negative_flips()
    assert needed.negative_flip_interval(0.9) == whole.negative_flip_interval(0.9)
    assert needed.negative_flip_upper_bound(0.9) == whole.negative_flip_upper_bound(0.9)
    for name in KNOWN:
        assert needed.measure(name) == pytest.approx(whole.measure(name), nan_ok=True)
    assert needed.unasked == tuple(i for i, row in enumerate(rows) if row[0] != row[2])
    assert [row.id for row in needed.new] == [i for i, row in enumerate(rows) if row[0] == row[2]]


NEEDED = compare(
    Predictions.from_lists("abcd", [1, 1, 0, 0], [1] * 4, task="support"),
    dataclasses.replace(Predictions.from_lists("ba", [0, 1], [1, 1]), unasked=("c", "d")),
)


def test_the_rate_is_of_all_examples():
    assert NEEDED.negative_flip_rate == 1 / 4
    assert NEEDED.trust_compatibility == 1 / 2
    assert NEEDED.unasked == ("c", "d")


@pytest.mark.parametrize("name", sorted(set(MEASURES) - KNOWN))
def test_a_measure_that_needs_all_answers_is_refused(name):
    for ask in (lambda: NEEDED.measure(name), lambda: getattr(NEEDED, name)):
        with pytest.raises(ComparisonError) as caught:
            ask()
        assert str(caught.value) == (
            "this measure needs the new model's answers to all 4 examples, and it was not asked 2 "
            'of them, which the old model has wrong\n  set [run] score = "all" and [gate] '
            "sequential = false"
        )


def test_so_are_the_other_figures_and_measures_of_your_own(monkeypatch: pytest.MonkeyPatch):
    module = types.ModuleType("my_measures")
    module.right = lambda pairs: float(pairs.new_correct.mean())
    module.score = lambda pairs: float(pairs.new_scores.mean())
    module.answer = lambda pairs: float((pairs.new_answers == "a").mean())
    module.flips = lambda pairs: float(pairs.negative.sum())
    monkeypatch.setitem(sys.modules, "my_measures", module)
    for name in ("right", "score", "answer"):
        with pytest.raises(ComparisonError, match="it was not asked 2 of them"):
            NEEDED.measure(f"my_measures:{name}")
    assert NEEDED.measure("my_measures:flips") == 1
    for ask in (lambda: NEEDED.positive_flips, lambda: NEEDED.accuracy_drop_upper_bound(0.9)):
        with pytest.raises(ComparisonError, match="it was not asked 2 of them"):
            ask()
    with pytest.raises(AttributeError, match="nonsense"):
        _ = NEEDED.pairs.nonsense


def test_a_report_says_how_many_were_not_asked():
    assert repr(NEEDED) == (
        "FlipReport(task='support', n=4, old_accuracy=0.5000, negative_flips=1, unasked=2)"
    )


def test_where_the_old_model_has_nothing_right_nothing_flips():
    old = Predictions.from_lists("ab", [0, 0], [1, 1])
    report = compare(old, Predictions((), unasked=("b", "a")))
    assert (report.n, report.negative_flips, report.negative_flip_rate) == (2, (), 0.0)
    assert math.isnan(report.trust_compatibility)
    assert report.negative_flip_interval()[1] < 1


# --- what is refused


def one(**values: object) -> Prediction:
    usual = {"id": "a", "answer": 1, "gold": 1, "correct": True, "score": 1.0, "digest": "x"}
    return Prediction(**(usual | values))


OLD = Predictions([one(), one(id="b", answer=0, correct=False)], task="support")


@pytest.mark.parametrize(
    ("rows", "unasked", "message"),
    [
        (
            [one(id="b")],
            ("a",),
            "the new model was not asked what the old one has right for 1 id: 'a'\n  the new pred",
        ),
        ([], ("a", "b"), "the new model was not asked what the old one has right for 1 id: 'a'"),
        ([one()], ("c",), r"same examples\n  1 id only in old: 'b'\n  1 id only in new: 'c'"),
        ([one()], ("b", "c"), r"same examples\n  1 id only in new: 'c'"),
        ([one(gold=2)], ("b",), "different gold answers for 1 id: 'a'"),
        ([one(digest="y")], ("b",), "different questions for 1 id: 'a'"),
        ([one(score=math.nan)], ("b",), "the score of the new answer is not .* 1 id: 'a'"),
    ],
)
def test_what_does_not_belong_together_is_refused(rows, unasked, message):
    with pytest.raises(ComparisonError, match=message):
        compare(OLD, Predictions(rows, unasked=unasked))


def test_an_example_may_be_asked_that_cannot_flip():
    report = compare(
        Predictions.from_lists("abc", [1, 0, 0], [1] * 3),
        dataclasses.replace(Predictions.from_lists("ba", [1, 1], [1, 1]), unasked=("c",)),
    )
    assert (report.negative_flips, report.unasked) == ((), ("c",))


def test_an_old_model_that_was_not_asked_everything_is_refused():
    old = Predictions([one()], task="support", unasked=("b",))
    with pytest.raises(ComparisonError, match="support: the old model was not asked 1 of the exam"):
        compare(old, OLD)
