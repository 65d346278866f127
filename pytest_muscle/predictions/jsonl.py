"""A table of predictions on disk: JSON Lines, and a manifest beside it."""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from pytest_muscle import limits
from pytest_muscle.atomic import write_texts
from pytest_muscle.digests import line_check
from pytest_muscle.errors import PredictionsError
from pytest_muscle.predictions.columns import Columns
from pytest_muscle.predictions.prediction import Prediction
from pytest_muscle.predictions.stop import Stop

MANIFEST_FORMAT = 3
"""Of 1, lines had no check; 2 had no texts, no draws and no graded scores."""

UPDATE = "update pytest-muscle"
"""What to do about a table that a newer version wrote."""

_CHECK = re.compile(r', "check": "([0-9a-f]{16})"\}\s*$')


def write_table(
    path: Path,
    rows: Sequence[Prediction],
    about: Mapping[str, Any],
    unasked: Sequence[Hashable] = (),
    *,
    beside: Callable[[Prediction], Mapping[str, Any]] = lambda row: {},
) -> None:
    """Write rows to `path` and a manifest to `path` + `.manifest.json`.

    Each line ends in a check of what stands before it: 16 digits of its SHA-256.

    Args:
        path: The table's file.
        rows: The predictions.
        about: `task`, `model`, `facts`, `graded`, `tolerance` and `stop`, for the manifest.
        unasked: Ids of the examples that were not asked; each gets a line that says so.
        beside: What else a row's line says, for its readers.

    Raises:
        PredictionsError: If a row would not come back as it is, or the files cannot be written.
    """
    records = chain(
        ({**_record(row), **beside(row)} for row in rows),
        ({"id": id_, "asked": False} for id_ in unasked),
    )
    text = "".join(f"{_line(record, path)}\n" for record in records)
    manifest = {
        "format": MANIFEST_FORMAT,
        "n": len(rows) + len(unasked),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        **about,
        "facts": dict(about["facts"]),
    }
    try:
        described = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
        write_texts({manifest_path(path): described, path: text})
    except (TypeError, ValueError) as error:
        raise PredictionsError(
            f"the manifest cannot be written as JSON: {error}",
            where=str(path),
            hint="facts are texts, numbers, lists and mappings",
        ) from error
    except OSError as error:
        raise PredictionsError(
            f"cannot be written: {error}", where=str(path), hint="name a file in a writable folder"
        ) from error


def _record(row: Prediction) -> dict[str, Any]:
    return {
        "id": row.id,
        "answer": row.answer,
        "gold": row.gold,
        "correct": row.correct,
        "score": row.score,
        "loglikelihoods": _numbers(row.loglikelihoods),
        "digest": row.digest,
        **({} if row.text is None else {"text": row.text}),
        **({} if row.draws is None else {"draws": list(row.draws)}),
    }


def _line(record: dict[str, Any], path: Path) -> str:
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False, default=_scalar)
        line.encode()
        back = json.loads(line)
        changed = [key for key in ("id", "answer", "gold") if back.get(key) != record.get(key)]
    except (TypeError, ValueError, RecursionError) as error:
        raise PredictionsError(
            f"example {record['id']!r} cannot be written as JSON: {error}",
            where=str(path),
            hint="ids and answers that are strings or finite numbers can be saved",
        ) from error
    if changed:
        raise PredictionsError(
            f"the {changed[0]} of example {record['id']!r} would be read back as "
            f"{back[changed[0]]!r}",
            where=str(path),
            hint="use what JSON knows: strings, numbers, lists, not tuples",
        )
    return f'{line[:-1]}, "check": "{line_check(line.encode())}"}}'


def _numbers(values: Sequence[float] | None) -> list[float | str] | None:
    """Return numbers as JSON has them: what is not finite goes in as its text."""
    if values is None:
        return None
    return [value if math.isfinite(value) else str(float(value)) for value in values]


def _scalar(value: Any) -> Any:
    if getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON")


def read_table(path: Path) -> tuple[Columns, dict[str, Any]]:
    """Read what `write_table` wrote, line by line.

    Returns:
        The rows; `task`, `model`, `facts`, `graded`, `tolerance` and `stop` of the manifest, and
        `unasked`.

    Raises:
        PredictionsError: If a file is missing, a line is not a prediction, or the table is not
            the one that its manifest was written for; it names file and line.
    """
    manifest = _read_manifest(manifest_path(path))
    sha256 = hashlib.sha256()
    unasked: list[Hashable] = []
    checked = manifest["format"] > 1
    rows = Columns.of(_read_rows(path, sha256.update, unasked, checked=checked))
    count = len(rows) + len(unasked)
    if manifest.get("n") != count:
        raise PredictionsError(
            f"has {count} rows where its manifest counts {manifest.get('n')}",
            where=str(path),
            hint="the file is cut short or was edited: record the predictions again",
        )
    digest = sha256.hexdigest()
    if manifest.get("sha256", digest) != digest:
        raise PredictionsError(
            "is not the table that its manifest was written for",
            where=str(path),
            hint="one of the two files was edited or replaced: record the predictions again",
        )
    return rows, {
        "task": manifest.get("task"),
        "model": manifest.get("model"),
        "facts": manifest.get("facts") or {},
        "graded": manifest.get("graded", False),
        "tolerance": manifest.get("tolerance", 0.0),
        "unasked": tuple(unasked),
        "stop": _read_stop(manifest, path),
    }


