"""One answer of a model, and an ordered table of them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import PredictionsError

if TYPE_CHECKING:
    from pytest_muscle.tasks.example import Example

MANIFEST_FORMAT = 1


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
                "a table of predictions needs at least one row", where=self.task, hint=None
            )
        seen: dict[Hashable, int] = {}
        for number, row in enumerate(self.rows):
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
        columns = [list(ids), list(answers), list(gold)]
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
                correct=bool(answer == right),
                score=float(answer == right),
            )
            for id_, answer, right in zip(*columns, strict=True)
        )
        return cls(rows=rows, task=task, model=model)

    def save(self, path: str | Path) -> None:
        """Write the table as JSONL to `path` and its manifest to `path` + `.manifest.json`.

        Both files appear whole or not at all; the table comes last.
        """
        from pytest_muscle.atomic import write_text

        path = Path(path)
        lines = []
        for row in self.rows:
            record = {
                "id": row.id,
                "answer": row.answer,
                "gold": row.gold,
                "correct": row.correct,
                "score": row.score,
                "loglikelihoods": row.loglikelihoods,
                "digest": row.digest,
            }
            try:
                lines.append(json.dumps(record, ensure_ascii=False))
            except TypeError as error:
                raise PredictionsError(
                    f"example {row.id!r} cannot be written as JSON: {error}",
                    where=str(path),
                    hint="ids and answers that are strings or numbers can be saved",
                ) from error
        manifest = {
            "format": MANIFEST_FORMAT,
            "n": len(self.rows),
            "task": self.task,
            "model": self.model,
            "facts": dict(self.facts),
        }
        write_text(_manifest_path(path), json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        write_text(path, "\n".join(lines) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Predictions:
        """Read a table that `save` wrote.

        Raises:
            PredictionsError: If a file is missing or a line is not a prediction.
        """
        path = Path(path)
        manifest = _read_manifest(_manifest_path(path))
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise PredictionsError(f"cannot be read: {error}", where=str(path)) from error
        rows = tuple(
            _read_row(line, f"{path}:{number}")
            for number, line in enumerate(text.split("\n"), start=1)
            if line.strip()
        )
        if manifest.get("n") != len(rows):
            raise PredictionsError(
                f"has {len(rows)} rows where its manifest counts {manifest.get('n')}",
                where=str(path),
                hint="the file is cut short or was edited: record the predictions again",
            )
        return cls(
            rows=rows,
            task=manifest.get("task"),
            model=manifest.get("model"),
            facts=manifest.get("facts") or {},
        )


def _manifest_path(path: Path) -> Path:
    return path.with_name(path.name + ".manifest.json")


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise PredictionsError(f"cannot be read: {error}", where=str(path)) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
        raise PredictionsError("is not a manifest of predictions", where=str(path))
    if manifest["format"] > MANIFEST_FORMAT:
        raise PredictionsError(
            f"has format {manifest['format']}; this version reads up to {MANIFEST_FORMAT}",
            where=str(path),
            hint="update pytest-muscle",
        )
    return manifest


def _read_row(line: str, where: str) -> Prediction:
    try:
        record = json.loads(line)
        loglikelihoods: Sequence[float] | None = record.get("loglikelihoods")
        return Prediction(
            id=record["id"],
            answer=record["answer"],
            gold=record["gold"],
            correct=_expect(record["correct"], bool),
            score=float(record["score"]),
            loglikelihoods=(
                None if loglikelihoods is None else tuple(float(value) for value in loglikelihoods)
            ),
            digest=record.get("digest"),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PredictionsError(
            f"is not a prediction ({type(error).__name__}: {error})", where=where
        ) from error


def _expect(value: Any, kind: type[bool]) -> bool:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, found {value!r}")
    return value
