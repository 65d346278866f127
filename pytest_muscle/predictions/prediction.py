"""One answer of a model, and an ordered table of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import PredictionsError

if TYPE_CHECKING:
    from pytest_muscle.predictions.columns import Columns
    from pytest_muscle.predictions.packed import Mask
    from pytest_muscle.tasks.example import Example


SCORE_ALL = 'set [run] score = "all"'


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
    """An ordered table of predictions, one row per example that the model was asked.

    Iterating yields `Prediction`. Made by the plugin's fixtures, by `from_lists` from answers of
    any origin, or by `load`. Rows are stored by column and made when they are asked for.

    Attributes:
        rows: The predictions, in the order of the task's examples.
        task: Name of the task.
        model: What answered, in words.
        facts: What else determines the answers (digests, revision, dtype, …), for the manifest.
        examples: The examples by id, where they are at hand: failures show their prompts.
        unasked: Ids of the task's other examples, which the model was not asked because the old
            model has them wrong ([run] score = "needed"): none of them can be a negative flip.

    Raises:
        PredictionsError: If there is no example or an id stands twice.
    """

    rows: Sequence[Prediction] = field(repr=False)
    task: str | None = None
    model: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    examples: Mapping[Hashable, Example] | None = field(default=None, repr=False, compare=False)
    unasked: tuple[Hashable, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        from pytest_muscle.predictions.columns import Columns, check_ids

        if not isinstance(self.rows, Columns):
            object.__setattr__(self, "rows", Columns.of(self.rows, where=self.task))
        if not self.rows and not self.unasked:
            raise PredictionsError(
                "a table of predictions needs at least one row",
                where=self.task,
                hint="give it at least one example",
            )
        check_ids([*self.columns.ids, *self.unasked], where=self.task)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> Columns:
        """The rows by column."""
        return self.rows  # type: ignore[return-value]

    @property
    def accuracy(self) -> float:
        """Share of examples answered correctly, a fraction 0-1.

        Raises:
            PredictionsError: If it is not known, because the model was not asked all examples.
        """
        if self.unasked:
            raise PredictionsError(
                f"accuracy is not known: {len(self.unasked)} of {len(self) + len(self.unasked)} "
                "examples were not asked",
                where=self.task,
                hint=SCORE_ALL,
            )
        return int(self.columns.correct.sum()) / len(self)

    def only(self, kept: Mask) -> Predictions:
        """Return the table with some of its rows.

        Args:
            kept: Which, [n].
        """
        return replace(self, rows=self.columns.take(kept.nonzero()[0]))

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
        from pytest_muscle.predictions.columns import Columns

        rows = Columns.of_answers(ids, answers, gold, where=task)
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

        about = {"task": self.task, "model": self.model, "facts": self.facts}
        write_table(Path(path), self.rows, about, self.unasked)

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
