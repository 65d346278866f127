"""Columns as groups: what a reader of the table would expect."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from pytest_muscle.comparison.grouping import Grouping, group_values, list_columns


def _group(values) -> Grouping:
    return group_values([{"column": value} for value in values], "column")


def test_texts_are_groups_as_they_are():
    grouping = _group(["fr", "de", "fr", " fr "])
    assert grouping.names == ("fr", "de")
    assert grouping.groups.tolist() == [0, 1, 0, 0]
    assert grouping.values == ["fr", "de", "fr", "fr"]
    assert grouping.usable


def test_few_numbers_and_truth_values_are_groups_as_they_are():
    assert _group([1, 2, 1, 2.5]).names == ("1", "2", "2.5")
    assert _group([True, False, True]).names == ("True", "False")
    assert _group([1, True, "1", "x"]).values == ["1", "True", "1", "x"]
    assert _group([10**400, 1]).names == (f"1{'0' * 400}", "1")
    assert _group([np.int64(3), np.float32(0.5)]).names == ("3", "0.5")


def test_many_numbers_are_ranges_of_as_many_examples():
    grouping = _group([*range(1, 101)] * 2)
    assert grouping.names == ("1 to 20", "21 to 40", "41 to 60", "61 to 80", "81 to 100")
    assert Counter(grouping.values) == dict.fromkeys(grouping.names, 40)
    texts = _group([str(number) for number in range(1, 101)] * 2)
    assert texts.names == grouping.names


def test_a_number_that_many_examples_have_is_a_range_of_its_own():
    grouping = _group([0] * 100 + list(range(1, 41)) * 2)
    assert grouping.names[0] == "0"
    assert Counter(grouping.values)["0"] == 100
    assert all(" to " in name for name in grouping.names[1:])


def test_ranges_are_named_with_digits_enough():
    close = _group([1.00001 + number * 1e-7 for number in range(200)])
    assert len(close.names) == 5
    assert len({end for name in close.names for end in name.split(" to ")}) == 10
    far = _group([1.5e6 * number / 3 for number in range(1, 60)])
    assert far.names[0] == "500000 to 6000000"


def test_none_empty_and_missing_have_groups_of_their_own():
    rows = [{"column": "a"}, {"column": None}, {"column": ""}, {}, {"column": []}]
    assert group_values(rows, "column").values == ["a", "(none)", "(empty)", "(missing)", "(empty)"]
    numbers = _group([*range(50), *range(50), None, "", math.nan, math.inf])
    assert numbers.names[-4:] == ("(none)", "(empty)", "nan", "inf")
    assert numbers.names[0] == "0 to 9"


def test_lists_and_mappings_have_a_name():
    assert _group([["a", "b"], ["a", "b"], ("b",), {"y": 1, "x": None}]).names == (
        "a, b",
        "b",
        '{"x":null,"y":1}',
    )


def test_ids_are_no_groups_and_neither_is_one_value_for_all():
    texts = [f"question {number}" for number in range(100)]
    assert not _group(texts).usable
    assert not _group(range(100)).usable
    assert not _group(["en"] * 100).usable
    assert _group(texts[:50] * 2).usable
    assert _group(np.random.default_rng(1).random(100)).usable  # a measurement
    assert _group(["a", "b", "c"]).usable


def test_columns_are_those_of_all_rows():
    assert list_columns([{"b": 1}, {"a": 2, "b": 3}, {"c": 1}]) == ["b", "a", "c"]
