"""Rates, differences and scores as a person reads them."""

from __future__ import annotations

import math

NONE = "–"
"""What stands in a table for a number that is not known."""


def percent(rate: float, decimals: int = 2, unit: str = " %") -> str:
    """Return a fraction in per cent: 0.036 is "3.60 %"; what is not finite is "undefined"."""
    if not math.isfinite(rate):
        return "undefined"
    return f"{100 * rate:z.{decimals}f}{unit}".replace("-", "−")


def known_percent(rate: float | None, decimals: int) -> str:
    """Return a fraction in per cent, without the sign; a dash where it is not known."""
    return NONE if rate is None else percent(rate, decimals, "")


def score(value: float, decimals: int = 4) -> str:
    """Return a score or a difference of scores: "0.0312"."""
    return f"{value:z.{decimals}f}".replace("-", "−") if math.isfinite(value) else "undefined"


def decimals_apart(value: float, limit: float, start: int = 2, most: int = 8) -> int:
    """Return how many decimals two percentages need so that they do not read the same."""
    for decimals in range(start, most):
        if value == limit or percent(value, decimals) != percent(limit, decimals):
            return decimals
    return most
