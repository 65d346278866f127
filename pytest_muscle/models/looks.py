"""Looking at a model's answers while it gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Look:
    """Ends a model's work early.

    Attributes:
        every: After how many examples it looks, at the latest; no window goes beyond.
        is_over: Given all answers so far, says whether no more are needed.
    """

    every: int
    is_over: Callable[[Sequence[Any]], bool]
