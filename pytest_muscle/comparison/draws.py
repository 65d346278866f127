"""Flips of models that answer by chance: k draws of each example against k of the other model.

A flip is a change of an example's success rate, or of its mean score, beyond what drawing again
would show. The test of each example is an exact one-sided permutation test: where its draws were of
one model, each way to share them out between old and new would be as probable. For right and wrong
that is Fisher's exact test (Fisher 1935, The Design of Experiments; of scores: Ernst 2004,
Statistical Science 19(4), 676-685).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions.packed import Mask

MOST_WAYS = 20_000
"""With more ways to share the draws out, as many are tried at random, the one seen among them."""
SEED = 20_407
LARGEST_TABLE = 4_000_000
CLOSE = 1e-9
"""Sums that differ by less than this are equal."""


def draw_flips(old: ArrayLike, new: ArrayLike, *, level: float = 0.05) -> tuple[Mask, Mask]:
    """Return where the new model is worse and where it is better than chance draws explain.

    Args:
        old: The old model's draws, right or wrong (bool) or scores, [n, k].
        new: The new model's draws, likewise, [n, k']; k' may be another number.
        level: The largest probability, for each example and direction, of a flip that is none.

    Returns:
        The negative and the positive flips, [n] each.

    Raises:
        ComparisonError: If the tables do not fit or have too few draws to decide anything.
        ValueError: If `level` is not strictly between 0 and 1.
    """
    before, after = _tables(old, new, level)
    if before.dtype == np.bool_:
        return _counted(before, after, level), _counted(after, before, level)
    return _permuted(before, after, level)[0], _permuted(after, before, level)[0]


def expected_false_flips(old: ArrayLike, new: ArrayLike, *, level: float = 0.05) -> float:
    """Return how many negative flips these draws would give, were the two models the same.

    The expectation over all ways to share each example's draws out; an example whose draws are all
    alike never flips, so it is mostly far below level times n. Where the models do differ this is
    an upper bound on what the examples that stayed the same add. Arguments and errors are those of
    `draw_flips`; swap old and new for positive flips.
    """
    before, after = _tables(old, new, level)
    if before.dtype != np.bool_:
        return float(_permuted(before, after, level)[1].sum())
    k, more = before.shape[1], after.shape[1]
    right = np.count_nonzero(before, axis=1) + np.count_nonzero(after, axis=1)
    sizes = np.array([_fewest_right(k, more, total, level)[1] for total in range(k + more + 1)])
    return float(sizes[right].sum())


def fewest_draws(level: float = 0.05) -> int:
    """Return the fewest draws of each model that can show a flip: 3 at a level of 0.05.

    With k draws each, all right before and all wrong after, p is 1 / C(2k, k); with one draw or
    two that is 1/2 or 1/6.

    Raises:
        ValueError: If `level` is not strictly between 0 and 1.
    """
    _check_level(level)
    k = 1
    while not _can_decide(k, k, level):
        k += 1
    return k


def fisher_p(old_right: int, k: int, new_right: int, more: int) -> float:
    """Return Fisher's one-sided p-value: that the old model gets as many right by chance, or more.

    Args:
        old_right: Of the old model's draws, those that are right.
        k: The old model's draws.
        new_right: Of the new model's draws, those that are right.
        more: The new model's draws.
    """
    # In whole numbers, so that p of 1/20 is at the level 0.05 and not a hair above it.
    total = old_right + new_right
    ways = sum(comb(k, i) * comb(more, total - i) for i in range(old_right, min(k, total) + 1))
    return ways / comb(k + more, total)


@lru_cache(maxsize=4_096)
def _fewest_right(k: int, more: int, total: int, level: float) -> tuple[int, float]:
    """Return the fewest right old draws of `total` right ones that show a flip, and the chance."""
    for right in range(max(0, total - more), min(k, total) + 1):
        p = fisher_p(right, k, total - right, more)
        if p <= level:
            return right, p
    return k + 1, 0.0


def _counted(before: Mask, after: Mask, level: float) -> Mask:
    k, more = before.shape[1], after.shape[1]
    needed = np.array([_fewest_right(k, more, total, level)[0] for total in range(k + more + 1)])
    right = np.count_nonzero(before, axis=1)
    return np.asarray(right >= needed[right + np.count_nonzero(after, axis=1)], dtype=np.bool_)


def _permuted(
    before: NDArray[np.float64], after: NDArray[np.float64], level: float
) -> tuple[Mask, NDArray[np.float64]]:
    """Return where the scores before are higher, and how often that would be so by chance, [n]."""
    n, k = before.shape
    draws = np.concatenate((before, after), axis=1)
    ways = _ways(k, draws.shape[1])
    # So many ways may show a flip; ways that tie with the next one do not.
    allowed = int(level * len(ways) + CLOSE)
    flips, chances = np.zeros(n, dtype=np.bool_), np.zeros(n)
    varied = np.flatnonzero(np.ptp(draws, axis=1) > CLOSE)
    for batch in _batches(len(varied), LARGEST_TABLE // len(ways)):
        rows = varied[batch]
        sums = draws[rows] @ ways.T
        bar = np.partition(sums, len(ways) - 1 - allowed, axis=1)[:, len(ways) - 1 - allowed]
        above = sums > bar[:, None] + CLOSE
        flips[rows] = above[:, 0]
        chances[rows] = above.mean(axis=1)
    return flips, chances


@lru_cache(maxsize=8)
def _ways(k: int, draws: int) -> NDArray[np.float64]:
    """Return the ways to choose k of the draws as 0 and 1, [ways, draws]; first that seen."""
    if comb(draws, k) <= MOST_WAYS:
        chosen = np.array(list(combinations(range(draws), k)), dtype=np.intp)
    else:
        rng = np.random.default_rng(SEED)
        chosen = np.argsort(rng.random((MOST_WAYS, draws)), axis=1)[:, :k]
        chosen[0] = np.arange(k)
    ways = np.zeros((len(chosen), draws))
    np.put_along_axis(ways, chosen, 1.0, axis=1)
    return ways


def _batches(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, max(1, size)):
        yield slice(start, start + max(1, size))


def _tables(old: ArrayLike, new: ArrayLike, level: float) -> tuple[NDArray[Any], NDArray[Any]]:
    _check_level(level)
    before, after = np.asarray(old), np.asarray(new)
    if before.ndim != 2 or after.ndim != 2 or len(before) != len(after):
        raise ComparisonError(
            f"draws of the same examples are two tables of as many rows, not {before.shape} and "
            f"{after.shape}",
            hint="give [n, k] draws for the old model and for the new one",
        )
    k, more = before.shape[1], after.shape[1]
    if not _can_decide(k, more, level):
        raise ComparisonError(
            f"{k} draws against {more} can never show a flip at the level {level:g}",
            hint=f"take at least {fewest_draws(level)} draws of each model",
        )
    if before.dtype != np.bool_ or after.dtype != np.bool_:
        return before.astype(np.float64), after.astype(np.float64)
    return before, after


def _can_decide(k: int, more: int, level: float) -> bool:
    return k > 0 and more > 0 and 1 / comb(k + more, k) <= level


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(
            f"level={level!r} is not between 0 and 1, both excluded; for 5 % write 0.05"
        )
