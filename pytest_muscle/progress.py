"""Progress of long work, shown on the terminal even while pytest captures output."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

NON_TERMINAL_INTERVAL = 30.0
"""Seconds between two lines where the output is a log file, not a terminal."""


class _Stream:
    """A stream that writes past pytest's capturing."""

    def __init__(self, uncaptured: Callable[[], AbstractContextManager[None]]) -> None:
        self._uncaptured = uncaptured

    def write(self, text: str) -> int:
        with self._uncaptured():
            return sys.stderr.write(text)

    def flush(self) -> None:
        with self._uncaptured():
            sys.stderr.flush()

    def isatty(self) -> bool:
        with self._uncaptured():
            return sys.stderr.isatty()


@dataclass(frozen=True)
class Progress:
    """Where progress is shown.

    Attributes:
        enabled: Whether it is shown at all.
        bars: Whether bars are shown too, not lines alone: those of several processes would
            overwrite each other.
        speaker: Who says a line.
        uncaptured: Makes a context in which standard error is the terminal's.
    """

    enabled: bool = True
    bars: bool = True
    speaker: str = "muscle"
    uncaptured: Callable[[], AbstractContextManager[None]] = nullcontext

    def bar(self, total: int, description: str, unit: str, *, done: int = 0) -> tqdm[Any]:
        """Return a progress bar that counts from `done` to `total`.

        Close it, or use it in a `with`.
        """
        from tqdm import tqdm

        stream = _Stream(self.uncaptured)
        shown = self.enabled and self.bars
        terminal = shown and stream.isatty()
        if terminal:
            stream.write("\n")
        bar: Any = tqdm(
            total=total,
            initial=done,
            desc=description,
            unit=unit,
            disable=not shown,
            file=stream,
            dynamic_ncols=terminal,
            ncols=None if terminal else 100,
            mininterval=0.2 if terminal else NON_TERMINAL_INTERVAL,
            maxinterval=10.0 if terminal else NON_TERMINAL_INTERVAL,
        )
        return bar  # type: ignore[no-any-return]

    def say(self, text: str) -> None:
        """Show one line."""
        if self.enabled:
            _Stream(self.uncaptured).write(f"\n{self.speaker}: {text}\n")

    def begin(self, text: str) -> None:
        """Show one line for long work, where no bar shows that it goes on."""
        if not self.bars:
            self.say(text)


SILENT = Progress(enabled=False)
