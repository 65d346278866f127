"""Flips of drawn answers against SciPy's exact tests, and how many chance alone gives."""

import time

import numpy as np
import pytest
from scipy.stats import fisher_exact, permutation_test

from pytest_muscle.comparison import draws
from pytest_muscle.comparison.draws import (
    draw_flips,
    expected_false_flips,
    fewest_draws,
    fisher_p,
)
from pytest_muscle.errors import ComparisonError


@pytest.mark.parametrize(("k", "more"), [(3, 3), (5, 8), (10, 4)])
def test_p_is_that_of_scipys_fisher_test(k: int, more: int):
    for old in range(k + 1):
        for new in range(more + 1):
            table = [[old, k - old], [new, more - new]]
            expected = fisher_exact(table, alternative="greater").pvalue
            assert fisher_p(old, k, new, more) == pytest.approx(expected)


def test_a_flip_worked_by_hand():
    # Three of three right before and none after: one of C(6, 3) = 20 ways, p = 0.05.
    three, two, none = [True] * 3, [True, True, False], [False] * 3
    negative, positive = draw_flips([three, two, none, three], [none, none, three, three])
    assert list(negative) == [True, False, False, False]
    assert list(positive) == [False, False, True, False]


@pytest.mark.parametrize("level", [0.05, 0.2])
@pytest.mark.parametrize(("k", "more"), [(3, 4), (6, 6)])
def test_flips_are_where_scipys_p_is_at_the_level(k: int, more: int, level: float):
    rng = np.random.default_rng(1)
    old, new = rng.random((60, k)) < 0.7, rng.random((60, more)) < rng.random((60, 1))
    negative, positive = draw_flips(old, new, level=level)
    for mask, alternative in ((negative, "greater"), (positive, "less")):
        p = [
            fisher_exact([[a.sum(), k - a.sum()], [b.sum(), more - b.sum()]], alternative).pvalue
            for a, b in zip(old, new, strict=True)
        ]
        assert list(mask) == [value <= level + 1e-12 for value in p]


@pytest.mark.parametrize("level", [0.05, 0.3])
def test_flips_of_scores_are_where_scipys_p_is_at_the_level(level: float):
    rng = np.random.default_rng(2)
    # Rounded, so that there are ties.
    old, new = np.round(rng.random((40, 4)), 1), np.round(rng.random((40, 5)) ** 2, 1)

    def fall(before: np.ndarray, after: np.ndarray, axis: int) -> np.ndarray:
        return before.mean(axis=axis) - after.mean(axis=axis)

    p = [
        permutation_test(pair, fall, alternative="greater", n_resamples=np.inf).pvalue
        for pair in zip(old, new, strict=True)
    ]
    negative = draw_flips(old, new, level=level)[0]
    assert list(negative) == [value <= level + 1e-12 for value in p]
    assert 0 < negative.sum() < 40


def test_right_and_wrong_as_scores_flip_alike():
    rng = np.random.default_rng(3)
    old, new = rng.random((300, 5)) < 0.8, rng.random((300, 5)) < 0.3
    for counted, scored in zip(draw_flips(old, new), draw_flips(old * 1.0, new * 1.0), strict=True):
        assert list(counted) == list(scored)
    assert expected_false_flips(old, new) == pytest.approx(
        expected_false_flips(old * 1.0, new * 1.0)
    )


def test_many_draws_are_shared_out_at_random():
    rng = np.random.default_rng(4)
    old, new = rng.random((80, 12)) + 0.25, rng.random((80, 12))
    sampled = draw_flips(old, new)[0]
    p = [
        permutation_test(
            pair,
            lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
            alternative="greater",
            n_resamples=1_999,
            rng=1,
            vectorized=True,
        ).pvalue
        for pair in zip(old, new, strict=True)
    ]
    # Both are random near the level.
    clear = np.abs(np.array(p) - 0.05) > 0.015
    assert list(sampled[clear]) == list((np.array(p) < 0.05)[clear])


@pytest.mark.parametrize(("k", "more", "graded"), [(3, 3, False), (8, 5, False), (4, 4, True)])
def test_chance_alone_gives_as_many_flips_as_expected_and_no_more_than_the_level(
    k: int, more: int, graded: bool
):
    rng = np.random.default_rng(20_250_401)
    ease = rng.random((20_000, 1))
    old, new = (
        np.round(ease + rng.normal(size=(20_000, size)), 1)
        if graded
        else rng.random((20_000, size)) < ease
        for size in (k, more)
    )
    found = draw_flips(old, new)[0].sum()
    expected = expected_false_flips(old, new)
    assert 0 < expected <= 0.05 * 20_000
    assert abs(found - expected) < 4 * np.sqrt(expected)


def test_a_real_change_is_found_the_oftener_the_more_draws_there_are():
    rng = np.random.default_rng(5)
    found = [
        draw_flips(rng.random((2_000, k)) < 0.9, rng.random((2_000, k)) < 0.2)[0].mean()
        for k in (3, 6, 12)
    ]
    assert found == sorted(found)
    assert found[0] == pytest.approx(0.9**3 * 0.8**3, abs=0.04)  # only 3 against 0 will do
    assert found[2] > 0.9


def test_draws_that_are_all_alike_never_flip():
    same = np.ones((5, 4), dtype=bool)
    assert expected_false_flips(same, same) == 0.0
    assert not np.any(draw_flips(same, same))
    assert not np.any(draw_flips(same * 0.3, same * 0.3))


def test_fewest_draws_are_those_whose_clearest_outcome_is_at_the_level():
    # 1 / C(2k, k) is 1/2, 1/6, 1/20, 1/70, 1/252.
    levels = (0.6, 0.2, 0.05, 0.02, 0.01)
    assert [fewest_draws(level) for level in levels] == [1, 2, 3, 4, 5]


def test_too_few_draws_say_so():
    with pytest.raises(ComparisonError, match="2 draws against 2 can never show a flip") as caught:
        draw_flips([[True, True]], [[False, False]])
    assert caught.value.hint == "take at least 3 draws of each model"
    with pytest.raises(ComparisonError, match="1 draws against 1 "):
        expected_false_flips([[True]], [[False]])


def test_tables_that_do_not_fit_and_levels_out_of_range_are_refused():
    with pytest.raises(ComparisonError, match=r"not \(2, 3\) and \(1, 3\)"):
        draw_flips([[1, 1, 1]] * 2, [[1, 1, 1]])
    for ask in (lambda: draw_flips([[1] * 3], [[0] * 3], level=5), lambda: fewest_draws(0)):
        with pytest.raises(ValueError, match="not between 0 and 1, both excluded"):
            ask()


def test_many_examples_are_quick_and_go_in_batches(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(6)
    old, new = rng.random((20_000, 5)), rng.random((20_000, 5))
    started = time.perf_counter()
    at_once = draw_flips(old, new)
    assert time.perf_counter() - started < 10  # about half a second
    monkeypatch.setattr(draws, "LARGEST_TABLE", 252 * 999)
    assert np.array_equal(at_once, draw_flips(old, new))
