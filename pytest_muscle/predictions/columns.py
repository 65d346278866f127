"""A table of predictions column by column, so that a million of them stay small and quick."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from operator import eq
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from pytest_muscle.errors import PredictionsError
from pytest_muscle.predictions.packed import (
    Digests,
    Mask,
    NumberTuples,
    NumberTuplesBuilder,
    Objects,
    Positions,
    as_column,
)
from pytest_muscle.predictions.prediction import Prediction

Packed = TypeVar("Packed", NumberTuples, Digests)

BLOCK = 4096
"""Rows that are made at once where somebody goes through all of them."""


@dataclass(frozen=True, eq=False, repr=False)
class Columns(Sequence[Prediction]):
    """n predictions in order, stored by column; a `Prediction` is made when it is asked for.

    Attributes:
        ids: The examples' ids, [n].
        answers: The answers, objects of any kind, [n].
        gold: The gold answers, [n].
        correct: Whether each answer counts as right, [n].
        scores: The metric's values, [n].
        loglikelihoods: Of each row's options; none where no row has any.
        digests: Of what was asked; none where no row has one.
        texts: What was written, as it was written, [n]; none where no row has a text.
        draws: The metric's value for each draw; none where no row has any.
    """

    ids: Objects
    answers: Objects
    gold: Objects
    correct: Mask
    scores: NDArray[np.float64]
    loglikelihoods: NumberTuples | None = None
    digests: Digests | None = None
    texts: Objects | None = None
    draws: NumberTuples | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Prediction]:
        for start in range(0, len(self), BLOCK):
            yield from self._rows(start, min(start + BLOCK, len(self)))

    @overload
    def __getitem__(self, item: int) -> Prediction: ...
    @overload
    def __getitem__(self, item: slice) -> Columns: ...
    def __getitem__(self, item: int | slice) -> Prediction | Columns:
        positions = range(len(self))[item]
        if isinstance(positions, range):
            return self.take(np.arange(positions.start, positions.stop, positions.step))
        return next(self._rows(positions, positions + 1))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Columns):
            return len(self) == len(other) and self._same(other)
        if isinstance(other, Sequence):
            return len(self) == len(other) and all(map(eq, self, other))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} predictions>"

    @classmethod
    def of(cls, rows: Iterable[Prediction], *, where: str | None = None) -> Columns:
        """Return predictions as columns.

        Args:
            rows: The predictions.
            where: Name of the task, for errors.

        Raises:
            PredictionsError: If a score or a log-likelihood is not a number.
        """
        builder = ColumnsBuilder(where=where)
        for row in rows:
            builder.add(
                row.id,
                row.answer,
                row.gold,
                correct=row.correct,
                score=row.score,
                loglikelihoods=row.loglikelihoods,
                digest=row.digest,
                text=row.text,
                draws=row.draws,
            )
        return builder.build()

    @classmethod
    def of_answers(
        cls,
        ids: Iterable[Hashable],
        answers: Iterable[Any],
        gold: Iterable[Any],
        *,
        where: str | None = None,
    ) -> Columns:
        """Return answers as columns; one is correct, with a score of 1.0, if it equals its gold.

        Raises:
            PredictionsError: If the lists differ in length or an answer cannot be compared.
        """
        columns = [_plain(values) for values in (ids, answers, gold)]
        lengths = [len(column) for column in columns]
        if len(set(lengths)) > 1:
            raise PredictionsError(
                f"{lengths[0]} ids, {lengths[1]} answers and {lengths[2]} gold answers",
                where=where,
                hint="give one answer and one gold answer for each id",
            )
        correct = _agree(*columns, where=where)
        id_column, answer_column, gold_column = map(as_column, columns)
        scores = correct.astype(np.float64)
        return cls(id_column, answer_column, gold_column, correct, scores)

    @classmethod
    def of_scores(
        cls, ids: Iterable[Hashable], scores: Iterable[float], *, where: str | None = None
    ) -> Columns:
        """Return scores as columns, without answers; one counts as right if it is 1 or more.

        Raises:
            PredictionsError: If the lists differ in length or a score is not a finite number.
        """
        listed, marks = _plain(ids), _plain(scores)
        if len(listed) != len(marks):
            raise PredictionsError(
                f"{len(listed)} ids and {len(marks)} scores",
                where=where,
                hint="give one score for each id",
            )
        builder = ColumnsBuilder(where=where)
        for id_, mark in zip(listed, marks, strict=True):
            if not isinstance(mark, float | int) or not math.isfinite(mark):
                raise PredictionsError(
                    f"the score of example {id_!r} is {mark!r}",
                    where=where,
                    hint="scores are finite numbers; give 0 to an answer that has none",
                )
            builder.add(id_, None, None, correct=mark >= 1, score=mark)
        return builder.build()

    def take(self, order: Positions) -> Columns:
        """Return the rows at some positions, in their order."""
        return Columns(
            self.ids[order],
            self.answers[order],
            self.gold[order],
            self.correct[order],
            self.scores[order],
            _if_any(self.loglikelihoods and self.loglikelihoods.take(order)),
            _if_any(self.digests and self.digests.take(order)),
            None if self.texts is None else _if_texts(self.texts[order]),
            _if_any(self.draws and self.draws.take(order)),
        )

    def _rows(self, start: int, stop: int) -> Iterator[Prediction]:
        block = slice(start, stop)
        return map(
            Prediction,
            self.ids[block],
            self.answers[block],
            self.gold[block],
            self.correct[block].tolist(),
            self.scores[block].tolist(),
            self.loglikelihoods.rows(start, stop) if self.loglikelihoods else repeat(None),
            self.digests.rows(start, stop) if self.digests else repeat(None),
            repeat(None) if self.texts is None else self.texts[block],
            self.draws.rows(start, stop) if self.draws else repeat(None),
        )

    def _same(self, other: Columns) -> bool:
        objects = ((getattr(self, name), getattr(other, name)) for name in _OBJECTS)
        packed: list[tuple[Any, Any]] = [
            (self.loglikelihoods, other.loglikelihoods),
            (self.digests, other.digests),
            (self.draws, other.draws),
        ]
        return (
            _listed(self.texts) == _listed(other.texts)
            and all(mine.tolist() == others.tolist() for mine, others in objects)
            and np.array_equal(self.correct, other.correct)
            and np.array_equal(self.scores, other.scores, equal_nan=True)
            and all(
                mine is others if mine is None or others is None else mine.same(others)
                for mine, others in packed
            )
        )


_OBJECTS = ("ids", "answers", "gold")


class ColumnsBuilder:
    """Takes one prediction after the other and makes columns of them.

    Args:
        where: Name of the task, for errors.
    """

    def __init__(self, *, where: str | None = None) -> None:
        self._where = where
        self._ids: list[Hashable] = []
        self._answers: list[Any] = []
        self._gold: list[Any] = []
        self._correct = bytearray()
        self._scores = array("d")
        self._loglikelihoods = NumberTuplesBuilder()
        self._draws = NumberTuplesBuilder()
        self._texts: list[str | None] = []
        self._unpacked: list[str | None] = []
        self._digests: list[Digests] = []

    def add(
        self,
        id_: Hashable,
        answer: Any,
        gold: Any,
        *,
        correct: bool,
        score: float,
        loglikelihoods: Iterable[float] | None = None,
        digest: str | None = None,
        text: str | None = None,
        draws: Iterable[float] | None = None,
    ) -> None:
        """Add a prediction; the arguments are the attributes of `Prediction`.

        Raises:
            PredictionsError: If a score or a log-likelihood is not a number.
        """
        try:
            self._scores.append(score)
            self._loglikelihoods.add(loglikelihoods)
            self._draws.add(draws)
        except TypeError as error:
            raise PredictionsError(
                f"a score or log-likelihood of example {id_!r} is not a number: {error}",
                where=self._where,
                hint="scores and log-likelihoods are numbers",
            ) from error
        self._ids.append(id_)
        self._answers.append(answer)
        self._gold.append(gold)
        self._correct.append(bool(correct))
        self._texts.append(text)
        self._unpacked.append(digest)
        if len(self._unpacked) == BLOCK:
            self._pack()

    def build(self) -> Columns:
        """Return the columns of all predictions; nothing can be added after."""
        self._pack()
        return Columns(
            as_column(self._ids),
            as_column(self._answers),
            as_column(self._gold),
            np.asarray(self._correct).view(np.bool_),
            np.asarray(self._scores),
            _if_any(self._loglikelihoods.build()),
            _if_any(Digests.join(self._digests)),
            _if_texts(as_column(self._texts)),
            _if_any(self._draws.build()),
        )

    def _pack(self) -> None:
        self._digests.append(Digests.of(self._unpacked))
        self._unpacked = []


def check_ids(ids: Sequence[Hashable], *, where: str | None = None) -> None:
    """Raise if an id cannot name an example, or names two.

    Args:
        ids: The ids.
        where: Name of the task, for errors.

    Raises:
        PredictionsError: It names the rows.
    """
    try:
        hashes = np.sort(np.fromiter(map(hash, ids), np.int64, len(ids)))
        once = (hashes[1:] != hashes[:-1]).all()
        if once and None not in ids and all(map(eq, ids, ids)):
            return
    except (TypeError, ValueError):  # no hash, or `==` that is not true or false
        pass
    rows: dict[Hashable, int] = {}
    for number, id_ in enumerate(ids):
        if not _is_id(id_):
            raise PredictionsError(
                f"{id_!r} in row {number} is not an id",
                where=where,
                hint="ids are strings, numbers or tuples of them",
            )
        if id_ in rows:
            raise PredictionsError(
                f"id {id_!r} stands twice, in rows {rows[id_]} and {number}",
                where=where,
                hint="ids name examples: give each example one of its own",
            )
        rows[id_] = number


def _if_any(packed: Packed | None) -> Packed | None:
    """Return a column if a row has a value in it, so that equal rows are equal columns."""
    return packed if packed is not None and packed.known.any() else None


def _if_texts(texts: Objects) -> Objects | None:
    return None if (texts == None).all() else texts  # noqa: E711


def _listed(texts: Objects | None) -> list[str | None] | None:
    return None if texts is None else texts.tolist()


def _plain(values: Iterable[Any]) -> list[Any]:
    """Return a list; NumPy's and torch's scalars in it become Python's, hashable and JSON."""
    tolist: Callable[[], list[Any]] | None = getattr(values, "tolist", None)
    listed = tolist() if tolist and getattr(values, "ndim", None) == 1 else list(values)
    if any(hasattr(kind, "ndim") for kind in set(map(type, listed))):
        return [value.item() if getattr(value, "ndim", None) == 0 else value for value in listed]
    return listed


def _is_id(value: Any) -> bool:
    try:
        hash(value)
        return value is not None and bool(value == value)
    except (TypeError, ValueError):
        return False


def _agree(ids: list[Any], answers: list[Any], gold: list[Any], *, where: str | None) -> Mask:
    try:
        return np.fromiter(map(eq, answers, gold), np.bool_, len(answers))
    except Exception:  # whatever a foreign `__eq__` raises
        return np.fromiter(map(partial(_equal, where=where), ids, answers, gold), np.bool_)


def _equal(id_: Any, answer: Any, right: Any, *, where: str | None) -> bool:
    try:
        return bool(answer == right)
    except Exception as error:
        raise PredictionsError(
            f"the answer to example {id_!r} cannot be compared with its gold answer: {error}",
            where=where,
            hint="give answers as texts, numbers or lists of them, not as arrays",
        ) from error
