"""Tasks of kind "predictions": what their logs give, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_muscle import ModelUpdate, Predictions, read_settings
from pytest_muscle.errors import ConfigurationError, MuscleError

LOGS = Path(__file__).parent / "importers" / "files" / "lm_eval"

TEXT = f"""
[old]
predictions = "lm-eval:{LOGS}/v1?task={{task}}&metric=acc"

[new]
predictions = "lm-eval:{LOGS}/v2?task={{task}}&metric=acc"

[tasks.colours]
kind = "predictions"
slices = ["place"]
"""


@pytest.fixture
def update(tmp_path):
    def make(text: str, **settings: object) -> ModelUpdate:
        (tmp_path / "muscle.toml").write_text(text, encoding="utf-8")
        read = read_settings(tmp_path / "muscle.toml", invocation_dir=tmp_path)
        made = ModelUpdate(replace(read, **settings))
        made.check()
        return made

    return make


def test_a_task_may_name_logs_by_its_own_name(update):
    head = f'kind = "predictions"\nold_predictions = "lm-eval:{LOGS}/v1?task={{task}}&metric=acc"'
    made = update(TEXT.replace('kind = "predictions"', head))
    assert (
        made.predictions("old", "colours").rows == update(TEXT).predictions("old", "colours").rows
    )


def test_what_is_wrong_with_a_log_is_said_with_whose_it_is(update, tmp_path):
    (tmp_path / "v2.csv").write_text("id\n1\n")
    made = update(TEXT.replace(f"lm-eval:{LOGS}/v2?task={{task}}&metric=acc", "csv:v2.csv"))
    with pytest.raises(MuscleError, match=r"muscle.toml: new.predictions: v2.csv"):
        made.predictions("new", "colours")


def test_tables_are_those_of_the_logs(update):
    made = update(TEXT)
    for side, version in (("old", "v1"), ("new", "v2")):
        table = made.predictions(side, "colours")
        log = Predictions.load(f"lm-eval:{LOGS}/{version}?task=colours&metric=acc")
        assert table.rows == log.rows
        assert (table.task, table.slices) == ("colours", ("place",))
    assert made.flip_report("colours").n == 24


def test_fewer_examples(update):
    made = update(TEXT, limit=3)
    for side in ("old", "new"):
        ids = [row.id for row in made.predictions(side, "colours")]
        assert ids == ["colours/0", "colours/1", "colours/2"]


def test_saved_tables_are_compared_too(update, tmp_path):
    Predictions.from_lists(["a", "b"], [1, 1], [1, 1]).save(tmp_path / "v1.jsonl")
    Predictions.from_lists(["b", "a"], [1, 0], [1, 1]).save(tmp_path / "v2.jsonl")
    made = update(
        '[tasks.a]\nkind = "predictions"\nold_predictions = "v1.jsonl"\n'
        'new_predictions = "v2.jsonl"\n'
    )
    assert made.flip_report("a").negative_flips == ("a",)
    (plan,) = made.plan()
    assert plan.n == 2


def test_tolerance_of_graded_scores(update, tmp_path):
    (tmp_path / "v1.csv").write_text("id,score\na,0.9\nb,0.5\n")
    (tmp_path / "v2.csv").write_text("id,score\na,0.85\nb,0.2\n")
    made = update(
        '[tasks.a]\nkind = "predictions"\nold_predictions = "csv:v1.csv"\n'
        'new_predictions = "csv:v2.csv"\ntolerance = 0.1\n'
    )
    assert made.flip_report("a").negative_flips == ("b",)


def test_gates_of_slices_are_planned(update):
    (plan,) = update(TEXT + "gate = { max_nfr = 0.1, max_slice_nfr = 0.5 }\n").plan()
    places = [row["place"] for row in _docs()]
    assert plan.n == len(places) == 24
    smallest = min((places.count(place), place) for place in places)
    assert plan.limits[1].smallest == ("place", smallest[1])
    assert plan.limits[1].slices == len(set(places))


def _docs() -> list[dict[str, object]]:
    (file,) = (LOGS / "v1").glob("samples_colours_*")
    return [json.loads(line)["doc"] for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "ask",
    [
        lambda update: update.predictions("compat", "colours"),
        lambda update: update.answers("old", "colours"),
        lambda update: update.task_model("new", "colours"),
        lambda update: update.task_adapter("new", "colours"),
        lambda update: update.compat_adapter("colours"),
        lambda update: update.task("colours").digest,
    ],
)
def test_what_needs_a_model_or_data_is_refused(update, ask):
    with pytest.raises(ConfigurationError) as caught:
        ask(update(TEXT))
    assert caught.value.where == "muscle.toml: tasks.colours"


@pytest.mark.parametrize(
    ("change", "where", "problem"),
    [
        (("lm-eval:", "lmeval:"), "old.predictions", "there is no importer 'lmeval'"),
        (("/v1?", "/v3?"), "old.predictions", "no such file or directory"),
        (("&metric", "&metrik"), "old.predictions", "lm-eval has no option 'metrik'"),
        (('"place"', '"plaice"'), "tasks.colours.slices", "says nothing of 'plaice'"),
        (("&metric=acc", ""), None, "several metrics could be meant: acc, acc_norm"),
    ],
)
def test_mistakes_name_the_key(update, change, where, problem):
    with pytest.raises(MuscleError) as caught:
        update(TEXT.replace(*change)).flip_report("colours")
    assert problem in caught.value.problem
    assert where is None or caught.value.where == f"muscle.toml: {where}"
