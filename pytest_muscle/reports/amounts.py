"""Amounts that are known roughly, as a person says them: "about 3 min", "1.2 GB"."""

from __future__ import annotations

import math

_TIMES = ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def rounded(value: float, digits: int = 2) -> float:
    """Return a number with so many digits that count."""
    if value == 0 or not math.isfinite(value):
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def duration(seconds: float) -> str:
    """Return a rough duration: "under 5 s", "40 s", "3 min", "1.5 h"."""
    if seconds < 5:
        return "under 5 s"
    for size, unit in _TIMES:
        if seconds >= 1.5 * size or unit == "s":
            break
    amount = rounded(seconds / size, 1 if seconds / size >= 3 else 2)
    return f"{amount:g} {unit}"


def amount(value: float, unit: str = "", *, digits: int = 2) -> str:
    """Return a rough number: "850", "1.2 M", "30 G"."""
    for size, prefix in _LARGE:
        if value >= size:
            return f"{rounded(value / size, digits):g} {prefix}{unit}".rstrip()
    return f"{rounded(value, digits):g} {unit}".rstrip()
