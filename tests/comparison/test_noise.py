"""The noise floor against every pair of builds, and how often its bounds hold."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binomtest

from pytest_muscle.comparison import compare
from pytest_muscle.comparison.intervals import clopper_pearson_upper
from pytest_muscle.comparison.noise import (
    excess,
    excess_interval,
    excess_upper_bound,
    noise_floor,
)
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions import Predictions


@pytest.mark.parametrize("k", [2, 3, 6])
def test_shares_are_those_over_all_ordered_pairs(k: int):
    builds = np.random.default_rng(k).random((k, 40)) < 0.7
    floor = noise_floor(builds, varied="seed")
    pairs = [builds[i] & ~builds[j] for i, j in permutations(range(k), 2)]
    assert floor.shares == pytest.approx(np.mean(pairs, axis=0))
    assert floor.rate == pytest.approx(np.mean(pairs))
    assert floor.largest_share == pytest.approx(floor.shares.max())
    assert (floor.k, len(floor), floor.varied) == (k, 40, "seed")


def test_scores_fall_beyond_a_tolerance():
    scores = np.random.default_rng(5).random((4, 30))
    floor = noise_floor(scores, tolerance=0.2)
    pairs = [scores[i] - scores[j] > 0.2 for i, j in permutations(range(4), 2)]
    assert floor.shares == pytest.approx(np.mean(pairs, axis=0))
    assert noise_floor(scores, tolerance=0.0).rate == 0.5  # one of two orders is always a fall


def test_shares_without_a_build_are_those_of_the_others():
    builds = np.random.default_rng(6).random((4, 25)) < 0.6
    floor = noise_floor(builds)
    for left_out in range(4):
        others = noise_floor(np.delete(builds, left_out, axis=0))
        assert floor.without[left_out] == pytest.approx(others.shares)
    assert noise_floor(builds[:2]).without is None


def test_two_builds_have_half_the_exact_interval_of_what_differs():
    builds = np.ones((2, 300), dtype=bool)
    builds[0, :4] = builds[1, 4:9] = False
    ends = binomtest(9, 300).proportion_ci(0.95)
    # The effective number of examples is 299: SciPy's interval is of 300.
    assert noise_floor(builds).interval() == pytest.approx((ends.low / 2, ends.high / 2), rel=0.01)


def test_builds_that_never_differ_have_the_exact_bound_of_no_event():
    floor = noise_floor(np.ones((3, 200), dtype=bool))
    assert floor.rate == 0.0
    expected = binomtest(0, 200).proportion_ci(0.95).high / 3  # 2 of 6 orders at most
    assert floor.interval() == pytest.approx((0.0, expected))
    assert noise_floor(np.ones((2, 1), dtype=bool)).interval() == pytest.approx((0.0, 0.975 / 2))


def draw_builds(rng: np.random.Generator, k: int, n: int, shift: float) -> np.ndarray:
    """Builds that differ in each answer by chance and as a whole by `shift`."""
    ease = rng.normal(1, 1, size=n)
    return ease + rng.normal(size=(k, 1)) * shift + rng.normal(size=(k, n)) * 0.05 > 0


@pytest.mark.parametrize(("shift", "k", "most"), [(0, 2, 0.05), (0.05, 3, 0.05), (0.05, 5, 0.05)])
def test_bounds_hold_over_other_examples_and_builds(shift: float, k: int, most: float):
    rng = np.random.default_rng(20_250_301)
    # What two builds differ in is one draw each way; half of it is the negative flips.
    pairs = (draw_builds(rng, 2, 2_000, shift) for _ in range(1_000))
    rate = np.mean([np.mean(first ^ second) / 2 for first, second in pairs])
    floors = [noise_floor(draw_builds(rng, k, 300, shift)).bounds(0.95) for _ in range(600)]
    low, high = np.transpose(floors)
    # 600 draws of a chance of 0.05 have a standard error of 0.009.
    assert np.mean(high < rate) <= most + 0.018
    assert np.mean(low > rate) <= most + 0.018


def test_two_builds_say_nothing_of_builds_that_differ_as_a_whole():
    rng = np.random.default_rng(20_250_302)
    pairs = (draw_builds(rng, 2, 2_000, 0.2) for _ in range(1_000))
    rate = np.mean([np.mean(first ^ second) / 2 for first, second in pairs])
    missed = {}
    for k in (2, 4):
        floors = (noise_floor(draw_builds(rng, k, 300, 0.2)) for _ in range(300))
        missed[k] = np.mean([floor.bounds(0.95)[1] < rate for floor in floors])
    assert missed[2] > 0.15
    assert missed[4] < 0.1


def test_excess_is_the_rate_less_the_floor():
    builds = np.array([[1, 1, 0, 1], [1, 0, 1, 1]], dtype=bool)
    floor = noise_floor(builds, "abcd")
    assert excess(np.array([True, True, True, False]), floor) == pytest.approx(3 / 4 - 1 / 4)


def test_a_floor_without_flips_leaves_the_exact_bounds_of_the_rate():
    negative = np.arange(200) < 3
    floor = noise_floor(np.ones((2, 200), dtype=bool))
    assert excess_upper_bound(negative, floor) == pytest.approx(clopper_pearson_upper(3, 200, 0.95))
    low, high = excess_interval(negative, floor)
    ends = binomtest(3, 200).proportion_ci(0.95)
    assert high == pytest.approx(ends.high)
    # Below, the floor may be larger than it was seen to be.
    assert low < ends.low


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize(
    ("breaks", "noise", "n"),
    [(0.003, 0, 300), (0.01, 0, 300), (0.0, 0.01, 300), (0.01, 0.01, 300), (0.05, 0.1, 300)],
)
def test_bounds_of_the_excess_hold_however_rare_flips_are(
    breaks: float, noise: float, n: int, k: int
):
    rng = np.random.default_rng(20_250_303)
    # Unstable examples are right by the toss of a coin: a quarter of them flips in each pair.
    excesses = (1 - (1 - noise) * (1 - breaks)) - noise
    missed = np.zeros(2)
    for _ in range(500):
        unstable = rng.random(n) < 4 * noise
        builds = ~unstable | (rng.random((k, n)) < 0.5)
        negative = (unstable & (rng.random(n) < 0.25)) | (rng.random(n) < breaks)
        floor = noise_floor(builds)
        missed += (
            excess_upper_bound(negative, floor) < excesses - 1e-9,
            excess_interval(negative, floor, 0.9)[0] > excesses + 1e-9,
        )
    # 500 draws of a chance of 0.05 have a standard error of 0.01.
    assert np.all(missed / 500 <= 0.07)


def test_flips_in_common_make_the_bound_narrower():
    rng = np.random.default_rng(7)
    unstable = rng.random(2_000) < 0.3
    floor = noise_floor(~unstable | (rng.random((2, 2_000)) < 0.5))
    negative = floor.shares > 0
    elsewhere = np.roll(negative, 1)
    assert excess_upper_bound(negative, floor) < excess_upper_bound(elsewhere, floor) - 0.003


def test_a_floor_of_more_examples_is_aligned_by_id():
    builds = np.array([[1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1]], dtype=bool)
    floor = noise_floor(builds, "abcd")
    some = floor.align(["c", "a"])
    assert some.ids == ("c", "a")
    assert list(some.shares) == list(floor.shares[[2, 0]])
    assert some.without.shape == (3, 2)
    assert floor.align(tuple("abcd")) is floor
    with pytest.raises(ComparisonError, match="lacks 1 of 2 examples, the first 'x'"):
        floor.align(["a", "x"])
    with pytest.raises(ComparisonError, match="2 examples are compared, and the noise floor has 4"):
        excess(np.array([True, False]), floor)


def tables_of(*builds: str) -> list[Predictions]:
    """Tables of builds that have each of five examples right (1) or wrong (0)."""
    return [
        Predictions.from_lists("abcde", list(map(int, build)), [1] * 5, task="t")
        for build in builds
    ]


def test_tables_are_aligned_by_id_and_give_the_floor_of_their_answers():
    first, second, third = tables_of("11100", "11010", "01110")
    order = np.array([3, 1, 4, 0, 2])
    shuffled = replace(second, rows=second.columns.take(order))

    floor = noise_floor([first, shuffled, third], varied="seed", version="new")

    assert (floor.ids, floor.k) == (tuple("abcde"), 3)
    assert (floor.varied, floor.version) == ("seed", "new")
    # Of six ordered pairs, a, c and d fall in two: one build differs from the two others.
    assert (6 * floor.shares).tolist() == [2, 0, 2, 2, 0]
    bools = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [0, 1, 1, 1, 0]], dtype=bool)
    plain = noise_floor(bools, "abcde")
    assert floor.without.tolist() == plain.without.tolist()
    assert floor.largest_share == plain.largest_share
    assert noise_floor([first, shuffled], "ba").shares.tolist() == [0, 0]


def test_tables_of_scores_bring_their_tolerance():
    scores = [[0.9, 0.5, 0.1], [0.7, 0.5, 0.4]]
    tables = [Predictions.from_scores("abc", row, tolerance=0.2) for row in scores]

    # 0.9 - 0.7 is more than 0.2 by what floating point adds alone, and no fall.
    assert noise_floor(tables).shares.tolist() == [0, 0, 0.5]
    assert noise_floor(np.array(scores), tolerance=0.2).shares.tolist() == [0, 0, 0.5]
    assert noise_floor(tables, tolerance=0.1).shares.tolist() == [0.5, 0, 0.5]


def test_a_floor_counts_the_flips_that_a_comparison_counts():
    rng = np.random.default_rng(3)
    tables = [
        Predictions.from_lists(range(50), rng.integers(0, 2, 50).tolist(), [1] * 50)
        for _ in range(4)
    ]
    rates = [compare(a, b).negative_flip_rate for a, b in permutations(tables, 2)]
    assert noise_floor(tables).rate == pytest.approx(sum(rates) / len(rates))


def test_tables_that_do_not_belong_together_are_refused():
    one, other = tables_of("11100", "11010")
    with pytest.raises(ComparisonError, match="needs two builds or more"):
        noise_floor([one])
    fewer = other.only(np.array([True] * 4 + [False]))
    with pytest.raises(ComparisonError, match="do not hold the same examples"):
        noise_floor([one, fewer])
    with pytest.raises(ComparisonError, match="graded"):
        noise_floor([one, Predictions.from_scores("abcde", [0.5] * 5)])


def test_what_makes_no_floor_is_refused():
    with pytest.raises(ComparisonError, match=r"not one of shape \(3,\)"):
        noise_floor(np.ones(3, dtype=bool))
    with pytest.raises(ComparisonError, match="needs two builds or more"):
        noise_floor(np.ones((1, 5), dtype=bool))
    with pytest.raises(ComparisonError, match="2 different ids for 3 examples"):
        noise_floor(np.ones((2, 3), dtype=bool), "aba")
    with pytest.raises(ComparisonError, match="needs to know what counts as a fall"):
        noise_floor(np.ones((2, 3)))
    with pytest.raises(ValueError, match="not between 0 and 1, both excluded"):
        noise_floor(np.ones((2, 3), dtype=bool)).interval(95)