def _read_stop(manifest: Mapping[str, Any], path: Path) -> Stop | None:
    if manifest.get("stop") is None:
        return None
    return Stop.from_json(manifest["stop"], where=str(manifest_path(path)))


def manifest_path(path: Path) -> Path:
    """Return the path of a table's manifest."""
    return path.with_name(path.name + ".manifest.json")


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a table that was read before, with all that they say.

    Raises:
        PredictionsError: If the file cannot be read.
    """
    for line in _read_lines(path, len):
        if line.strip():
            yield json.loads(line)


def _read_lines(path: Path, update: Callable[[bytes], object]) -> Iterator[str]:
    """Yield a file's lines, and hand them to `update` as `write_table` wrote them.

    An editor's or git's byte order mark and line ends make no difference.
    """
    try:
        limits.check_file(path)
        with path.open("rb") as file:
            for number, line in enumerate(limits.read_lines(file)):
                if number == 0:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if line.endswith(b"\r\n"):
                    line = line[:-2] + b"\n"
                update(line)
                yield line.decode()
    except (OSError, UnicodeDecodeError, limits.LimitError) as error:
        raise _unreadable(error, path) from error


def _unreadable(error: Exception, path: Path) -> PredictionsError:
    line = f":{error.number}" if isinstance(error, limits.LineLimitError) else ""
    return PredictionsError(
        f"cannot be read: {error}",
        where=f"{path}{line}",
        hint="a table is two files, NAME and NAME.manifest.json: keep them together",
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = limits.read_json(path)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(error, path) from error
    except ValueError as error:
        raise PredictionsError(f"is not valid JSON: {error}", where=str(path)) from error
    written = manifest.get("format") if isinstance(manifest, dict) else None
    sound = type(written) is int and written > 0  # True is an int to Python
    named = sound and all(isinstance(manifest.get(key), str | None) for key in ("task", "model"))
    kinds: dict[str, Any] = {"facts": dict, "graded": bool, "tolerance": int | float}
    if not named or any(
        key in manifest and not isinstance(manifest[key], kind) for key, kind in kinds.items()
    ):
        raise PredictionsError("is not a manifest of predictions", where=str(path))
    if manifest["format"] > MANIFEST_FORMAT:
        raise PredictionsError(
            f"has format {manifest['format']}; this version reads up to {MANIFEST_FORMAT}",
            where=str(path),
            hint=UPDATE,
        )
    return manifest


def _read_rows(
    path: Path, update: Callable[[bytes], object], unasked: list[Hashable], *, checked: bool
) -> Iterator[Prediction]:
    """Yield a file's rows, and append to `unasked` the ids of the lines that say so."""
    for number, line in enumerate(_read_lines(path, update), start=1):
        if line.strip():
            where = f"{path}:{number}"
            row = _read_row(line, where)
            if checked:
                _refuse_edited(line, row.id, where)
            if isinstance(row, Prediction):
                yield row
            else:
                unasked.append(row.id)


def _refuse_edited(line: str, id_: Hashable, where: str) -> None:
    found = _CHECK.search(line)
    if found is None or line_check(f"{line[: found.start()]}}}".encode()) != found[1]:
        raise PredictionsError(
            f"the line of example {id_!r} is not the one that was written",
            where=where,
            hint="it was cut short or edited: record the predictions again",
        )


class _Unasked(NamedTuple):
    id: Hashable


def _read_row(line: str, where: str) -> Prediction | _Unasked:
    try:
        record = json.loads(line)
        if record.get("asked") is False:
            return _Unasked(record["id"])
        return Prediction(
            id=record["id"],
            answer=record["answer"],
            gold=record["gold"],
            correct=_expect(record["correct"], bool),
            score=_finite(record["score"]),
            loglikelihoods=_read_numbers(record.get("loglikelihoods"), float),
            digest=_expect(record.get("digest"), str | None),
            text=_expect(record.get("text"), str | None),
            draws=_read_numbers(record.get("draws"), _finite),
        )
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise PredictionsError(
            f"is not a prediction ({type(error).__name__}: {error})",
            where=where,
            hint="the file is damaged or was edited: record the predictions again",
        ) from error


def _expect(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {getattr(kind, '__name__', kind)}, found {value!r}")
    return value


def _read_numbers(values: Any, read: Callable[[Any], float]) -> tuple[float, ...] | None:
    return None if values is None else tuple(map(read, _expect(values, list)))


def _finite(value: Any) -> float:
    number = float(_expect(value, int | float))
    if not math.isfinite(number):
        raise ValueError(f"score {number}")
    return number
