"""How adapters were trained, from facts that may be missing or damaged."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_muscle.reports.curves import (
    Training,
    TrainingPoint,
    ValidationPoint,
    chart_training,
    describe_unknown,
    read_training,
    tabulate_training,
)
from pytest_muscle.training.store import Adapter

FACTS = {
    "steps": 40,
    "epochs": 10.0,
    "best_step": 8,
    "curve": [
        {"step": 1, "loss": 0.9, "masked": 0.5},
        {"step": 40, "loss": 0.2, "masked": 0.25},
    ],
    # as JSON sorts keys of texts
    "validation_cross_entropy": {"1": 0.8, "10": 0.7, "2": 0.6},
}


def read(facts: dict[str, Any], origin: str = "stored") -> Training:
    return read_training(Adapter(Path("a"), origin, None, facts))


def test_facts_are_read_by_step():
    training = read(FACTS)
    assert training == Training(
        origin="stored",
        steps=40,
        epochs=10,
        best_step=8,
        curve=(TrainingPoint(1, 0.9, 0.5), TrainingPoint(40, 0.2, 0.25)),
        validation=(ValidationPoint(4, 0.8), ValidationPoint(8, 0.6), ValidationPoint(40, 0.7)),
    )
    assert Training.from_json(json.loads(json.dumps(dataclasses.asdict(training)))) == training


def test_a_given_adapter_and_one_of_an_older_version_have_no_curve():
    assert "was given" in describe_unknown("compat", read({}, "given"))
    assert "kept no record" in describe_unknown("new", read({"steps": 8, "seconds": 3.0}))
    assert describe_unknown("new", read(FACTS)) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"steps": "many"},
        {"steps": None},
        {"curve": "none", "validation_cross_entropy": []},
        {"curve": [None, [], {"step": "x", "loss": 1}], "validation_cross_entropy": {"x": 1}},
        {"curve": [{"step": 1, "loss": float("nan")}], "validation_cross_entropy": {"1": None}},
        {"curve": [{"step": 10**400, "loss": 1}], "validation_cross_entropy": {"1": 10**400}},
    ],
)
def test_damaged_facts_are_not_known(damage):
    training = read({**FACTS, **damage})
    assert (training.curve, training.validation) == ((), ())
    assert describe_unknown("old", training)


def test_the_losses_of_a_task_adapter_share_a_scale_and_those_of_compat_do_not():
    charts = {side: chart_training(side, read(FACTS), "c") for side in ("new", "compat")}
    assert [len(panel.lines) for panel in charts["new"].panels] == [2, 1]
    assert [len(panel.lines) for panel in charts["compat"].panels] == [1, 1, 1]
    assert charts["compat"].panels[2].lines[0].ys == (50, 25)
    assert charts["compat"].note == "40 steps, 10 epochs; the weights of step 8 were kept"
    assert (charts["new"].name, charts["new"].marked) == ("c-new", 8)


def test_the_table_has_every_number_by_step():
    table = tabulate_training(read(FACTS))
    assert table.columns == ["step", "loss", "validation cross-entropy", "masked"]
    assert table.rows == [
        ["1", "0.9000", "", "50.0 %"],
        ["4", "", "0.8000", ""],
        ["8", "", "0.6000", ""],
        ["40", "0.2000", "0.7000", "25.0 %"],
    ]
    plain = read({**FACTS, "curve": [{"step": 3, "loss": 1}], "validation_cross_entropy": {}})
    assert tabulate_training(plain).columns == ["step", "loss"]
