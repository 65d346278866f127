"""Few-shot examples: questions with their gold answers, shown before each question."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pytest_muscle.errors import DataError, nearest
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.rows import Row


@dataclass(frozen=True)
class Shots:
    """The few-shot examples of a task, the same ones before each question.

    Attributes:
        examples: The examples in the order they are shown, without few-shot examples of their own.
        spare: What is shown in place of one that is itself asked; none shows one less.
    """

    examples: tuple[Example, ...] = ()
    spare: Example | None = None

    def before(self, example: Example) -> list[Example]:
        """Return the examples that stand before a question: never that question itself."""
        others = [shot for shot in self.examples if not _same(shot, example)]
        if len(others) < len(self.examples) and self.spare and not _same(self.spare, example):
            others.append(self.spare)
        return others[: len(self.examples)]


def _same(shot: Example, example: Example) -> bool:
    asked = (shot.prompt, shot.options, shot.messages)
    return asked == (example.prompt, example.options, example.messages)


def draw_rows(rows: Iterable[Row], count: int, seed: int, id_of: Callable[[Row], str]) -> list[Row]:
    """Draw rows by the hashes of their ids: the order of the rows does not matter.

    Of a data set to which rows are added most of the drawn ones stay.

    Args:
        rows: The rows of the data; gone through once, and few are kept.
        count: How many are drawn; all, if there are fewer.
        seed: Each gives another draw.
        id_of: Returns a row's id.

    Raises:
        DataError: If a row has no id.
    """

    def place(row: Row) -> bytes:
        return hashlib.sha256(f"{seed}:{id_of(row)}".encode(errors="backslashreplace")).digest()

    return heapq.nsmallest(count, rows, key=place)


def find_rows(
    rows: Iterable[Row], ids: Sequence[str], id_of: Callable[[Row], str], *, data: str, where: str
) -> list[Row]:
    """Return the rows of some ids, in the order of the ids.

    Args:
        rows: The rows of the data; gone through once.
        ids: The wanted ones, each once.
        id_of: Returns a row's id.
        data: What the rows are read from, for errors.
        where: File and key that names the ids, for errors.

    Raises:
        DataError: If an id is not there, or stands at two rows.
    """
    wanted = set(ids)
    found: dict[str, Row] = {}
    nearby: list[str] = []
    for row in rows:
        id_ = id_of(row)
        if id_ in wanted and id_ in found:
            raise DataError(
                f"id {id_!r} stands already at {found[id_].where}",
                where=row.where,
                hint=f"{where} names it: give each row an id of its own",
            )
        if id_ in wanted:
            found[id_] = row
        elif len(nearby) < 1000:
            nearby.append(id_)
    for id_ in ids:
        if id_ not in found:
            raise DataError(
                f"there is no example {id_!r} in {data}", where=where, hint=nearest(id_, nearby)
            )
    return [found[id_] for id_ in ids]
