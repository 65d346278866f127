"""One answer of a model, and an ordered table of them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import PredictionsError
from pytest_muscle.predictions.stop import ASK_ALL, Stop

if TYPE_CHECKING:
    from pytest_muscle.predictions.columns import Columns
    from pytest_muscle.predictions.packed import Mask
    from pytest_muscle.tasks.example import Example


SCORE_ALL = 'set [run] score = "all" and [gate] sequential = false'

ROUNDING = 1e-12
"""What floating-point numbers add to a rate, a score or a difference of them, at most."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered to one example.

    Attributes:
        id: The example's id.
        answer: The model's answer: for multiple choice and classification the option's index, of a
            written text what was extracted from it, none where nothing was.
        gold: The gold answer, in the same form as `answer`; of several texts a list.
        correct: Whether the answer counts as right.
        score: The metric's value, in [0, 1] as ours are; 1.0 or 0.0 for right and wrong answers,
            the mean over the draws where there are several.
        loglikelihoods: Summed log-likelihood of each option in nats, or none.
        digest: SHA-256 of what was asked, or none where that is not known.
        text: What the model wrote, or none where it chose an option.
        draws: The metric's value for each draw, where several were drawn.
    """

    id: Hashable
    answer: Any
    gold: Any
    correct: bool
    score: float
    loglikelihoods: tuple[float, ...] | None = None
    digest: str | None = None
    text: str | None = None
    draws: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Predictions:
    """An ordered table of predictions, one row per example that the model was asked.

    Iterating yields `Prediction`. Made by the plugin's fixtures, by `from_lists` from answers of
    any origin, by `from_scores` from graded ones, or by `load`. Rows are stored by column and made
    when they are asked for.

    Attributes:
        rows: The predictions, in the order of the task's examples.
        task: Name of the task.
        model: What answered, in words.
        facts: What else determines the answers (digests, revision, dtype, …), for the manifest.
        examples: The examples by id, where they are at hand: failures show their prompts.
        unasked: Ids of the task's other examples, which the model was not asked because the old
            model has them wrong ([run] score = "needed"): none of them can be a negative flip.
        graded: Whether scores are marks between right and wrong (ROUGE, F1, the share of several
            draws that is right): flips then are changes of the score.
        tolerance: Of graded scores: a change of at most this is no flip.
        slices: Columns of the data that group the examples in reports.
        stop: Where the model was stopped because a gate was decided ([gate] sequential = true), or
            none; ids that can flip are among `unasked` then.

    Raises:
        PredictionsError: If there is no example, an id stands twice, or the tolerance is negative
            or not finite.
    """

    rows: Sequence[Prediction] = field(repr=False)
    task: str | None = None
    model: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    examples: Mapping[Hashable, Example] | None = field(default=None, repr=False, compare=False)
    unasked: tuple[Hashable, ...] = field(default=(), repr=False)
    graded: bool = False
    tolerance: float = 0.0
    slices: tuple[str, ...] = field(default=(), repr=False, compare=False)
    stop: Stop | None = None

    def __post_init__(self) -> None:
        from pytest_muscle.predictions.columns import Columns, check_ids

        if not 0 <= self.tolerance < math.inf:
            raise PredictionsError(
                f"tolerance={self.tolerance!r} is not a size of a change of scores",
                where=self.task,
                hint="give a number of at least 0, in the score's own unit",
            )

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
        """Share of examples answered correctly, a fraction 0-1; of graded scores their mean.

        Raises:
            PredictionsError: If it is not known, because the model was not asked all examples.
        """
        if self.unasked:
            raise PredictionsError(
                f"accuracy is not known: {len(self.unasked)} of {len(self) + len(self.unasked)} "
                "examples were not asked",
                where=self.task,
                hint=SCORE_ALL if self.stop is None else ASK_ALL,
            )
        columns = self.columns
        return (
            float(columns.scores.mean()) if self.graded else int(columns.correct.sum()) / len(self)
        )

    @property
    def can_flip(self) -> Mask:
        """Which examples can be negative flips of a newer model, [n].

        Those that are right; where scores are graded and in [0, 1], those that can fall by more
        than the tolerance.
        """
        columns = self.columns
        return columns.scores > self.tolerance if self.graded else columns.correct

    @property
    def about(self) -> dict[str, Any]:
        """What is said of the table as a whole, for its manifest."""
        return {
            "task": self.task,
            "model": self.model,
            "graded": self.graded,
            "tolerance": self.tolerance,
            "facts": self.facts,
            **({} if self.stop is None else {"stop": self.stop.to_json()}),
        }

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

    @classmethod
    def from_scores(
        cls,
        ids: Iterable[Hashable],
        scores: Iterable[float],
        *,
        tolerance: float = 0.0,
        task: str | None = None,
        model: str | None = None,
    ) -> Predictions:
        """Make a table from graded scores of any origin: ROUGE, a judge's marks, a share.

        Args:
            ids: One id per example, each once.
            scores: The metric's value for each answer, in the order of `ids`; higher is better.
            tolerance: A change of at most this is no flip.
            task: Name of the task.
            model: What answered, in words.

        Raises:
            PredictionsError: If the lists differ in length, are empty, an id stands twice, or a
                score is not a finite number.
        """
        from pytest_muscle.predictions.columns import Columns

        rows = Columns.of_scores(ids, scores, where=task)
        return cls(rows=rows, task=task, model=model, graded=True, tolerance=tolerance)

    def save(self, path: str | Path) -> None:
        """Write the table as JSONL to `path` and its manifest to `path` + `.manifest.json`.

        Each file appears whole or not at all. The manifest holds the table's digest, so that the
        one never passes for the other's.

        Raises:
            PredictionsError: If a row would not come back as it is, or the files cannot be
                written.
        """
        from pytest_muscle.predictions.jsonl import write_table

        write_table(Path(path), self.rows, self.about, self.unasked)

    @classmethod
    def load(cls, path: str | Path) -> Predictions:
        """Read a table that `save` wrote, or the log of another tool.

        Args:
            path: The table's file; or a text `NAME:PATH?option=value&option=value`, where NAME is
                that of an importer: csv, deepeval, inspect, lighteval, lm-eval, promptfoo, or
                one that a plugin has added.

        Raises:
            PredictionsError: If a file is missing, a line is not a prediction, or the table is
                not the one that its manifest was written for; it names file and line. If a log is
                not one of that tool, or several things in it could be meant; it lists them.
        """
        if isinstance(path, str) and ":" in path:
            from pytest_muscle.importers import import_predictions

            return import_predictions(path)
        from pytest_muscle.predictions.jsonl import read_table

        rows, manifest = read_table(Path(path))
        try:
            return cls(rows=rows, **manifest)
        except PredictionsError as error:
            raise PredictionsError(error.problem, where=str(path), hint=error.hint) from error
