"""Stored predictions: tables under the fingerprint of all that made them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_muscle.cache import sole_maker
from pytest_muscle.errors import PredictionsError
from pytest_muscle.predictions.journal import Journal
from pytest_muscle.predictions.keys import PredictionKey
from pytest_muscle.predictions.prediction import Predictions
from pytest_muscle.progress import Progress
from pytest_muscle.version import __version__


class PredictionStore:
    """The tables of predictions in a cache directory.

    A table that cannot be stored costs time, nothing else: what keeps it out is said in a line.

    Args:
        directory: Where they are; made on first use.
        progress: Where waiting, damage and trouble are shown.
        writes: Whether what is not needed any more may be removed from it.
    """

    def __init__(self, directory: Path, progress: Progress, *, writes: bool = True) -> None:
        self.directory = directory
        self._progress = progress
        self._writes = writes

    def path(self, key: PredictionKey) -> Path:
        """Return the file of a table, whether or not it is there."""
        return self.directory / f"{key.name}.jsonl"

    def find(self, key: PredictionKey) -> Predictions | None:
        """Return the stored table of that key, or none where it is missing or damaged.

        A journal that a process left which was killed at the last moment is removed.
        """
        table = self._read(key, loud=False)
        if table is not None and self._writes:
            self._journal(key).remove()
        return table

    def begun(self, key: PredictionKey) -> int:
        """Return how many examples of a table were answered before, where it is not whole yet."""
        return self._journal(key).count()

    def get(
        self,
        key: PredictionKey,
        make: Callable[[Mapping[str, Any], Journal | None], Predictions],
        *,
        unchanged: Callable[[], bool] = lambda: True,
    ) -> Predictions:
        """Return the table of that key: stored, or made now by one process while others wait.

        Args:
            key: What makes the table.
            make: Makes the table, with the facts given; where there is a journal, it keeps what is
                answered until all is, for the next process if this one ends before.
            unchanged: Asked after that; where what made it has changed, it is not stored.
        """
        if (stored := self.find(key)) is not None:
            return stored
        with ExitStack() as stack:
            try:
                stack.enter_context(sole_maker(self.directory, key, self._progress, doing="scores"))
            except OSError as error:
                self._progress.say(f"predictions are not stored: {error}")
                return make(_facts(key), None)
            if (stored := self._read(key, loud=True)) is not None:
                return stored
            for part in self.directory.glob(f".{key.name}.*.part"):  # of a process that was killed
                part.unlink(missing_ok=True)
            journal = self._journal(key)
            self._progress.begin(f"scoring {key.name}")
            made = make(_facts(key), journal)
            if not unchanged():
                self._progress.say(
                    f"predictions {key.name} are not stored: the model's files have changed since"
                )
                journal.remove()
                return made
            try:
                made.save(self.path(key))
            except PredictionsError as error:
                self._progress.say(f"predictions are not stored: {error.where} {error.problem}")
            else:
                journal.remove()
            return made

    def _journal(self, key: PredictionKey) -> Journal:
        path = self.directory / f".{key.name}.journal"
        return Journal(path, key.fingerprint, self._progress)

    def _read(self, key: PredictionKey, *, loud: bool) -> Predictions | None:
        path = self.path(key)
        if not path.is_file():
            return None
        try:
            table = Predictions.load(path)
            if table.facts.get("fingerprint") != key.fingerprint:
                raise PredictionsError("its manifest is of other predictions", where=str(path))
        except PredictionsError as error:
            if loud:
                self._progress.say(
                    f"stored predictions are damaged and made again: {error.where}: {error.problem}"
                )
            return None
        return table


def _facts(key: PredictionKey) -> dict[str, Any]:
    """Return what a manifest says of a table: what it was made of, when, by which version."""
    return {
        "fingerprint": key.fingerprint,
        "made_of": dict(key.made_of),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "pytest_muscle": __version__,
    }
