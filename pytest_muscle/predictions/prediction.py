"""One answer of a model, and an ordered table of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import PredictionsError

if TYPE_CHECKING:
    from pytest_muscle.tasks.example import Example


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered to one example.

    Attributes:
        id: The example's id.
        answer: The model's answer; for multiple choice and classification the option's index.
        gold: The gold answer, in the same form as `answer`.
        correct: Whether the answer counts as right.
        score: The metric's value, in [0, 1]; 1.0 or 0.0 for discrete answers.
        loglikelihoods: Summed log-likelihood of each option in nats, or none.
        digest: SHA-256 of what was asked, or none where that is not known.
    """

    id: Hashable
    answer: Any
    gold: Any
    correct: bool
    score: float
    loglikelihoods: tuple[float, ...] | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Predictions:
    """An ordered table of predictions, one row per example.

    Iterating yields `Prediction`. Made by the plugin's fixtures, by `from_lists` from answers of
    any origin, or by `load`.

    Attributes:
        rows: The predictions, in the order of the task's examples.
        task: Name of the task.
        model: What answered, in words.
        facts: What else determines the answers (digests, revision, dtype, …), for the manifest.
        examples: The examples by id, where they are at hand: failures show their prompts.

    Raises:
        PredictionsError: If there is no row or an id stands twice.
    """

    rows: tuple[Prediction, ...] = field(repr=False)
    task: str | None = None
    model: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    examples: Mapping[Hashable, Example] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.rows:
            raise PredictionsError(
                "a table of predictions needs at least one row",
                where=self.task,
                hint="give it at least one example",
            )
        seen: dict[Hashable, int] = {}
        for number, row in enumerate(self.rows):
            if not _is_id(row.id):
                raise PredictionsError(
                    f"{row.id!r} in row {number} is not an id",
                    where=self.task,
                    hint="ids are strings, numbers or tuples of them",
                )
            if row.id in seen:
                raise PredictionsError(
                    f"id {row.id!r} stands twice, in rows {seen[row.id]} and {number}",
                    where=self.task,
                    hint="ids name examples: give each example one of its own",
                )
            seen[row.id] = number

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def accuracy(self) -> float:
        """Share of examples answered correctly, a fraction 0-1."""
        return sum(row.correct for row in self.rows) / len(self.rows)

    @classmethod
    def from_lists(
        cls,
        ids: Iterable[Hashable],
        answers: Iterable[Any],
        gold: Iterable[Any],
        *,
        task: str | None = None,
        model: str | None = None,
    ) -> Predictions:
        """Make a table from answers of any origin; an answer is correct if it equals its gold.

        Args:
            ids: One id per example, each once.
            answers: The model's answers, in the order of `ids`.
            gold: The gold answers, in the order of `ids`.
            task: Name of the task.
            model: What answered, in words.

        Raises:
            PredictionsError: If the lists differ in length, are empty, or an id stands twice.
        """
        columns = [[_plain(value) for value in column] for column in (ids, answers, gold)]
        lengths = [len(column) for column in columns]
        if len(set(lengths)) > 1:
            raise PredictionsError(
                f"{lengths[0]} ids, {lengths[1]} answers and {lengths[2]} gold answers",
                where=task,
                hint="give one answer and one gold answer for each id",
            )
        rows = tuple(
            Prediction(
                id=id_,
                answer=answer,
                gold=right,
                correct=correct,
                score=float(correct),
            )
            for id_, answer, right, correct in zip(
                *columns, _agree(*columns, where=task), strict=True
            )
        )
        return cls(rows=rows, task=task, model=model)

    def save(self, path: str | Path) -> None:
        """Write the table as JSONL to `path` and its manifest to `path` + `.manifest.json`.

        Each file appears whole or not at all. The manifest holds the table's digest, so that the
        one never passes for the other's.

        Raises:
            PredictionsError: If a row would not come back as it is, or the files cannot be
                written.
        """
        from pytest_muscle.predictions.jsonl import write_table

        write_table(
            Path(path), self.rows, {"task": self.task, "model": self.model, "facts": self.facts}
        )

    @classmethod
    def load(cls, path: str | Path) -> Predictions:
        """Read a table that `save` wrote.

        Raises:
            PredictionsError: If a file is missing, a line is not a prediction, or the table is
                not the one that its manifest was written for; it names file and line.
        """
        from pytest_muscle.predictions.jsonl import read_table

        rows, manifest = read_table(Path(path))
        try:
            return cls(rows=rows, **manifest)
        except PredictionsError as error:
            raise PredictionsError(error.problem, where=str(path), hint=error.hint) from error


def _plain(value: Any) -> Any:
    """Return a NumPy or torch scalar as Python's own, which is hashable and is JSON."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _is_id(value: Any) -> bool:
    try:
        hash(value)
        return value is not None and bool(value == value)
    except (TypeError, ValueError):
        return False


def _agree(
    ids: list[Any], answers: list[Any], gold: list[Any], *, where: str | None
) -> Iterator[bool]:
    for id_, answer, right in zip(ids, answers, gold, strict=True):
        try:
            yield bool(answer == right)
        except Exception as error:
            raise PredictionsError(
                f"the answer to example {id_!r} cannot be compared with its gold answer: {error}",
                where=where,
                hint="give answers as texts, numbers or lists of them, not as arrays",
            ) from error
