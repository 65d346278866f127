"""`lm-eval:` — samples of lm-evaluation-harness, written with `--log_samples`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
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

TOOL = "lm-evaluation-harness"

LOWER_IS_BETTER = frozenset(
    {
        "perplexity",
        "word_perplexity",
        "byte_perplexity",
        "bits_per_byte",
        "brier_score",
        "ter",
        "wer",
    }
)
_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.:-]+)\.jsonl")
_LENGTHS: Mapping[str, Callable[[str], int]] = {
    "acc_norm": len,
    "acc_bytes": lambda text: len(text.encode()),
}
"""What a metric divides an option's log-likelihood by."""
_MUTUAL = "acc_mutual_info"
"""The metric for which each option is scored a second time, alone."""
_NO_FILTER = "none"
"""What versions before 0.4.3 leave out, as they do `metrics` and the hashes."""
_NOTHING_FOUND = "[invalid]"
"""What its regular expressions give where nothing matches."""


class _Log(NamedTuple):
    path: Path
    task: str | None
    date: str = ""


def read_log(
    path: Path,
    *,
    task: str | None = None,
    metric: str | None = None,
    filter: str | None = None,
) -> Predictions:
    """Return the predictions of a file `samples_TASK_DATE.jsonl`, or of a folder of them.

    Of a folder the newest file of the task is read, wherever below it stands. An id is the task
    and the document's number, `arc_easy/17`; examples may be sliced by the document's columns.

    Args:
        path: The file, or what `--output_path` named.
        task: Name of the task where the folder holds several; of a file that was renamed, what
            its ids begin with. A pattern, `mmlu_*`, joins tasks: they can be sliced by `task`.
        metric: Which metric says what is right; needed where there are several.
        filter: Which filter's answers; needed where there are several.

    Raises:
        PredictionsError: If it is no such file, or several metrics, filters, tasks or models could
            be meant; it lists them.
        DataError: If a line is not JSON; it names file and line.
    """
    logs = _logs(path, task)
    records = (_records(log, metric, filter, joined=len(logs) > 1) for log in logs)
    return make_table(
        chain.from_iterable(records),
        source=path.name,
        task=task if len(logs) > 1 else logs[0].task,
        model=logs[0].path.parent.name or None,
        facts={} if metric is None else {"metric": metric},
    )


def _logs(path: Path, task: str | None) -> list[_Log]:
    if not path.is_dir():
        if path.suffix != ".jsonl":
            raise PredictionsError(
                f"is not a file of samples of {TOOL}",
                where=str(path),
                hint="name a samples_….jsonl, which --log_samples writes, or its folder",
            )
        named = _SAMPLES.fullmatch(path.name)
        return [_Log(path, task or (named["task"] if named else None))]
    found = [
        _Log(file, match["task"], match["date"])
        for file in sorted(path.rglob("samples_*.jsonl"))
        if (match := _SAMPLES.fullmatch(file.name))
    ]
    tasks = sorted({str(log.task) for log in found})
    wanted = [name for name in tasks if task is None or fnmatchcase(name, task)]
    if not wanted:
        raise PredictionsError(
            "holds no samples" if task is None else f"holds no samples of task {task!r}",
            where=str(path),
            hint="run lm_eval with --log_samples --output_path"
            if task is None
            else nearest(task, tasks),
        )
    if task is None:
        choose(None, wanted, option="task", what="task", where=str(path))
    return [_newest([log for log in found if log.task == name], path) for name in wanted]


def _newest(logs: Sequence[_Log], folder: Path) -> _Log:
    models = {log.path.parent for log in logs}
    if len(models) > 1:
        names = sorted(model.relative_to(folder).as_posix() for model in models)
        raise PredictionsError(
            f"holds samples of {logs[0].task} in {len(models)} folders: {', '.join(names[:SHOWN])}",
            where=str(folder),
            hint="name one of them",
        )
    return max(logs, key=lambda log: log.date)


def _records(
    log: _Log, metric: str | None, filter_: str | None, *, joined: bool
) -> Iterator[Record]:
    name = log.path.name
    filters, metrics = _contents(log.path)
    lower = metric in LOWER_IS_BETTER
    chosen_filter = choose(filter_, filters, option="filter", what="filter", where=name)
    candidates = [known for known in metrics if known not in LOWER_IS_BETTER or lower]
    judge = choose(metric, candidates, option="metric", what="metric", where=name)
    if lower:
        raise PredictionsError(
            f"of {metric} less is better, so it does not say what is right",
            where=name,
            hint="name another metric, or run the task with one",
        )
    for row in read_rows(str(log.path), log.path.parent):
        if _filter(row) == chosen_filter:
            record = _record(row, log.task, judge)
            if joined:
                fields = {**record.example.fields, "task": log.task}
                record = replace(record, example=replace(record.example, fields=fields))
            yield record


def _contents(path: Path) -> tuple[list[str], list[str]]:
    """Return the filters of a file, and the metrics that give each example a number."""
    filters: dict[str, None] = {}
    metrics: dict[str, None] = {}
    for row in read_rows(str(path), path.parent):
        filters[_filter(row)] = None
        named = row.columns.get("metrics", [key for key in row.columns if key not in _OTHERS])
        for metric in named:
            if isinstance(row.columns.get(metric), bool | int | float):
                metrics[metric] = None
    return list(filters), list(metrics)


