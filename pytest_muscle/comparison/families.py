"""Many tests or many gates at once: how chance findings among them are kept rare."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_muscle.comparison.intervals import check_confidence
from pytest_muscle.errors import ComparisonError, nearest

Floats: TypeAlias = NDArray[np.float64]

# statsmodels has both methods (and the tests hold these against it), but with pandas it takes two
# seconds to import, at the end of each run that names slices.


def _holm(ascending: Floats) -> Floats:
    tests = len(ascending)
    return np.maximum.accumulate((tests - np.arange(tests)) * ascending)


def _benjamini_hochberg(ascending: Floats) -> Floats:
    tests = len(ascending)
    raised = tests / np.arange(1, tests + 1) * ascending
    smallest: Floats = np.minimum.accumulate(raised[::-1])[::-1]
    return smallest


def _none(ascending: Floats) -> Floats:
    return ascending


ADJUSTMENTS: dict[str, Callable[[Floats], Floats]] = {
    "holm": _holm,
    "benjamini-hochberg": _benjamini_hochberg,
    "none": _none,
}
"""How p-values of a family, in ascending order, are adjusted."""


def adjust(p_values: ArrayLike, method: str = "holm") -> Floats:
    """Return the adjusted p-values of a family of m tests, in their order, [m].

    A test is significant at a level where its adjusted p-value is at most that level. Then, by
    `"holm"` (Holm 1979), any false finding in the family is no more probable than the level,
    however the tests depend on each other; by `"benjamini-hochberg"` (Benjamini & Hochberg 1995),
    of the findings no larger share than the level is false on average, if tests are independent
    or positively dependent; by `"none"`, each test alone keeps the level.

    Args:
        p_values: One for each test, 0-1, [m].
        method: A name in `ADJUSTMENTS`.

    Raises:
        ComparisonError: If there is no such method.
        ValueError: If a p-value is not between 0 and 1.
    """
    if method not in ADJUSTMENTS:
        raise ComparisonError(
            f"there is no adjustment named {method!r}", hint=nearest(method, ADJUSTMENTS)
        )
    given = np.asarray(p_values, dtype=np.float64)
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError("a p-value is not between 0 and 1")
    order = np.argsort(given, kind="stable")
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(ADJUSTMENTS[method](given[order]), 1.0)
    return adjusted


def family_confidence(confidence: float, gates: int) -> float:
    """Return the confidence that each of m gates needs for all of them to hold at once.

    1 - (1 - c) / m, by Bonferroni's inequality, however the gates depend on each other: with
    probability at least c every gate that passes has its true rate within its limit. So each
    gate's pass may be read by itself, also those chosen because they passed.

    The verdict of a whole run, "all gates pass", needs no such thing. To pass wrongly, a run in
    which some true rate is above its limit must pass that one gate too, with probability at most
    1 - c: an intersection-union test (Berger 1982, Technometrics 24, 295-300).

    Args:
        confidence: Of the family, c.
        gates: Number of gates m, at least 1.

    Raises:
        ValueError: If `confidence` is not strictly between 0 and 1, or there is no gate.
    """
    check_confidence(confidence)
    if gates < 1:
        raise ValueError(f"gates={gates} is no number of gates: give 1 or more")
    return 1 - (1 - confidence) / gates
