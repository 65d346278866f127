"""Where a model was stopped, in words and on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_muscle.errors import PredictionsError
from pytest_muscle.predictions import Predictions
from pytest_muscle.predictions.stop import Stop

STOP = Stop(
    decision="passes",
    why="3 of 180 examples asked flip: …",
    asked=180,
    flips=3,
    can_flip=1240,
    population=2000,
    limit=0.05,
    confidence=0.95,
    interval="wilson",
    surety=0.95,
)


def test_in_words():
    said = "decided after 180 of 1,240 that can flip (of 2,000): passes"
    assert STOP.describe() == f"{said} at 95 % confidence"
    assert replace(STOP, surety=None).describe() == said
    assert STOP.describe_gate() == "max_rate=0.05, confidence=0.95, interval='wilson'"
    assert replace(STOP, confidence=None).describe_gate() == "max_rate=0.05"


def test_it_judges_its_own_gate_alone():
    assert STOP.judges(0.05, 0.95, "wilson")
    assert not STOP.judges(0.05, 0.95, "exact")
    assert not STOP.judges(0.05, None, "wilson")
    assert not STOP.judges(0.06, 0.95, "wilson")
    assert replace(STOP, confidence=None).judges(0.05, None, "exact")


def test_a_table_is_read_back_with_it(tmp_path: Path):
    stop = replace(STOP, asked=1, flips=0, can_flip=2, population=3, surety=None)
    table = Predictions.from_lists(["a"], [1], [1], task="t")
    table = replace(table, unasked=("b", "c"), stop=stop)
    table.save(tmp_path / "t.jsonl")
    assert Predictions.load(tmp_path / "t.jsonl") == table
    assert Predictions.load(tmp_path / "t.jsonl").stop == stop
    whole = Predictions.from_lists(["a"], [1], [1], task="t")
    whole.save(tmp_path / "whole.jsonl")
    assert "stop" not in json.loads((tmp_path / "whole.jsonl.manifest.json").read_text())


@pytest.mark.parametrize(
    "broken",
    [
        {"decision": "maybe"},
        {"asked": 2000},
        {"flips": -1},
        {"asked": "180"},
        {"limit": None},
        {"surety": "high"},
        {"more": 1},
        {"why": None},
    ],
)
def test_something_else_is_refused(broken: dict[str, object]):
    assert Stop.from_json(STOP.to_json(), where="t") == STOP
    for values in (STOP.to_json() | broken, [broken], "passes"):
        with pytest.raises(PredictionsError, match="does not say where the model was stopped"):
            Stop.from_json(values, where="t")
