"""Numbers of things and lists of ids as messages have them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

SHOWN = 10
"""Most ids or names that a message lists."""


def counted(number: int, noun: str) -> str:
    """Return a number of things: "1 id", "3 ids"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listed(ids: Sequence[Hashable]) -> str:
    """Return ids, the first ten of many: "'a', 'b', and 7 more"."""
    more = f", and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return ", ".join(repr(id_) for id_ in ids[:SHOWN]) + more
