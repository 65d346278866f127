"""Planted slices are found, chance ones are not, and rates are those of examples not searched."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_muscle import FlipReport, compare
from pytest_muscle.comparison.discovery import find_slices
from pytest_muscle.comparison.intervals import clopper_pearson
from pytest_muscle.comparison.sequential import seeded_keys
from pytest_muscle.errors import ComparisonError

LANGUAGES = np.array(["en", "de", "fr", "es", "it"])
TOPICS = np.array(["a", "b", "c", "d", "e", "f", "g", "h"])


def _rows(n, seed) -> list[dict]:
    random = np.random.default_rng(seed)
    columns = {
        "question": [f"question {number}" for number in range(n)],
        "language": random.choice(LANGUAGES, n).tolist(),
        "topic": random.choice(TOPICS, n).tolist(),
        "length": random.integers(10, 500, n).tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _report(rates, seed, ids=None) -> FlipReport:
    flipped = np.random.default_rng([seed, 1]).random(len(rates)) < rates
    ones = [1] * len(rates)
    return compare(ones, np.where(flipped, 0, 1), gold=ones, ids=ids)


def _rates(rows, base, planted, rate) -> list[float]:
    return [rate if planted(row) else base for row in rows]


def test_a_planted_slice_is_found_and_nothing_else():
    rows = _rows(4_000, seed=1)
    report = _report(_rates(rows, 0.02, lambda row: row["language"] == "fr", 0.12), seed=1)
    (found,) = find_slices(report, rows)
    assert found.conditions == (("language", "fr"),)
    assert found.name == "language = fr"
    assert found.adjusted_p < 1e-4
    assert found.rest_rate == pytest.approx(0.02, abs=0.01)


def test_numbers_are_those_of_the_half_that_was_not_searched():
    rows = _rows(4_000, seed=1)
    report = _report(_rates(rows, 0.02, lambda row: row["language"] == "fr", 0.12), seed=1)
    (found,) = find_slices(report, rows, seed=5)
    kept = seeded_keys(range(4_000), 5) % 2 == 1
    inside = kept & np.array([row["language"] == "fr" for row in rows])
    flips = int((inside & report.pairs.negative).sum())
    assert (found.n, found.negative_flips) == (inside.sum(), flips)
    assert found.negative_flip_rate == flips / inside.sum()
    assert found.interval == clopper_pearson(flips, int(inside.sum()), 0.95)


def test_a_planted_pair_of_values_is_found_as_a_pair():
    rows = _rows(6_000, seed=2)
    planted = _rates(rows, 0.02, lambda row: (row["language"], row["topic"]) == ("de", "c"), 0.4)
    (found,) = find_slices(_report(planted, seed=2), rows)
    assert found.conditions == (("language", "de"), ("topic", "c"))
    assert found.name == "language = de and topic = c"


def test_a_pair_inside_a_slice_is_named_where_it_is_worse_still():
    rows = _rows(8_000, seed=3)
    rates = [
        (0.6 if row["topic"] == "c" else 0.15) if row["language"] == "de" else 0.02 for row in rows
    ]
    found = find_slices(_report(rates, seed=3), rows)
    assert [slice_.conditions for slice_ in found] == [
        (("language", "de"), ("topic", "c")),
        (("language", "de"),),
    ]


def test_a_range_of_numbers_is_found():
    rows = _rows(4_000, seed=4)
    report = _report(_rates(rows, 0.01, lambda row: row["length"] > 400, 0.1), seed=4)
    (found,) = find_slices(report, rows)
    ((column, value),) = found.conditions
    assert column == "length"
    assert value.endswith(" to 499")


def test_a_column_that_says_the_same_again_adds_nothing():
    rows = [{**row, "code": row["language"].upper()} for row in _rows(4_000, seed=1)]
    report = _report(_rates(rows, 0.02, lambda row: row["language"] == "fr", 0.12), seed=1)
    (found,) = find_slices(report, rows)
    assert found.conditions == (("language", "fr"),)


def test_where_no_slice_is_planted_findings_are_no_more_frequent_than_the_level():
    false = 0
    for seed in range(200):
        rows = _rows(300, seed)
        false += bool(find_slices(_report([0.1] * 300, seed), rows, seed=seed, level=0.1))
    assert false <= 200 * 0.1


def test_rates_are_not_inflated_by_the_search():
    searched, confirmed = [], []
    for seed in range(50):
        rows = _rows(2_000, seed)
        # Four topics flip alike; the one that is picked is picked for flipping most.
        rates = _rates(rows, 0.02, lambda row: row["topic"] in "abcd", 0.2)
        report = _report(rates, seed)
        half = seeded_keys(range(2_000), seed) % 2 == 0
        negative = report.pairs.negative
        topics = np.array([row["topic"] for row in rows])
        top = max(TOPICS, key=lambda topic: negative[half & (topics == topic)].mean())
        searched.append(negative[half & (topics == top)].mean())
        confirmed += [
            slice_.negative_flip_rate
            for slice_ in find_slices(report, rows, seed=seed)
            if slice_.conditions == (("topic", top),)
        ]
    assert np.mean(searched) > 0.22
    assert len(confirmed) > 40
    error = np.std(confirmed) / np.sqrt(len(confirmed))
    assert np.mean(confirmed) == pytest.approx(0.2, abs=2 * error)


def test_the_halves_depend_on_ids_and_seed_not_on_the_order():
    rows = _rows(3_000, seed=6)
    ids = [row["question"] for row in rows]
    rates = _rates(rows, 0.02, lambda row: row["topic"] == "g", 0.15)
    flipped = np.random.default_rng(6).random(3_000) < rates
    new = np.where(flipped, 0, 1)
    ones = [1] * 3_000
    found = find_slices(compare(ones, new, gold=ones, ids=ids), rows)
    backwards = compare(ones, new[::-1], gold=ones, ids=ids[::-1])
    assert find_slices(backwards, rows[::-1]) == found
    assert len(found) == 1


def test_where_nothing_can_be_found_there_is_nothing():
    rows = _rows(100, seed=7)
    assert find_slices(_report([0.0] * 100, 7), rows) == []
    assert find_slices(_report([1.0] * 100, 7), rows) == []
    assert find_slices(_report([0.5] * 100, 7), [{}] * 100) == []
    assert find_slices(_report([0.5], 7), rows[:1]) == []
    with pytest.raises(ComparisonError, match="100 examples and 99 rows"):
        find_slices(_report([0.5] * 100, 7), rows[:99])
