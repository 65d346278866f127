"""`promptfoo:` — results of promptfoo, written with `promptfoo eval --output results.json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pytest_muscle.digests import digest_json
from pytest_muscle.errors import PredictionsError
from pytest_muscle.importers.records import (
    Record,
    choose,
    field,
    judged,
    make_table,
    number,
    read_document,
)
from pytest_muscle.predictions.prediction import Predictions
from pytest_muscle.tasks.example import Example

TOOL = "promptfoo"
_NOT_ASKED = frozenset({"sessionId"})
"""Variables that promptfoo itself sets, another value at each call."""
_ERROR = 2
"""The `failureReason` of a test that was not judged."""


def read_log(
    path: Path,
    *,
    provider: str | None = None,
    prompt: str | None = None,
    metric: str | None = None,
    by: str = "success",
    id: str | None = None,
) -> Predictions:
    """Return the predictions of a results file.

    Tests of the same variables and assertions, as `--repeat` makes them, become draws: the score
    is their mean, and scores are graded. Examples may be sliced by the tests' variables.

    Args:
        path: The file.
        provider: Label or id of the provider; needed where there are several.
        prompt: Label of the prompt; needed where there are several.
        metric: A named metric of the assertions, whose score judges; left out: all assertions.
        by: `success`: whether the test passes; `score`: its score.
        id: Variable that names a test; left out: `id` if all tests have one, else the test's
            content, as a digest.

    Raises:
        PredictionsError: If it is no such file, a provider failed, or several providers or prompts
            could be meant; it lists them.
    """
    name = path.name
    outer = field(read_document(path, TOOL), "results", name, TOOL)
    rows = outer.get("results") if isinstance(outer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise PredictionsError("its results are no list of objects", where=name)
    success = judged(by, where=name)
    key = "label"
    if provider is not None and provider not in {_provider(row, key) for row in rows}:
        key = "id"
    known = (_provider(row, key) for row in rows)
    answering = choose(provider, known, option="provider", what="provider", where=name)
    rows = [row for row in rows if _provider(row, key) == answering]
    asked = choose(prompt, map(_prompt, rows), option="prompt", what="prompt", where=name)
    rows = [row for row in rows if _prompt(row) == asked]
    if id is None and all("id" in row.get("vars", ()) for row in rows):
        id = "id"
    records = _records(rows, name, id_=id, metric=metric, success=success)
    facts = {"metric": metric, "by": "score" if metric else by}
    return make_table(records, source=name, model=answering, facts=facts)


def _provider(row: Mapping[str, Any], key: str) -> str:
    provider = row.get("provider") or {}
    if isinstance(provider, str):
        return provider
    return str(provider.get(key) or provider.get("id"))


def _prompt(row: Mapping[str, Any]) -> str:
    return str((row.get("prompt") or {}).get("label"))


def _records(
    rows: Sequence[Mapping[str, Any]],
    name: str,
    *,
    id_: str | None,
    metric: str | None,
    success: bool,
) -> Iterator[Record]:
    """Yield a record for each test, its repetitions put together."""
    tests: dict[str, list[tuple[Mapping[str, Any], str]]] = {}
    for position, row in enumerate(rows):
        where = f"{name}: test {row.get('testIdx', position)}"
        asked = field(row, "vars", where, TOOL)
        content = {key: asked[key] for key in asked if key not in _NOT_ASKED}
        digest = digest_json(["promptfoo", content, (row.get("testCase") or {}).get("assert")])
        tests.setdefault(digest, []).append((row, where))
    for digest, drawn in tests.items():
        first, where = drawn[0]
        fields = first["vars"]
        if id_ is not None and id_ not in fields:
            raise PredictionsError(
                f"has no variable {id_!r}", where=where, hint=f"variables: {', '.join(fields)}"
            )
        scores = [_score(row, metric, place, success=success) for row, place in drawn]
        answers = [_text(row) for row, _ in drawn]
        shown = answers.index(Counter(answers).most_common(1)[0][0])
        yield Record(
            where=where,
            example=Example(
                digest if id_ is None else str(fields[id_]),
                str((first.get("prompt") or {}).get("raw", "")),
                (),
                _gold(first),
                fields,
            ),
            answer=answers[shown],
            score=fmean(scores),
            digest=digest,
            text=answers[shown],
            draws=tuple(scores) if len(scores) > 1 else None,
        )


def _score(row: Mapping[str, Any], metric: str | None, where: str, *, success: bool) -> float:
    if row.get("failureReason") == _ERROR:
        raise PredictionsError(
            f"was not judged: {str(row.get('error')).splitlines()[0]}",
            where=where,
            hint="run it again: promptfoo retry",
        )
    if metric is None:
        return number(field(row, "success" if success else "score", where, TOOL), where)
    named = row.get("namedScores") or {}
    return number(named[choose(metric, named, option="metric", what="metric", where=where)], where)


def _gold(row: Mapping[str, Any]) -> Any:
    """Return what the answer is held against, where there is one assertion and it says that."""
    assertions = (row.get("testCase") or {}).get("assert") or ()
    values = [one.get("value") for one in assertions if isinstance(one, Mapping)]
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None


def _text(row: Mapping[str, Any]) -> str | None:
    output = (row.get("response") or {}).get("output")
    return output if output is None or isinstance(output, str) else str(output)
