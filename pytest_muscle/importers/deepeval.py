"""`deepeval:` — test runs of DeepEval, which `results_folder` of its display settings keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_muscle.digests import digest_json
from pytest_muscle.errors import PredictionsError
from pytest_muscle.importers.records import (
    Record,
    choose,
    field,
    judged,
    make_table,
    read_document,
)
from pytest_muscle.predictions.prediction import Predictions
from pytest_muscle.tasks.example import Example

TOOL = "DeepEval"


def read_log(
    path: Path, *, metric: str | None = None, by: str = "success", id: str = "name"
) -> Predictions:
    """Return the predictions of a file `test_run_DATE.json`, or of the newest one in a folder.

    Examples may be sliced by the test cases' metadata.

    Args:
        path: The file or the folder.
        metric: Which metric judges; needed where there are several.
        by: `success`: whether the score is at the metric's threshold; `score`: the score itself.
        id: What names a test case: its `name`, or its `input` where all have one name, as the
            cases of one pytest function have.

    Raises:
        PredictionsError: If it is no such file, a metric failed to judge, or several metrics could
            be meant; it lists them.
    """
    file = _newest(path) if path.is_dir() else path
    name = file.name
    cases = field(read_document(file, TOOL), "testCases", name, TOOL)
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise PredictionsError("its testCases are no list of objects", where=name)
    if id not in ("name", "input"):
        raise PredictionsError(f"id is {id!r}", where=name, hint="write id=name or id=input")
    known = [data.get("name") for case in cases for data in _metrics(case)]
    chosen = choose(metric, map(str, known), option="metric", what="metric", where=name)
    success = judged(by, where=name)
    records = _records(cases, chosen, success=success, id_=id, name=name)
    return make_table(records, source=name, facts={"metric": chosen, "by": by})


def _newest(folder: Path) -> Path:
    found = sorted(folder.glob("test_run_*.json"))
    if not found:
        raise PredictionsError(
            "holds no test_run_*.json", where=str(folder), hint="give evaluate() a results_folder"
        )
    return found[-1]


def _metrics(case: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return case.get("metricsData") or ()


def _records(
    cases: Sequence[Mapping[str, Any]], metric: str, *, success: bool, id_: str, name: str
) -> Iterator[Record]:
    for position, case in enumerate(cases):
        where = f"{name}: test case {position}"
        asked, gold = field(case, "input", where, TOOL), case.get("expectedOutput")
        answer = case.get("actualOutput")
        data = next((data for data in _metrics(case) if data.get("name") == metric), {})
        value = data.get("success" if success else "score")
        if value is None:
            raise PredictionsError(
                f"has no judgement by {metric}",
                where=where,
                hint=str(data.get("error") or "let each metric judge each test case"),
            )
        yield Record(
            where=where,
            example=Example(
                str(field(case, id_, where, TOOL)), asked, (), gold, case.get("metadata") or {}
            ),
            answer=answer,
            score=value,
            digest=digest_json(["deepeval", asked, gold, case.get("context")]),
            text=answer,
        )
