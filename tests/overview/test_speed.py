"""What earlier trainings say of this machine's speed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_muscle.models.placement import Placement
from pytest_muscle.overview.speed import find_past, probe

BASE = {"files": "0" * 64}
HERE = Placement("cpu", "float32")
FACTS = {
    "made_of": {"base": BASE, "recipe": {"batch_size": 8, "gradient_accumulation": 2}},
    "examples": {"train": 100, "validation": 20},
    "steps": 14,
    "epochs": 2.0,
    "seconds": 50.0,
    "device": "cpu",
    "dtype": "float32",
}


def store(directory: Path, name: str, **changes: object) -> None:
    (directory / name).mkdir(parents=True)
    (directory / name / "muscle.json").write_text(json.dumps(FACTS | changes))


def test_it_is_the_longest_training_of_that_model_here(tmp_path):
    store(tmp_path, "colours-old-0123456789abcdef")
    store(tmp_path, "colours-old-1123456789abcdef", seconds=60)
    store(tmp_path, "colours-old-2123456789abcdef", seconds=70, device="cuda:0")
    store(tmp_path, "colours-old-3123456789abcdef", seconds=70, dtype="bfloat16")
    store(tmp_path, "colours-new-4123456789abcdef", seconds=70)
    store(tmp_path, "places-old-4123456789abcdef", seconds=70)
    past = find_past(tmp_path, "colours", "old", BASE, HERE)
    assert past == ("colours-old-1123456789abcdef", 200, 40, 60)
    assert find_past(tmp_path, "colours", "old", {"files": "1" * 64}, HERE) is None


@pytest.mark.parametrize(
    "changes", [{"seconds": "long"}, {"steps": None}, {"made_of": []}, {"examples": 3}]
)
def test_damaged_facts_are_passed_over(tmp_path, changes):
    store(tmp_path, "colours-old-0123456789abcdef", **changes)
    assert find_past(tmp_path, "colours", "old", BASE, HERE) is None


def test_the_probe_is_a_speed():
    assert 1e6 < probe("cpu", "float32", 64, 32, 64) < 1e16