_OTHERS = ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter")


def _record(row: Row, task: str | None, metric: str) -> Record:
    columns, where = row.columns, row.where
    number = _field(row, "doc_id")
    doc, target = _field(row, "doc"), str(_field(row, "target"))
    calls = _calls(_field(row, "arguments"), where)
    responses = _listed(_field(row, "filtered_resps"))
    fields = doc if isinstance(doc, Mapping) else {"doc": doc}
    prompt, options = _question(calls, columns.get("metrics", ()))
    example = Example(
        id=str(number) if task is None else f"{task}/{number}",
        prompt=prompt,
        options=options,
        gold=_gold(target, options),
        fields=fields,
    )
    record = Record(where, example, None, columns.get(metric), digest=_digest(columns))
    if not options:
        text = _text(_listed(columns.get("resps")))
        return replace(record, answer=_answer(responses), text=text)
    values = [_loglikelihood(value, where) for value in responses]
    loglikelihoods = tuple(values[: len(options)])
    if len(values) != len(calls):
        raise PredictionsError(f"has {len(calls)} requests and {len(values)} answers", where=where)
    if metric == _MUTUAL:
        alone = values[len(options) :]
        values = [value - other for value, other in zip(loglikelihoods, alone, strict=True)]
    answer: int | None = _chosen(metric, values[: len(options)], options)
    if isinstance(example.gold, int) and (answer == example.gold) != (columns.get(metric) == 1):
        answer = None  # the metric's option is not known: it is not one of those above
    return replace(record, answer=answer, loglikelihoods=loglikelihoods)


def _filter(row: Row) -> str:
    return str(row.columns.get("filter", _NO_FILTER))


def _field(row: Row, key: str) -> Any:
    return field(row.columns, key, row.where, TOOL)


def _calls(arguments: Any, where: str) -> list[list[Any]]:
    """Return the arguments of each request, whether mappings (since 0.4.3) or lists."""
    calls = list(arguments.values()) if isinstance(arguments, Mapping) else _listed(arguments)
    listed = [list(call.values()) if isinstance(call, Mapping) else _listed(call) for call in calls]
    if not listed or not all(listed):
        raise PredictionsError("has no arguments, so it is not known what was asked", where=where)
    return listed


def _question(
    calls: Sequence[Sequence[Any]], metrics: Iterable[str]
) -> tuple[str, tuple[str, ...]]:
    """Return prompt and options; no options where a text is written."""
    if _MUTUAL in metrics:
        calls = calls[: len(calls) // 2]  # the others are the options without their question
    prompt = calls[0][0]
    prompt = prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)
    if not all(len(call) > 1 and isinstance(call[1], str) for call in calls):
        return prompt, ()
    endings = [call[1] for call in calls]
    if (
        len(endings) > 1 and len(set(endings)) == 1
    ):  # the options stand in the prompts, as in WinoGrande
        return endings[0], tuple(str(call[0]) for call in calls)
    delimited = all(ending.startswith(" ") for ending in endings)
    return prompt, tuple(ending[1:] if delimited else ending for ending in endings)


def _gold(target: str, options: Sequence[str]) -> int | str:
    if options and target.isdecimal() and int(target) < len(options):
        return int(target)
    return options.index(target) if target in options else target


def _digest(columns: Mapping[str, Any]) -> str | None:
    """Return a digest of document and gold answer; versions before 0.4.3 log no hashes.

    The prompt is not in it: two models may be asked through different chat templates.
    """
    hashes = [columns.get("doc_hash"), columns.get("target_hash")]
    return None if None in hashes else digest_json(["lm-eval", *hashes])


def _loglikelihood(value: Any, where: str) -> float:
    try:
        first = value[0] if isinstance(value, list) else value
        number = float(first)
        if math.isnan(number):
            raise ValueError("it is not a number")
    except (TypeError, ValueError, IndexError) as error:
        raise PredictionsError(
            f"{value!r} is not the log-likelihood of an option",
            where=where,
            hint="is the file damaged, or of a filter that leaves none?",
        ) from error
    return number


def _chosen(metric: str, loglikelihoods: Sequence[float], options: Sequence[str]) -> int:
    """Return the option that a metric chooses, the first of equals."""
    length = _LENGTHS.get(metric)
    lengths = [max(length(option), 1) if length else 1 for option in options]
    values = [value / by for value, by in zip(loglikelihoods, lengths, strict=True)]
    return values.index(max(values))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _answer(responses: Any) -> Any:
    """Return the filtered answer; none where a filter found nothing."""
    while isinstance(responses, list) and len(responses) == 1:
        responses = responses[0]
    return None if responses == _NOTHING_FOUND else responses


def _text(responses: list[Any]) -> str | None:
    """Return what was written, before any filter: of several texts the first."""
    first: Any = responses
    while isinstance(first, list) and first:
        first = first[0]
    return first if isinstance(first, str) else None
