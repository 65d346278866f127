"""What makes an adapter; that each key of a recipe counts is tested where adapters are made."""

from __future__ import annotations

import sys

import pytest

from pytest_muscle.settings import CompatSettings, RecipeSettings
from pytest_muscle.training.keys import compat_key, task_key

MODEL = {"base": {"files": "aa"}, "adapter": {"files": "bb"}}


def test_a_key_names_task_and_role(colour_task):
    task = colour_task()

    assert task_key(task, {"files": "aa"}, RecipeSettings(), "old").name.startswith("colours-old-")
    assert compat_key(task, MODEL, MODEL, CompatSettings()).name.startswith("colours-compat-")


@pytest.mark.parametrize("part", ["base", "adapter"])
@pytest.mark.parametrize("side", [0, 1])
def test_both_models_and_both_adapters_make_the_compat_adapter(colour_task, part, side):
    task = colour_task()
    models = [MODEL, MODEL]
    before = compat_key(task, *models, CompatSettings()).fingerprint

    models[side] = MODEL | {part: {"files": "cc"}}

    assert compat_key(task, *models, CompatSettings()).fingerprint != before


def test_the_source_of_a_strategy_of_the_user_s_counts(colour_task, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = CompatSettings(strategy="their_strategy:loss")
    prints = []
    for body in ("return 0", "return 1"):
        (tmp_path / "their_strategy.py").write_text(f"def loss(*arguments): {body}\n")
        sys.modules.pop("their_strategy", None)
        prints.append(compat_key(colour_task(), MODEL, MODEL, recipe).fingerprint)

    assert prints[0] != prints[1]
