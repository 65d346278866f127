"""`lighteval:` — details of LightEval, written with `--save-details`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from pytest_muscle.digests import digest_json
from pytest_muscle.errors import PredictionsError, nearest
from pytest_muscle.importers.records import Record, choose, field, make_table
from pytest_muscle.predictions.prediction import Predictions
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.rows import Row, read_rows
from pytest_muscle.wording import SHOWN

TOOL = "LightEval"
_DETAILS = re.compile(r"details_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+)\.parquet")


class _Log(NamedTuple):
    path: Path
    task: str
    date: str

    @property
    def model(self) -> Path:
        """The model's folder, which holds one for each run."""
        return self.path.parent.parent


def read_log(path: Path, *, task: str | None = None, metric: str | None = None) -> Predictions:
    """Return the predictions of a file `details_TASK_DATE.parquet`, or of a folder of them.

    Of a folder the newest file of the task is read, wherever below it stands. An id is the task
    and the document's id, `colours|0/17`; examples may be sliced by what `specific` of the
    document holds.

    Args:
        path: The file, or what `--output-dir` named.
        task: Name of the task where the folder holds several, with or without `|fewshots`.
        metric: Which metric says what is right; needed where there are several.

    Raises:
        PredictionsError: If it is no such file, or several metrics, tasks or models could be meant.
        DataError: If it is not readable Parquet, or pyarrow is not installed.
    """
    file = _newest(path, task) if path.is_dir() else path
    if file.suffix != ".parquet":
        raise PredictionsError(
            f"is not a file of details of {TOOL}",
            where=str(path),
            hint="name a details_….parquet, which --save-details writes, or its folder",
        )
    rows = read_rows(str(file), file.parent)
    first = next(rows)
    metrics = _object(first, "metric")
    known = [name for name, value in metrics.items() if isinstance(value, bool | int | float)]
    judge = choose(metric, known, option="metric", what="metric", where=file.name)
    return make_table(
        _records(chain([first], rows), judge),
        source=file.name,
        task=str(_object(first, "doc").get("task_name") or "") or None,
        model=file.parent.parent.name if _DETAILS.fullmatch(file.name) else file.stem,
        facts={"metric": judge},
    )


def _newest(folder: Path, task: str | None) -> Path:
    logs = [
        _Log(file, match["task"], match["date"])
        for file in sorted(folder.rglob("details_*.parquet"))
        if (match := _DETAILS.fullmatch(file.name))
    ]
    where = str(folder)
    wanted = [log for log in logs if task in (None, log.task, log.task.rpartition("|")[0])]
    if task is not None and not wanted:
        raise PredictionsError(
            f"holds no details of task {task!r}",
            where=where,
            hint=nearest(task, {log.task for log in logs}),
        )
    names = (log.task for log in wanted)
    chosen = choose(None, names, option="task", what="task", where=where)
    wanted = [log for log in wanted if log.task == chosen]
    models = sorted({log.model.relative_to(folder).as_posix() for log in wanted})
    if len(models) > 1:
        raise PredictionsError(
            f"holds details of {chosen} in {len(models)} folders: {', '.join(models[:SHOWN])}",
            where=where,
            hint="name one of them",
        )
    return max(wanted, key=lambda log: log.date).path


def _records(rows: Iterator[Row], metric: str) -> Iterator[Record]:
    for row in rows:
        doc, response = _object(row, "doc"), _object(row, "model_response")
        score = _object(row, "metric").get(metric)
        id_, query = (field(doc, key, row.where, TOOL) for key in ("id", "query"))
        task, index = doc.get("task_name"), doc.get("gold_index")
        choices = tuple(str(choice) for choice in doc.get("choices") or ())
        texts = response.get("text") or ()
        loglikelihoods = tuple(map(float, response.get("logprobs") or ()))
        chosen = not texts and len(loglikelihoods) == len(choices) > 0
        options = tuple(choice.strip() for choice in choices) if chosen else ()
        gold = _gold(index, choices, chosen=chosen)
        answer = loglikelihoods.index(max(loglikelihoods)) if chosen else _text(response)
        if chosen and isinstance(gold, int) and (answer == gold) != (score == 1):
            answer = None  # the metric's option is not known: it divides by lengths, say
        yield Record(
            where=row.where,
            example=Example(
                f"{task}/{id_}" if task else str(id_),
                query,
                options,
                gold,
                doc.get("specific") or {},
            ),
            answer=answer,
            score=score,
            loglikelihoods=loglikelihoods if chosen else None,
            digest=digest_json(["lighteval", query, choices, index]),
            text=texts[0] if texts else None,
        )


def _object(row: Row, key: str) -> Mapping[str, Any]:
    value = row.columns.get(key)
    if not isinstance(value, dict):
        raise PredictionsError(
            f"has no {key!r} of several values, so it is not a log of {TOOL}",
            where=row.where,
            hint="name its details; old versions wrote other columns: run it again with a new one",
        )
    return value


def _gold(index: Any, choices: tuple[str, ...], *, chosen: bool) -> Any:
    """Return the right option, or options; of texts that are written the right texts."""
    indices = index if isinstance(index, list) else [index]
    golds = tuple(
        choices[one].strip()
        if not chosen and isinstance(one, int) and 0 <= one < len(choices)
        else one
        for one in indices
    )
    return golds[0] if len(golds) == 1 else golds


def _text(response: Mapping[str, Any]) -> str | None:
    texts = response.get("text_post_processed") or response.get("text") or [None]
    return texts[0]  # type: ignore[no-any-return]
