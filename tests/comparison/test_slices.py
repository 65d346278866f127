"""Groups of examples, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_muscle import FlipReport, Predictions, compare
from pytest_muscle.comparison.slices import (
    adjust_slices,
    slice_flips,
)
from pytest_muscle.errors import ComparisonError


def _report() -> FlipReport:
    ids = list("abcdef")
    old = Predictions.from_lists(ids, [1, 1, 1, 1, 0, 0], [1] * 6, task="t")
    new = Predictions.from_lists(ids, [0, 1, 0, 0, 1, 0], [1] * 6, task="t")
    return compare(old, new)  # a, c, d flip from right to wrong


def test_flips_are_counted_by_group_and_the_worst_stands_first():
    groups = dict(zip("abcdef", ["x", "x", "y", "y", "z", "x"], strict=True))
    found = slice_flips(_report(), groups)
    assert [(group.value, group.n, group.negative_flips) for group in found] == [
        ("y", 2, 2),
        ("x", 3, 1),
        ("z", 1, 0),
    ]
    assert found[1].negative_flip_rate == pytest.approx(1 / 3)


def test_groups_may_come_one_by_one_in_the_report_s_order():
    groups = dict(zip("abcdef", ["x", "x", "y", "y", "z", "x"], strict=True))
    assert slice_flips(_report(), iter(groups.values())) == slice_flips(_report(), groups)
    for values in ("xxyyz", "xxyyzxx"):
        with pytest.raises(ComparisonError, match=f"t: 6 examples and {len(values)} values"):
            slice_flips(_report(), iter(values))


def test_slices_need_no_answer_that_cannot_flip():
    whole = _report()
    asked = [row for row in whole.given if row.id in "abcd"]
    needed = compare(whole.old, Predictions(asked, unasked=("f", "e")))
    groups = dict(zip("abcdef", ["x", "x", "y", "y", "z", "x"], strict=True))
    assert slice_flips(needed, groups) == slice_flips(whole, groups)


def test_intervals_are_clopper_pearson():
    groups = dict.fromkeys("abcdef", "all")
    (group,) = slice_flips(_report(), groups)
    low = stats.beta.ppf(0.025, 3, 4)
    high = stats.beta.ppf(0.975, 4, 3)
    assert group.interval == pytest.approx((low, high))


def test_an_example_without_a_group_is_an_error():
    with pytest.raises(ComparisonError, match="'f' has no value to slice by"):
        slice_flips(_report(), dict.fromkeys("abcde", "x"))


def _many(n: int, rate: float, seed: int) -> tuple[FlipReport, np.ndarray]:
    random = np.random.default_rng(seed)
    new = np.where(random.random(n) < rate, 0, 1)
    return compare([1] * n, new, gold=[1] * n), random.integers(0, 40, n)


def test_p_values_are_those_of_fisher_s_exact_test():
    report, groups = _many(2_000, 0.03, seed=1)
    flipped = report.pairs.negative
    for found in slice_flips(report, map(str, groups)):
        inside = groups == int(found.value)
        table = [
            [(flipped & inside).sum(), (~flipped & inside).sum()],
            [(flipped & ~inside).sum(), (~flipped & ~inside).sum()],
        ]
        expected = stats.fisher_exact(table, alternative="greater").pvalue
        assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_p_values_of_a_small_case_by_hand():
    # 3 flips in 6 examples, y has 2 of 2: C(4, 1) / C(6, 3) = 1 / 5, of 3 slices 3 / 5.
    groups = dict(zip("abcdef", ["x", "x", "y", "y", "z", "x"], strict=True))
    found = slice_flips(_report(), groups)
    assert found[0].p_value == pytest.approx(1 / 5)
    assert found[0].adjusted_p == pytest.approx(3 / 5)
    assert found[2].p_value == pytest.approx(1)  # z has no flip: any number is as many


def test_slices_of_several_columns_are_one_family():
    groups = dict(zip("abcdef", ["x", "x", "y", "y", "z", "x"], strict=True))
    first = slice_flips(_report(), groups, column="first", adjustment="none")
    second = slice_flips(_report(), groups, column="second", adjustment="none")
    assert first[0].adjusted_p == first[0].p_value
    family = adjust_slices([*first, *second])
    assert [group.column for group in family] == ["first"] * 3 + ["second"] * 3
    assert family[0].adjusted_p == family[3].adjusted_p == pytest.approx(1)
    assert [group.p_value for group in family[:3]] == [group.p_value for group in first]


def test_intervals_may_be_computed_otherwise():
    groups = dict.fromkeys("abcdef", "all")
    (group,) = slice_flips(
        _report(),
        groups,
        confidence=0.9,
        interval=lambda flips, n, confidence: (flips / n, confidence),
    )
    assert group.interval == (0.5, 0.9)


def test_thousands_of_slices_of_100_000_examples():
    report, _ = _many(100_000, 0.02, seed=4)
    groups = np.random.default_rng(5).integers(0, 3_000, report.n).astype(str)
    found = slice_flips(report, groups.tolist())
    assert sum(group.n for group in found) == 100_000
    assert min(group.adjusted_p for group in found) > 0.05
