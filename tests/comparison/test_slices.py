"""Groups of examples, counted by hand."""

from __future__ import annotations

import pytest
from scipy import stats

from pytest_muscle import FlipReport, Predictions, compare
from pytest_muscle.comparison import slice_flips
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
