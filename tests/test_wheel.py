"""What is installed has all that reports are made from."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_a_wheel_has_templates_and_schema(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds wheels")
    (built,) = wheel.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(built).namelist())
    kept = {".css", ".j2", ".js", ".json", ".py", ".typed"}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pytest_muscle").rglob("*")
        if path.suffix in kept or path.name == "py.typed"
    }
    assert {
        "pytest_muscle/py.typed",
        "pytest_muscle/reports/schema.json",
        "pytest_muscle/reports/templates/report.html.j2",
    } <= expected
    assert expected <= names
