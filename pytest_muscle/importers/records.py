"""What importers have in common: one record per example of a log, made into a table."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_muscle import limits
from pytest_muscle.errors import PredictionsError, nearest
from pytest_muscle.predictions.columns import ColumnsBuilder
from pytest_muscle.predictions.prediction import Predictions
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.examples import Examples

LARGEST_LOG = 1024**3
"""Bytes of a log that is read as a whole."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a log says of one example.

    Attributes:
        where: File and line.
        example: What was asked.
        answer: As in `Prediction`.
        score: The metric's value; true and false are 1 and 0.
        loglikelihoods: Of each option, in nats.
        digest: Of question and gold answer, as far as the log tells.
        text: What the model wrote.
        draws: The metric's value for each draw.
    """

    where: str
    example: Example
    answer: Any
    score: Any
    loglikelihoods: tuple[float, ...] | None = None
    digest: str | None = None
    text: str | None = None
    draws: tuple[float, ...] | None = None


def make_table(
    records: Iterable[Record],
    *,
    source: str,
    task: str | None = None,
    model: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Predictions:
    """Return the table of a log.

    Scores that are all 0 or 1 are right and wrong answers; else all are graded.

    Args:
        records: One for each example; gone through once.
        source: The log's name, for errors.
        task: Name of the task.
        model: What answered, in words.
        facts: What else the log says of the answers.

    Raises:
        PredictionsError: If there is no record, an id stands twice or a score is not a number.
    """
    rows = ColumnsBuilder(where=source)
    kinds = _Kinds()
    examples = Examples(_added(records, rows, kinds))
    if not len(examples):
        raise PredictionsError("holds no answer", where=source, hint="is it the right file?")
    return Predictions(
        rows=rows.build(),
        task=task,
        model=model,
        facts={"imported_from": source, **(facts or {})},
        examples=examples.by_id,
        graded=kinds.graded,
    )


class _Kinds:
    graded = False


def _added(records: Iterable[Record], rows: ColumnsBuilder, kinds: _Kinds) -> Iterator[Example]:
    seen: dict[Hashable, str] = {}
    for record in records:
        example = record.example
        if example.id in seen:
            raise PredictionsError(
                f"id {example.id!r} stands already at {seen[example.id]}",
                where=record.where,
                hint="a log holds one answer to each example: were two runs written to one file?",
            )
        seen[example.id] = record.where
        score = number(record.score, record.where)
        kinds.graded = kinds.graded or score not in (0, 1) or record.draws is not None
        gold = example.gold
        rows.add(
            example.id,
            record.answer,
            list(gold) if isinstance(gold, tuple) else gold,
            correct=score >= 1,
            score=score,
            loglikelihoods=record.loglikelihoods,
            digest=record.digest,
            text=record.text,
            draws=record.draws,
        )
        yield example


def number(value: Any, where: str) -> float:
    """Return a score as a number.

    Raises:
        PredictionsError: If it is not a finite one.
    """
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    raise PredictionsError(
        f"the score is {value!r}, not a finite number",
        where=where,
        hint="name a metric that gives each answer a number",
    )


def read_document(path: Path, tool: str) -> Mapping[str, Any]:
    """Return the JSON object that is a log's whole content.

    Raises:
        PredictionsError: If it is none, or is damaged; it names file and line.
    """
    try:
        limits.check_file(path, LARGEST_LOG)
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise PredictionsError(
            f"is not valid JSON: {error.msg}",
            where=f"{path.name}:{error.lineno}",
            hint="is the file whole?",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise PredictionsError(f"cannot be read: {error}", where=str(path)) from error
    if not isinstance(content, dict):
        raise PredictionsError(f"is not a log of {tool}", where=str(path))
    return content


def judged(value: str, *, where: str) -> bool:
    """Return whether answers are judged by whether they pass, not by their score.

    Raises:
        PredictionsError: If the option `by` says neither.
    """
    if value not in ("success", "score"):
        raise PredictionsError(f"by is {value!r}", where=where, hint="write by=success or by=score")
    return value == "success"


def choose(named: str | None, found: Iterable[str], *, option: str, what: str, where: str) -> str:
    """Return the one that the user named, or the only one there is.

    Args:
        named: What the option says, if it is given.
        found: What the log has.
        option: Name of the option.
        what: What is chosen, in a word.
        where: The log's name, for errors.

    Raises:
        PredictionsError: If it is not there, or none is named and there are several.
    """
    names = list(dict.fromkeys(found))
    if named is not None:
        if named not in names:
            raise PredictionsError(
                f"has no {what} {named!r}", where=where, hint=nearest(named, names)
            )
        return named
    if not names:
        raise PredictionsError(f"has no {what}", where=where, hint="is it the right file?")
    if len(names) > 1:
        raise PredictionsError(
            f"several {what}s could be meant: {', '.join(names)}",
            where=where,
            hint=f"name one: ?{option}={names[0]}",
        )
    return names[0]


def field(row: Mapping[str, Any], key: str, where: str, tool: str) -> Any:
    """Return a value that each row of a tool's log has.

    Raises:
        PredictionsError: If it is missing: then the file is none of that tool's.
    """
    if key not in row:
        raise PredictionsError(
            f"has no {key!r}, so it is not a log of {tool}",
            where=where,
            hint="name the file that it wrote for each example",
        )
    return row[key]
