"""How long work takes: by its operations, but on a device not faster than it can be told."""

from __future__ import annotations

import pytest

from pytest_muscle.models import ModelSpec
from pytest_muscle.models.placement import Placement
from pytest_muscle.overview.estimate import Estimator
from pytest_muscle.overview.models import ModelFacts
from pytest_muscle.overview.speed import LAUNCHING, UTILISATION
from pytest_muscle.overview.work import Work

SPEED = 1e12


class Config:
    hidden_size = intermediate_size = 64
    num_hidden_layers = 30


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pytest_muscle.overview.estimate.probe", lambda *_: SPEED)

    def find(device: str, work: Work, operations: float, measured: float | None = None) -> float:
        spec = ModelSpec(name="model", kind="hub")
        facts = ModelFacts(spec, Config(), placement=Placement(device, "bfloat16"))
        return Estimator(None, {})._seconds("training", work, facts, operations, measured)

    return find


def test_many_operations_take_their_time_on_every_device(seconds):
    work = Work(tokens=1000, at_once=100)
    long = 1e14
    expected = long / SPEED / UTILISATION["training"]
    assert seconds("cpu", work, long) == seconds("cuda", work, long) == pytest.approx(expected)


def test_a_device_is_not_faster_than_it_is_told_what_to_do(seconds):
    work = Work(tokens=1000, at_once=100)
    told = 10 * 30 * LAUNCHING["training"]
    assert seconds("cuda", work, 1.0) == pytest.approx(told)
    assert seconds("cpu", work, 1.0) < 1e-9
    assert seconds("cuda", work, 1.0, measured=2.0) == pytest.approx(told / 2)
    written = work._replace(written=500, abreast=5)
    assert seconds("cuda", written, 1.0) == pytest.approx((5 + 100) * 30 * LAUNCHING["training"])
