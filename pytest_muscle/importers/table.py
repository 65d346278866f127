"""`csv:` — a table with one answer a line, of any origin."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pytest_muscle.digests import digest_json
from pytest_muscle.errors import PredictionsError, nearest
from pytest_muscle.importers.records import Record, choose, make_table
from pytest_muscle.predictions.prediction import Predictions
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.rows import Row, read_rows

TRUTHS = {
    **dict.fromkeys(("1", "1.0", "true", "yes"), 1.0),
    **dict.fromkeys(("0", "0.0", "false", "no"), 0.0),
}
JUDGEMENTS = ("correct", "score")
COLUMNS = ("id", "answer", "gold", *JUDGEMENTS, "prompt")
"""Columns that are taken where the file has them and no option names others."""


def read_log(
    path: Path,
    *,
    id: str | None = None,
    answer: str | None = None,
    gold: str | None = None,
    correct: str | None = None,
    score: str | None = None,
    prompt: str | None = None,
    task: str | None = None,
) -> Predictions:
    """Return the predictions of a CSV file with a header line.

    Each option names a column; left out, it is the column of the option's name, if there is one.
    An answer is judged by `correct` (true or false, yes or no, 1 or 0) or `score` (a number);
    where the file has neither, it is right if it equals its gold answer. All columns can be
    sliced by.

    Args:
        path: The file.
        id: Column of the id; needed.
        answer: Column of the answer.
        gold: Column of the gold answer.
        correct: Column that says whether the answer is right.
        score: Column of a score.
        prompt: Column of what was asked: failures show it, and other questions are refused.
        task: The task's name.

    Raises:
        PredictionsError: If a column is missing, or it is not said which one judges.
        DataError: If it is not valid CSV; it names file and line.
    """
    if path.suffix != ".csv":
        raise PredictionsError("is not a .csv file", where=str(path), hint="name a .csv file")
    rows = read_rows(str(path), path.parent)
    first = next(rows)
    given = dict(zip(COLUMNS, (id, answer, gold, correct, score, prompt), strict=True))
    columns = _columns(given, list(first.columns), path.name)
    records = (_record(row, columns) for row in chain([first], rows))
    return make_table(records, source=path.name, task=task, model=path.stem)


def _columns(given: dict[str, str | None], there: Sequence[str], where: str) -> dict[str, str]:
    """Return which column is what."""
    for option, name in given.items():
        if name is not None and name not in there:
            raise PredictionsError(
                f"has no column {name!r} for {option}", where=where, hint=nearest(name, there)
            )
    named = {option: name for option, name in given.items() if name is not None}
    columns = {option: option for option in COLUMNS if option in there} | named
    if "id" not in columns:
        raise PredictionsError(
            "has no column 'id'", where=where, hint="name the column of the ids: ?id=COLUMN"
        )
    judging = [option for option in JUDGEMENTS if option in named] or [
        option for option in JUDGEMENTS if option in columns
    ]
    if not judging and not {"answer", "gold"} <= columns.keys():
        raise PredictionsError(
            "does not say which answers are right",
            where=where,
            hint="name a column: ?correct=COLUMN, ?score=COLUMN, or ?answer=COLUMN&gold=COLUMN; "
            f"columns: {', '.join(there)}",
        )
    if judging:
        judge = choose(None, judging, option=judging[0], what="judgement", where=where)
        columns = {key: name for key, name in columns.items() if key not in JUDGEMENTS} | {
            judge: columns[judge]
        }
    return columns


def _record(row: Row, columns: dict[str, str]) -> Record:
    values: dict[str, Any] = {option: row.columns[name] for option, name in columns.items()}
    # What a model did is nothing to group examples by; the gold answer may be.
    own = {*COLUMNS, *columns.values()} - {columns.get("gold", "gold")}
    fields = {name: value for name, value in row.columns.items() if name not in own}
    answer, gold, prompt = (values.get(key) for key in ("answer", "gold", "prompt"))
    return Record(
        where=row.where,
        example=Example(values["id"], prompt or "", (), gold, fields),
        answer=answer,
        score=_score(values, row.where),
        digest=None if prompt is None else digest_json([prompt, gold]),
    )


def _score(values: dict[str, Any], where: str) -> float:
    if "correct" in values:
        text = values["correct"].strip().lower()
        if text not in TRUTHS:
            raise PredictionsError(
                f"{values['correct']!r} is neither true nor false",
                where=where,
                hint="write true or false, yes or no, 1 or 0; name a column of numbers ?score=",
            )
        return TRUTHS[text]
    if "score" in values:
        try:
            return float(values["score"])
        except ValueError as error:
            raise PredictionsError(
                f"the score is {values['score']!r}, not a number",
                where=where,
                hint="give each answer a score; 0 to one that has none",
            ) from error
    return float(values["answer"] == values["gold"])
