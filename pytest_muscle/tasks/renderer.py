"""What renderers of all kinds do: ids, slices and few-shot examples before the question."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from pytest_muscle.digests import digest_json
from pytest_muscle.errors import DataError, nearest
from pytest_muscle.settings import TaskSettings
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.fewshot import Shots
from pytest_muscle.tasks.rows import Row


class Renderer(ABC):
    """The templates of a task.

    Args:
        settings: The task's table in muscle.toml.
        where: File and key of that table, for errors.

    Raises:
        ConfigurationError: If a template or another key is not valid.
    """

    def __init__(self, settings: TaskSettings, *, where: str) -> None:
        self._settings = settings
        self._table = where

    @abstractmethod
    def question(self, row: Row) -> Example:
        """Return a row's example without few-shot examples.

        Raises:
            DataError: If the row is not usable; it names file and line.
        """

    @abstractmethod
    def answered(self, example: Example) -> str:
        """Return a prompt with its gold answer, as a few-shot example has it."""

    def examples(
        self,
        rows: Iterable[Row],
        shots: Shots = Shots(),  # noqa: B008
    ) -> Iterator[tuple[Example, str]]:
        """Yield each row's example and the place it stands at.

        Args:
            rows: The rows of the data.
            shots: Few-shot examples that stand before each question.

        Raises:
            DataError: For the first row that is not usable; it names file and line.
        """
        for row in rows:
            example = self.question(row)
            for column in self._settings.slices:
                if column not in row.columns:
                    raise self._no_column(column, "slices", row)
            before = shots.before(example)
            yield self.with_shots(example, before) if before else example, row.where

    def with_shots(self, example: Example, shots: Iterable[Example]) -> Example:
        """Return an example with few-shot examples before its question."""
        separator = self._settings.fewshot_separator
        before = "".join(f"{self.answered(shot)}{separator}" for shot in shots)
        return replace(example, prompt=before + example.prompt, shots=len(before))

    def id(self, row: Row) -> str:
        """Return a row's id.

        Raises:
            DataError: If the column that holds it is missing or empty.
        """
        column = self._settings.id or "id"
        if column in row.columns:
            value = row.columns[column]
            if value is None or value != value or not str(value).strip():
                raise DataError(
                    f"column {column!r} is empty, and it holds the ids",
                    where=row.where,
                    hint=f"give each row an id, or name another column as {self._table}.id",
                )
            return str(value)
        if self._settings.id is not None:
            raise self._no_column(column, "id", row)
        return digest_json(row.columns)

    def _no_column(self, column: str, key: str, row: Row) -> DataError:
        return DataError(
            f"there is no column {column!r}, which {self._table}.{key} names",
            where=row.where,
            hint=nearest(column, row.columns),
        )


def append(prompt: str, delimiter: str, text: str) -> str:
    """Return what stands after a prompt: a text with the delimiter before it.

    A prompt that ends in white space, and one that is empty, brings its own delimiter.
    """
    return text if not prompt or prompt[-1].isspace() else f"{delimiter}{text}"


def plain_text(value: Any) -> str | None:
    """Return a text, a number or true or false as text; none for anything else."""
    plain = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return str(value) if plain else None
