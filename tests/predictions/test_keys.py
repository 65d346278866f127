"""Everything that determines a model's answers is part of the key of its predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_muscle.predictions import keys
from pytest_muscle.predictions.keys import PredictionKey, prediction_key
from pytest_muscle.predictions.question import Question

MODEL = {"base": {"files": "aa"}, "adapter": {"files": "bb"}}


@pytest.fixture
def key_of(colour_task):
    """A function that returns the key of a task's predictions; it takes the task's keys too."""

    def make(
        side: str = "new",
        model: dict[str, Any] = MODEL,
        device: str = "cpu",
        dtype: str = "float32",
        **settings: Any,
    ) -> PredictionKey | None:
        task = colour_task(**settings)
        return prediction_key(Question(task), side, model, device=device, dtype=dtype)

    return make


def test_the_same_is_the_same(key_of):
    assert key_of().fingerprint == key_of().fingerprint
    assert key_of().name == f"colours-new-{key_of().fingerprint[:16]}"


@pytest.mark.parametrize(
    "changed",
    [
        {"model": MODEL | {"base": {"files": "cc"}}},
        {"model": MODEL | {"adapter": {"files": "cc"}}},
        {"model": MODEL | {"adapter": None}},
        {"device": "cuda"},
        {"dtype": "bfloat16"},
        {"seed": 4},  # other data
        {"prompt": "{{ question }}"},
        {"metric": "acc_norm"},
        {"delimiter": "\n"},
        {"kind": "classification", "choices": ("red", "blue"), "gold": "{{ 0 }}"},
    ],
)
def test_what_determines_the_answers_counts(key_of, changed):
    assert key_of(**changed).fingerprint != key_of().fingerprint


def test_a_build_that_varies_what_no_other_part_says_has_a_key_of_its_own(colour_task):
    question = Question(colour_task())
    keys = [
        prediction_key(question, "new", MODEL, device="cpu", dtype="float32", variation=variation)
        for variation in (None, {}, {"batch_tokens": 1}, {"batch_tokens": 2})
    ]
    assert len({key.fingerprint for key in keys}) == 3
    assert keys[0].fingerprint == keys[1].fingerprint
    assert "variation" not in keys[0].made_of


@pytest.mark.parametrize("changed", [{"examples": 19}, {"slices": ("place",)}, {"side": "old"}])
def test_what_does_not_determine_the_answers_does_not_count(key_of, changed):
    assert key_of(**changed).fingerprint == key_of().fingerprint


@pytest.mark.parametrize("library", ["torch", "transformers", "tokenizers", "peft"])
def test_versions_of_libraries_count(key_of, monkeypatch, library):
    before = key_of()
    assert before.made_of["libraries"][library][0].isdigit()

    monkeypatch.setattr(
        keys, "library_versions", lambda *names: before.made_of["libraries"] | {library: "99"}
    )

    assert key_of().fingerprint != before.fingerprint


def test_our_own_version_of_scoring_counts(key_of, monkeypatch):
    before = key_of()

    monkeypatch.setattr(keys, "SCORING_VERSION", keys.SCORING_VERSION + 1)

    assert key_of().fingerprint != before.fingerprint


def test_the_source_of_a_metric_of_the_user_s_counts(key_of, tmp_path: Path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "their_key_metric.py"
    path.write_text("def first(loglikelihoods, options): return 0\n")
    before = key_of(metric="their_key_metric:first")

    path.write_text("def first(loglikelihoods, options): return 1\n")

    after = key_of(metric="their_key_metric:first")
    assert after.fingerprint != before.fingerprint
    assert after.made_of["metric"]["name"] == "their_key_metric:first"


def test_a_metric_whose_source_is_out_of_sight_has_no_key(key_of):
    assert key_of(metric="builtins:max") is None
