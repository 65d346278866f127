"""From a text to its answer and its score."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings import TaskSettings
from pytest_muscle.tasks import Example
from pytest_muscle.tasks.grading import Grade, Grader


def make(**keys: Any) -> Grader:
    table = {"kind": "generation", "eval": "e.jsonl", "prompt": "?", "gold": "{{ a }}"} | keys
    return Grader(TaskSettings(**table), where="muscle.toml: tasks.sums")


def grade(text: str, gold: Any, **keys: Any) -> Grade:
    return make(**keys).grade(text, Example("q1", "?", (), gold, {"weight": 0.5}))


def test_exact_match_is_right_or_wrong():
    assert grade(" The Moon.\n", "moon") == Grade("moon", 1.0, True, False)
    assert grade("the sun", "moon") == Grade("sun", 0.0, False, False)
    assert grade("$1,000.00", "1000") == Grade("1000", 1.0, True, False)
    assert grade("The Moon.", "moon", normalise=()) == Grade("The Moon.", 0.0, False, False)


def test_contains_keeps_the_text_as_it_was():
    assert grade("It is 1,000!", "1000", metric="contains") == Grade(
        "It is 1,000!", 1.0, True, False
    )


def test_scores_are_right_from_one():
    assert grade("red rose", "rose", metric="f1") == Grade("red rose", 2 / 3, False, True)
    assert grade("Rose", "rose", metric="f1") == Grade("Rose", 1.0, True, True)


@pytest.mark.parametrize("metric", ["exact_match", "contains", "f1", "rouge1", "rougeL", "chrf"])
def test_of_several_gold_answers_the_best_counts(metric):
    assert grade("pink", ("red", "pink"), metric=metric).score == 1.0
    assert grade("grün", ("red", "pink"), metric=metric).score < 1.0


def test_the_answer_is_what_the_expression_finds():
    keys = {"extract": r"-?[\d,.]*\d"}
    assert grade("3 and 1,004.0 apples", "1004", **keys) == Grade("1004", 1.0, True, False)
    assert grade("3 and 4", "3", extract_match="first", **keys).correct
    assert grade("none", "3", **keys) == Grade(None, 0.0, False, False)
    assert grade("none", "3", metric="f1", **keys) == Grade(None, 0.0, False, True)


def test_an_empty_text_is_no_answer():
    assert grade(" \n", "x") == Grade(None, 0.0, False, False)


# --- metrics of one's own


@pytest.fixture(autouse=True)
def own_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("own_metrics")
    module.same = lambda answer, gold, fields: answer == gold
    module.weighed = lambda answer, gold, fields: fields["weight"] * (answer == gold)
    module.any_of = lambda answer, gold, fields: answer in gold
    module.numpy_bool = lambda answer, gold, fields: np.bool_(True)
    module.numpy_float = lambda answer, gold, fields: np.float32(0.25)
    module.whole = lambda answer, gold, fields: 1
    module.mixed = lambda answer, gold, fields: answer == gold or 0.5
    module.text = lambda answer, gold, fields: "good"
    module.nothing = lambda answer, gold, fields: None
    module.nan = lambda answer, gold, fields: float("nan")
    module.huge = lambda answer, gold, fields: 10**400
    module.many = lambda answer, gold, fields: np.array([1.0, 2.0])
    module.broken = lambda answer: True
    monkeypatch.setitem(sys.modules, "own_metrics", module)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("same", Grade("Red.", 1.0, True, False)),
        ("weighed", Grade("Red.", 0.5, False, True)),
        ("numpy_bool", Grade("Red.", 1.0, True, False)),
        ("numpy_float", Grade("Red.", 0.25, False, True)),
        ("whole", Grade("Red.", 1.0, True, True)),
    ],
)
def test_your_own_metric_is_given_the_answer_as_it_was_written(name, expected):
    assert grade(" Red.\n", "Red.", metric=f"own_metrics:{name}") == expected


def test_your_own_metric_is_given_all_gold_answers():
    assert grade("b", ("a", "b"), metric="own_metrics:any_of").correct


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("text", "gives str 'good', on example 'q1'"),
        ("nothing", "gives NoneType None, on example 'q1'"),
        ("nan", "gives float nan, on example 'q1'"),
        ("huge", "gives int 1000"),
        ("many", "gives ndarray array([1., 2.]), on example 'q1'"),
        ("broken", "fails: TypeError: "),
    ],
)
def test_what_is_no_result_is_refused_with_the_example(name, problem):
    with pytest.raises(ConfigurationError) as caught:
        grade("a", "b", metric=f"own_metrics:{name}")
    assert str(caught.value).startswith(
        f"muscle.toml: tasks.sums.metric: own_metrics:{name} {problem}"
    )
    assert "on example 'q1'" in str(caught.value)


def test_one_metric_gives_either_right_or_wrong_or_scores():
    grader = make(metric="own_metrics:mixed")
    assert not grader.grade(" ", Example("q0", "?", (), "a")).graded
    assert grader.grade("a", Example("q1", "?", (), "a")).correct
    with pytest.raises(ConfigurationError) as caught:
        grader.grade("b", Example("q2", "?", (), "a"))
    assert "gives both true or false and numbers, on example 'q2'" in str(caught.value)


def test_a_metric_of_ours_that_cannot_judge_names_the_example():
    with pytest.raises(ConfigurationError, match=r"rouge1 fails: .*, on example 'q1'"):
        grade("東京", "東京", metric="rouge1")


@pytest.mark.parametrize(
    ("keys", "place"),
    [({"metric": "acc"}, "metric"), ({"extract": "("}, "extract"), ({"metric": "no:x"}, "metric")],
)
def test_mistakes_are_found_before_the_first_text(keys, place):
    with pytest.raises(ConfigurationError, match=rf"muscle\.toml: tasks\.sums\.{place}: "):
        make(**keys)
