"""Asking in a random order, chunk by chunk, until a task's gate is decided."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_muscle.checks import LIKELY
from pytest_muscle.comparison.answers import check_answers, find_flips
from pytest_muscle.comparison.intervals import upper_bound
from pytest_muscle.comparison.sequential import SequentialGate, seeded_order
from pytest_muscle.digests import digest_json
from pytest_muscle.predictions.columns import Columns
from pytest_muscle.predictions.packed import Positions
from pytest_muscle.predictions.prediction import ROUNDING
from pytest_muscle.predictions.question import Question
from pytest_muscle.predictions.stop import Stop

if TYPE_CHECKING:
    from pytest_muscle.predictions import Predictions
    from pytest_muscle.tasks import Example, Task

VERSION = 1
"""Goes up when the same answers would be stopped elsewhere; part of every fingerprint."""

SMALLEST_CHUNK = 32
SHARE = 0.05
"""How many examples are asked between two looks: so many, or this share of those that can flip."""


@dataclass(frozen=True, eq=False)
class Stopping:
    """A task whose gate is decided as soon as its examples allow.

    Attributes:
        task: The task; its gate has a limit of the negative flip rate and no other.
        old: The old model's predictions.
        positions: Where examples that can be negative flips stand among them, ascending, [m].
    """

    task: Task
    old: Predictions
    positions: Positions

    @classmethod
    def of(cls, task: Task, old: Predictions) -> Stopping:
        """Return how a task is asked until its gate is decided."""
        if Question.needed(task, old).ids is None:
            return cls(task, old, np.arange(len(old)))
        return cls(task, old, np.flatnonzero(old.can_flip))

    @property
    def question(self) -> Question:
        """All that may be asked, in the order of the data."""
        ids, left = self.old.columns.ids, np.ones(len(self.old), dtype=np.bool_)
        left[self.positions] = False
        return Question(self.task, tuple(ids[self.positions]), tuple(ids[left]))

    @property
    def chunk(self) -> int:
        """How many examples are asked between two looks."""
        return max(SMALLEST_CHUNK, math.ceil(SHARE * len(self.positions)))

    @property
    def surety(self) -> float:
        """Confidence of a decision by chance."""
        return self.task.gate.judged_confidence or LIKELY

    @cached_property
    def order(self) -> Positions:
        """The positions in the order in which they are asked, [m].

        Which examples a chunk holds is random; within it they stand as in the data, which are read
        faster so.
        """
        ids: Sequence[Hashable] = self.old.columns.ids[self.positions].tolist()
        shuffled = self.positions[seeded_order(ids, self.task.settings.seed)]
        chunks = range(0, len(shuffled), self.chunk)
        parts = [np.sort(shuffled[start : start + self.chunk]) for start in chunks]
        return np.concatenate(parts) if parts else shuffled

    @property
    def examples(self) -> Sequence[Example]:
        """The examples that can flip, in the order in which they are asked."""
        ids = tuple(self.old.columns.ids[self.order])
        return self.task.eval_by_id.select(ids)  # type: ignore[return-value]

    @property
    def made_of(self) -> dict[str, Any]:
        """What decides where it stops, beside the questions and the new answers."""
        gate, columns = self.task.gate, self.old.columns
        marks: str | None = None
        if self.old.graded:
            draws = None if columns.draws is None else list(columns.draws.rows(0, len(columns)))
            kept = [columns.ids.tolist(), columns.scores.tolist(), draws, self.old.tolerance]
            marks = digest_json(kept)
        return {
            "version": VERSION,
            "limit": gate.max_nfr,
            "confidence": gate.judged_confidence,
            "interval": gate.interval,
            "surety": self.surety,
            "seed": self.task.settings.seed,
            "chunk": self.chunk,
            "population": len(self.old),
            "old_marks": marks,
        }

    def begin(self) -> Decider:
        """Return what looks at the answers of one model."""
        return Decider(self)


class Decider:
    """Looks at a model's answers as they come, and says when the gate is decided.

    Args:
        stopping: What is asked in which order, and the gate.

    Attributes:
        gate: What has been decided.
        graded: Whether scores are graded.
    """

    def __init__(self, stopping: Stopping) -> None:
        settings = stopping.task.gate
        assert isinstance(settings.max_nfr, int | float)
        self.gate = SequentialGate(
            len(stopping.old),
            settings.max_nfr + ROUNDING,
            confidence=settings.judged_confidence,
            can_flip=len(stopping.positions),
            stop_confidence=stopping.surety,
            upper_bound=partial(upper_bound, method=settings.interval),
        )
        self.graded = stopping.old.graded
        self._stopping = stopping
        self._examples: Iterator[Example] = iter(stopping.examples)
        self._judged: list[Columns] = []

    @property
    def is_over(self) -> bool:
        """Whether nothing more has to be asked."""
        return self.gate.decision is not None

    def look(
        self,
        answers: Sequence[Any],
        judge: Callable[[Sequence[Example], Sequence[Any]], tuple[Columns, bool]],
    ) -> bool:
        """Judge the chunks that are whole, and return whether the gate is decided.

        Args:
            answers: The model's answers so far.
            judge: Makes rows of examples and their answers, and says whether scores are graded.

        Raises:
            ComparisonError: If old and new answers cannot be compared.
        """
        while not self.is_over:
            start = self.gate.asked
            stop = min(start + self._stopping.chunk, self.gate.can_flip)
            if stop > len(answers):
                break
            examples = list(islice(self._examples, stop - start))
            rows, graded = judge(examples, answers[start:stop])
            self.graded = self.graded or graded
            old, task = self._stopping.old, self._stopping.task.name
            before = old.columns.take(self._stopping.order[start:stop])
            check_answers(before, rows, None, task)
            tolerance = old.tolerance if self.graded else None
            flipped = find_flips(before, rows, tolerance, task)
            self._judged.append(rows)
            self.gate.update_each(flipped)
        return self.is_over

    def rows(self) -> tuple[Columns, tuple[Hashable, ...]]:
        """Return the answers in the order of the data, and the ids that were not asked."""
        asked = self._stopping.order[: self.gate.asked]
        rows = Columns.of(chain.from_iterable(self._judged), where=self._stopping.task.name)
        left = np.ones(len(self._stopping.old), dtype=np.bool_)
        left[asked] = False
        return rows.take(np.argsort(asked)), tuple(self._stopping.old.columns.ids[left])

    def stop(self) -> Stop | None:
        """Return where the model was stopped, or none where it was asked all that can flip."""
        gate, settings = self.gate, self._stopping.task.gate
        if gate.asked == gate.can_flip:
            return None
        assert gate.decision is not None
        assert isinstance(settings.max_nfr, int | float)
        return Stop(
            decision=gate.decision,
            why=gate.why,
            asked=gate.asked,
            flips=gate.flips,
            can_flip=gate.can_flip,
            population=gate.population,
            limit=settings.max_nfr,
            confidence=settings.judged_confidence,
            interval=settings.interval,
            surety=gate.stop_confidence if gate.by_chance else None,
        )
