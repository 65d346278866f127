"""What a model has answered so far, kept batch by batch: a run that was ended goes on there."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pytest_muscle.digests import line_check
from pytest_muscle.limits import LineLimitError, read_lines
from pytest_muscle.progress import SILENT, Progress
from pytest_muscle.version import __version__

FORMAT = 1
"""Goes up when entries mean something else."""


class Batch(NamedTuple):
    """The answers of one batch.

    Attributes:
        window: Number of the window of requests that they belong to.
        slots: Which of the window's continuations were scored, or texts written.
        values: Log-likelihoods of the continuations in nats, or the texts.
        examples: Number of examples that are ready with it.
        asked: Most tokens in a batch, as the user set it.
        budget: Most tokens in the batch after it.
    """

    window: int
    slots: list[int]
    values: list[float] | list[str]
    examples: int
    asked: int | Literal["auto"]
    budget: int


class Journal:
    """The batches that were answered, in a file that outlives the process.

    Each is a line with a digest of its own, on disk before the next batch is run. What a process
    left unfinished when it was killed is cut off. A journal that cannot be written costs time,
    nothing else: what keeps it out is said in a line. What found no room on a full disk is written
    with the next batch for which there is some.

    Args:
        path: The file, made when it is opened; without one nothing is kept.
        fingerprint: What is answered by whom.
        progress: Where trouble is shown.

    Attributes:
        examples: Number of examples that were answered before.
        last: The last batch that was answered before, or none.
    """

    def __init__(
        self, path: Path | None = None, fingerprint: str = "", progress: Progress = SILENT
    ) -> None:
        self.examples = 0
        self.last: Batch | None = None
        self._path = path
        self._fingerprint = fingerprint
        self._progress = progress
        self._file: FileIO | None = None
        self._unwritten = bytearray()
        self._in_trouble = False
        self._known: Iterator[Batch] = iter(())
        self._next: Batch | None = None

    def open(self, conditions: Mapping[str, Any]) -> None:
        """Go on after the batches that are there; begin anew if they were made otherwise.

        Args:
            conditions: What slots and windows depend on, as JSON values.
        """
        self.examples, self.last = 0, None
        self._known, self._next = iter(()), None
        if self._path is None:
            return
        header = {
            "format": FORMAT,
            "version": __version__,
            "fingerprint": self._fingerprint,
            **conditions,
        }
        try:
            _make_file(self._path)
            whole = self._scan(header)
            self._file = FileIO(self._path, "r+")
            self._file.truncate(whole)
            self._file.seek(whole)
        except OSError as error:
            self.close()
            self._complain(error)
            return
        if whole == 0:
            self._append(header)
        else:
            self._known = _batches(self._path, whole)
            self._next = next(self._known, None)

    def count(self) -> int:
        """Return how many examples were answered before; the file is only read."""
        if self._path is None:
            return 0
        ours = {"format": FORMAT, "version": __version__, "fingerprint": self._fingerprint}
        try:
            lines = _lines(self._path)
            header, _ = next(lines, (None, 0))
            if not isinstance(header, dict) or not ours.items() <= header.items():
                return 0
            return sum(Batch(*entry).examples for entry, _ in lines)
        except OSError:
            return 0

    def window(self, number: int) -> Iterator[Batch]:
        """Yield what was answered before of a window; windows are asked for in their order."""
        while self._next is not None and self._next.window <= number:
            if self._next.window == number:
                yield self._next
            self._next = next(self._known, None)

    def append(self, batch: Batch) -> None:
        """Add a batch; it is on disk when this returns, if there is room for it."""
        self._append(batch)

    def close(self) -> None:
        """Close the file; it stays for the next run."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._unwritten.clear()
        self._known, self._next = iter(()), None

    def remove(self) -> None:
        """Remove the file: what it holds is kept elsewhere, or is not worth keeping."""
        self.close()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()

    def _scan(self, header: Mapping[str, Any]) -> int:
        """Return where the last whole line ends, 0 if they were written under another header."""
        assert self._path is not None
        lines = _lines(self._path)
        first, whole = next(lines, (None, 0))
        if first != header:
            return 0
        for entry, end in lines:
            self.last = Batch(*entry)
            self.examples += self.last.examples
            whole = end
        return whole

    def _append(self, entry: Any) -> None:
        if self._file is None:
            return
        self._unwritten += _line(entry)
        try:
            while self._unwritten:
                del self._unwritten[: self._file.write(self._unwritten)]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._complain(error)
        else:
            self._in_trouble = False

    def _complain(self, error: OSError) -> None:
        """Say what keeps answers from being kept, once until that is over."""
        if not self._in_trouble:
            self._progress.say(f"answers are not kept before all are there: {error}")
        self._in_trouble = True


def _make_file(path: Path) -> None:
    """Make a file where there is none; a link, which leads elsewhere, or a pipe makes way for it.

    Raises:
        OSError: If it cannot be made.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
    path.touch()


def _line(entry: Any) -> bytes:
    text = json.dumps(entry, separators=(",", ":")).encode()
    return text + b" " + line_check(text).encode() + b"\n"


def _lines(path: Path) -> Iterator[tuple[Any, int]]:
    """Yield the entries of a file and where their lines end, up to the first that is not whole."""
    end = 0
    with path.open("rb") as file, suppress(LineLimitError):
        for line in read_lines(file):
            text, _, check = line.rpartition(b" ")
            if check != line_check(text).encode() + b"\n":
                return
            end += len(line)
            yield json.loads(text), end


def _batches(path: Path, whole: int) -> Iterator[Batch]:
    """Yield the batches of the first `whole` bytes of a file."""
    lines = _lines(path)
    next(lines)  # the header
    for entry, end in lines:
        if end > whole:
            return
        yield Batch(*entry)
