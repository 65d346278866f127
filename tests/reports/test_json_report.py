"""report.json is what its schema says."""

from __future__ import annotations

import dataclasses
import json
import math
from importlib.resources import files
from typing import Any

import pytest

from pytest_muscle.reports.data import VERSION, FlippedExample, TaskReport
from pytest_muscle.reports.json_report import render_json, render_line

SCHEMA = json.loads((files("pytest_muscle.reports") / "schema.json").read_text(encoding="utf-8"))
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def check(value: Any, schema: dict[str, Any], where: str = "$") -> None:
    """Hold a value against what of JSON Schema the shipped one uses; no field is undocumented."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if "const" in schema:
        assert value == schema["const"], where
    if "enum" in schema:
        assert value in schema["enum"], where
    if "type" in schema:
        names = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        fits = any(isinstance(value, TYPES[name]) for name in names)
        assert fits, (where, value)
        assert isinstance(value, bool) <= ("boolean" in names), (where, value)
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= value.keys(), where
        for name, inner in value.items():
            known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            assert known, f"{where}.{name} is not documented"
            check(inner, known, f"{where}.{name}")
    if isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf)
        for number, inner in enumerate(value):
            check(inner, schema["items"], f"{where}[{number}]")
    if isinstance(value, int | float) and "minimum" in schema:
        assert schema["minimum"] <= value <= schema.get("maximum", math.inf), where


def valid(text: str) -> dict[str, Any]:
    """Return a report that keeps to its schema, by our check and, if it is there, by jsonschema."""
    report: dict[str, Any] = json.loads(text)
    check(report, SCHEMA)
    try:
        import jsonschema
    except ImportError:
        return report
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(report, SCHEMA)
    return report


def test_a_run_keeps_to_the_schema(make_run):
    report = valid(render_json(make_run()))
    assert report["version"] == VERSION == 1
    assert (report["verdict"], report["interrupted"], report["new"]) == (
        "failed",
        False,
        "org/name@abc",
    )
    (task,) = report["tasks"]
    assert (task["n"], task["old_accuracy"], task["nfr"], task["pfr"]) == (6, 0.5, 1 / 6, 1 / 6)
    assert (task["compat_nfr"], task["nfr_change"]) == (2 / 6, 1.0)
    assert [group["column"] for group in task["slices"]] == ["kind", "kind"]
    assert [flip["id"] for flip in task["flips"]] == ["e1", "e2", "e4"]
    assert task["flips"][2]["to_new"] == "positive"
    assert "to_compat" not in task["flips"][2]
    assert task["failed"][0]["line"] is None


def test_every_field_of_the_structure_is_written(make_run):
    run = make_run()
    report = json.loads(render_json(run))
    fields = {field.name for field in dataclasses.fields(run)}
    assert fields <= report.keys()
    of_summary = {field.name for field in dataclasses.fields(run.tasks[0].summary)}
    assert of_summary - {"task", "verdict"} <= report["tasks"][0].keys()
    assert {field.name for field in dataclasses.fields(FlippedExample)} == set(
        SCHEMA["$defs"]["flip"]["properties"]
    )


@pytest.mark.parametrize("status", [0, 2])
def test_a_run_of_nothing_keeps_to_the_schema(make_run, status):
    run = make_run(TaskReport(name="support"), exit_status=status, old=None)
    report = valid(render_json(run))
    assert (report["verdict"], report["interrupted"]) == ("none", status == 2)
    assert report["tasks"][0]["flips"] == []


def test_what_is_not_finite_is_null_and_what_is_no_text_is_written(make_run):
    run = make_run()
    (task,) = run.tasks
    summary = dataclasses.replace(task.summary, mean_gain=math.nan, found=("\ud800",))
    report = valid(render_json(make_run(dataclasses.replace(task, summary=summary))))
    assert report["tasks"][0]["mean_gain"] is None
    assert report["tasks"][0]["found"] == ["\\ud800"]


def test_a_line_has_the_figures_and_no_examples(make_run):
    run = make_run()
    line = render_line(run)
    assert line.count("\n") == 1
    read, whole = json.loads(line), json.loads(render_json(run))
    (task,), (of_whole,) = read.pop("tasks"), whole.pop("tasks")
    assert (whole.pop("history"), whole.pop("history_skipped")) == ([], 0)
    assert read == whole
    left_out = {"slices", "compat_slices", "found", "models", "margins", "training", "flips"}
    assert of_whole.keys() - task.keys() == left_out
    assert task.pop("failed") == 1
    assert task == {name: value for name, value in of_whole.items() if name in task}
