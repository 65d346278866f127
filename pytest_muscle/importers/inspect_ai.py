"""`inspect:` — logs of Inspect, read through its own `read_eval_log`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pytest_muscle.digests import digest_json
from pytest_muscle.errors import PredictionsError
from pytest_muscle.importers.records import Record, choose, make_table, number
from pytest_muscle.predictions.prediction import Predictions
from pytest_muscle.tasks.example import Example

SUFFIXES = (".eval", ".json")
_SUCCESS = "success"
_WORDS = frozenset({"c", "i", "p", "n", "yes", "no", "true", "false"})
"""What Inspect writes for right, wrong, partly right and not answered."""


def read_log(
    path: Path,
    *,
    task: str | None = None,
    model: str | None = None,
    scorer: str | None = None,
    key: str | None = None,
) -> Predictions:
    """Return the predictions of a log file (.eval or .json), or of a folder of them.

    Of a folder the newest log of the task and model is read. Several epochs become draws: the
    score is their mean, and scores are graded. Examples may be sliced by the samples' metadata.

    Args:
        path: The file, or what `--log-dir` named.
        task: Name of the task where the folder holds several.
        model: Name of the model where the folder holds several.
        scorer: Which scorer says what is right; needed where there are several.
        key: Which value of a scorer that gives several.

    Raises:
        PredictionsError: If Inspect is not installed, the file is no log of it or of a run that
            did not end well, a sample has no score, or several things could be meant.
    """
    file = _newest(path, task, model) if path.is_dir() else path
    log = _read(file)
    name = file.name
    if log.status != _SUCCESS:
        raise PredictionsError(
            f"is of a run that ended with {log.status!r}",
            where=name,
            hint="finish it: inspect eval-retry",
        )
    samples: Sequence[Any] = log.samples or ()
    scorers = [known for sample in samples for known in sample.scores or ()]
    chosen = choose(scorer, scorers, option="scorer", what="scorer", where=name)
    return make_table(
        _records(samples, log.eval.task, chosen, key, name),
        source=name,
        task=log.eval.task,
        model=log.eval.model,
        facts={"scorer": chosen, "created": str(log.eval.created)},
    )


def _read(file: Path, *, header_only: bool = False) -> Any:
    try:
        from inspect_ai.log import read_eval_log
    except ImportError as error:
        raise PredictionsError(
            "reading a log of Inspect needs inspect_ai",
            where=str(file),
            hint="pip install 'pytest-muscle[inspect]'",
        ) from error
    if file.suffix not in SUFFIXES:
        raise PredictionsError(
            "is not a log of Inspect", where=str(file), hint="name a .eval or .json file"
        )
    try:
        return read_eval_log(
            str(file), header_only=header_only, resolve_attachments=not header_only
        )
    except Exception as error:  # whatever its readers of zip, JSON and models raise
        raise PredictionsError(
            f"cannot be read as a log of Inspect: {type(error).__name__}: {error}",
            where=str(file),
            hint="is it whole, and not of a newer inspect_ai than the one installed?",
        ) from error


def _newest(folder: Path, task: str | None, model: str | None) -> Path:
    files = sorted(file for suffix in SUFFIXES for file in folder.rglob(f"*{suffix}"))
    logs = [(file, _read(file, header_only=True).eval) for file in files]
    where = str(folder)
    wanted = choose(task, (log.task for _, log in logs), option="task", what="task", where=where)
    logs = [(file, log) for file, log in logs if log.task == wanted]
    asked = choose(model, (log.model for _, log in logs), option="model", what="model", where=where)
    return max((str(log.created), file) for file, log in logs if log.model == asked)[1]


def _records(
    samples: Sequence[Any], task: str, scorer: str, key: str | None, name: str
) -> Iterator[Record]:
    """Yield a record for each sample, its epochs put together."""
    epochs: dict[Any, list[Any]] = {}
    for sample in samples:
        epochs.setdefault(sample.id, []).append(sample)
    for id_, drawn in epochs.items():
        where = f"{name}: sample {id_!r}"
        drawn.sort(key=lambda sample: sample.epoch)
        numbers = [sample.epoch for sample in drawn]
        if len(set(numbers)) < len(numbers):
            raise PredictionsError(
                "stands twice in one epoch", where=where, hint="give samples ids of their own"
            )
        scores = [_score(sample, scorer, key, f"{where}, epoch {sample.epoch}") for sample in drawn]
        first, options = drawn[0], tuple(drawn[0].choices or ())
        gold = _gold(first.target, options)
        answers = [_answer(sample.scores[scorer].answer, options) for sample in drawn]
        shown = answers.index(Counter(answers).most_common(1)[0][0])
        prompt = _prompt(first.input)
        yield Record(
            where=where,
            example=Example(f"{task}/{id_}", prompt, options, gold, first.metadata or {}),
            answer=answers[shown],
            score=fmean(scores),
            digest=digest_json(["inspect", prompt, options, first.target]),
            text=drawn[shown].output.completion,
            draws=tuple(scores) if len(scores) > 1 else None,
        )


def _score(sample: Any, scorer: str, key: str | None, where: str) -> float:
    from inspect_ai.scorer import value_to_float

    if scorer not in (sample.scores or {}):
        raise PredictionsError(
            f"has no score of {scorer}",
            where=where,
            hint="score it, or run it again: inspect eval-retry"
            if sample.error is not None
            else "score it: inspect score",
        )
    value = sample.scores[scorer].value
    if isinstance(value, Mapping):
        value = value[choose(key, value, option="key", what="value", where=where)]
    elif key is not None:
        raise PredictionsError(f"{scorer} gives one value", where=where, hint="leave out ?key")
    if isinstance(value, str) and not _is_known(value):
        raise PredictionsError(
            f"the score is {value!r}, neither right nor wrong nor a number",
            where=where,
            hint="name another scorer",
        )
    if isinstance(value, str | bool | int | float):
        return number(value_to_float()(value), where)
    return number(value, where)


def _is_known(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return value.lower() in _WORDS
    return True


def _gold(target: str | Sequence[str], options: Sequence[str]) -> Any:
    if isinstance(target, str):
        return _answer(target, options)
    golds = tuple(_answer(one, options) for one in target)
    return golds[0] if len(golds) == 1 else golds


def _answer(answer: str | None, options: Sequence[str]) -> Any:
    """Return an answer; where a letter names an option, the option's index."""
    if answer is not None and len(answer) == 1 and options:
        index = ord(answer) - ord("A")
        if 0 <= index < len(options):
            return index
    return answer


def _prompt(asked: Any) -> str:
    """Return what was asked as text: of a chat, each message with who says it."""
    if isinstance(asked, str):
        return asked
    return "\n\n".join(f"{message.role}: {message.text}" for message in asked)
