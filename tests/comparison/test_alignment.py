"""What is compared with what, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest

from pytest_muscle.comparison import compare
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions import Prediction, Predictions


def table(
    answers: dict[str, Any],
    gold: dict[str, Any] | None = None,
    digests: dict[str, str] | None = None,
    task: str | None = None,
) -> Predictions:
    digests = digests or {}
    gold = gold or dict.fromkeys(answers, "right")
    return Predictions(
        tuple(
            Prediction(
                id=id_,
                answer=answer,
                gold=gold[id_],
                correct=answer == gold[id_],
                score=float(answer == gold[id_]),
                digest=digests.get(id_),
            )
            for id_, answer in answers.items()
        ),
        task=task,
    )


def test_tables_in_another_order_are_aligned_by_id():
    report = compare(
        table({"a": "right", "b": "right", "c": "x"}), table({"c": "right", "b": "y", "a": "right"})
    )
    assert report.negative_flips == ("b",)
    assert report.positive_flips == ("c",)
    assert [row.id for row in report.new] == ["a", "b", "c"]
    assert [row.answer for row in report.new] == ["right", "y", "right"]


def test_mappings_are_aligned_by_id():
    report = compare({"a": 1, "b": 2}, {"b": 3, "a": 1}, gold={"b": 2, "a": 1})
    assert report.negative_flips == ("b",)
    assert report.old is None


def test_sequences_have_their_positions_or_the_given_ids():
    assert compare([1, 1], [1, 0], gold=[1, 1]).negative_flips == (1,)
    assert compare([1, 1], [1, 0], gold=[1, 1], ids=["x", "y"]).negative_flips == ("y",)


def test_answers_may_be_arrays_tuples_or_lists_of_lists():
    assert compare(np.array([1, 0]), (1, 1), gold=range(2)).positive_flips == (1,)
    lists = compare([[1, 2], []], [[1, 2], [3]], gold=[[1, 2], []])
    assert lists.negative_flips == (1,)


def test_ids_of_one_table_only_are_counted_and_listed():
    old = table({f"old{i}": "right" for i in range(12)} | {"both": "x"}, task="support")
    new = table({"new": "right", "both": "x"})
    with pytest.raises(ComparisonError) as caught:
        compare(old, new)
    text = str(caught.value)
    assert "support" in text
    assert "12 ids only in old: 'old0', 'old1'" in text
    assert "'old9', and 2 more" in text
    assert "old10" not in text
    assert "1 id only in new: 'new'" in text


def test_a_gold_mapping_with_other_ids_is_refused():
    with pytest.raises(ComparisonError, match="1 id only in gold: 'c'"):
        compare({"a": 1}, {"a": 1}, gold={"a": 1, "c": 2})
    with pytest.raises(ComparisonError, match="1 id only in the answers: 'a'"):
        compare({"a": 1, "c": 2}, {"a": 1, "c": 2}, gold={"c": 1})


def test_different_gold_answers_are_refused():
    old = table({"a": 1, "b": 2}, gold={"a": 1, "b": 2})
    new = table({"b": 2, "a": 1}, gold={"a": 1, "b": 3})
    with pytest.raises(ComparisonError, match=r"different gold answers for 1 id: 'b'"):
        compare(old, new)


def test_different_questions_are_refused():
    old = table({"a": "x", "b": "x"}, digests={"a": "1", "b": "2"})
    new = table({"a": "x", "b": "x"}, digests={"a": "1", "b": "3"})
    with pytest.raises(ComparisonError, match=r"asked different questions for 1 id: 'b'"):
        compare(old, new)


def test_a_digest_that_is_not_known_is_no_difference():
    old = table({"a": "x", "b": "x"}, digests={"a": "1"})
    new = table({"a": "x", "b": "x"}, digests={"b": "3"})
    assert compare(old, new).n == 2


def test_a_score_that_is_no_number_is_refused():
    row = Prediction(id="a", answer="", gold="", correct=False, score=math.nan)
    with pytest.raises(ComparisonError, match=r"score of the new answer is not .* 1 id: 'a'"):
        compare(table({"a": ""}, gold={"a": ""}), Predictions((row,)))


@pytest.mark.parametrize(
    ("old", "new", "extra", "message"),
    [
        ([1], {"a": 1}, {"gold": [1]}, "mixed kinds: old is a sequence, new is a mapping"),
        ([1], [1], {"gold": {"a": 1}}, "gold is a mapping"),
        ([1], table({"a": 1}), {}, "mixed kinds: old is a sequence, new is Predictions"),
        ([1], [1], {}, "without gold answers"),
        ({"a": 1}, {"a": 1}, {}, "without gold answers"),
        ([], [], {"gold": []}, "no answer to compare"),
        ({}, {}, {"gold": {}}, "no answer to compare"),
        ([1, 2], [1], {"gold": [1, 2]}, "different lengths: old 2, new 1, gold 2"),
        ([1], [1], {"gold": [1], "ids": ["a", "b"]}, "different lengths: .*ids 2"),
        ([1, 2], [1, 2], {"gold": [1, 2], "ids": ["a", "a"]}, "'a' stands twice, at 0 and 1"),
        ([1], [1], {"gold": [1], "ids": [[]]}, "cannot name an example: unhashable"),
        ("ab", "ab", {"gold": "ab"}, "old: is a str, not a sequence"),
        ({1, 2}, {1, 2}, {"gold": {1, 2}}, "old: is a set, not a sequence"),
        (1, 1, {"gold": 1}, "old: is a int, not a sequence"),
        ({"a": 1}, {"a": 1}, {"gold": {"a": 1}, "ids": ["a"]}, "keys are the ids"),
        (table({"a": 1}), table({"a": 1}), {"gold": [1]}, "gold= was given"),
        (table({"a": 1}), table({"a": 1}), {"ids": ["a"]}, "ids= was given"),
        ([np.ones(2)], [np.ones(2)], {"gold": [np.ones(2)]}, "cannot be compared with =="),
    ],
)
def test_what_does_not_belong_together_is_refused(
    old: Any, new: Any, extra: dict[str, Any], message: str
):
    with pytest.raises(ComparisonError, match=message):
        compare(old, new, **extra)


@pytest.mark.parametrize(("answers", "gold"), [([0, 1], ["0", "1"]), (["0", "1"], [0, 1])])
def test_text_against_numbers_is_refused_since_none_could_be_right(answers, gold):
    with pytest.raises(ComparisonError, match="so none can be right"):
        compare(answers, answers, gold=gold)
    assert compare([0, "1"], [0, 1], gold=[0, "1"]).negative_flip_rate == 0.5
