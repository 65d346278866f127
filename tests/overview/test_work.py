"""Tokens are counted as the engine runs them: held against what a model is really given."""

from __future__ import annotations

import pytest
import torch

from pytest_muscle import ModelUpdate, read_settings
from pytest_muscle.models.parts import NetworkParts
from pytest_muscle.overview.work import answering_work, sample, training_work
from tests.conftest import write_tiny_project


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Positions that decoders ran: with gradients and without."""
    counts = {"training": 0, "forward": 0, "steps": 0}
    states = NetworkParts.states

    def counted(self: NetworkParts, **inputs: torch.Tensor) -> object:
        counts["training" if torch.is_grad_enabled() else "forward"] += inputs["input_ids"].numel()
        counts["steps"] += torch.is_grad_enabled()
        return states(self, **inputs)

    monkeypatch.setattr(NetworkParts, "states", counted)
    return counts


@pytest.fixture
def update(tmp_path, tiny_models) -> ModelUpdate:
    write_tiny_project(tmp_path, tiny_models)
    return ModelUpdate(read_settings(tmp_path / "muscle.toml", invocation_dir=tmp_path))


@pytest.mark.parametrize("start", ["", "You are asked for a colour. Answer with one word. " * 3])
def test_scoring(update, run, start):
    task = update.task("colours")
    object.__setattr__(task.settings, "prompt", start + task.settings.prompt)
    base = update.base("old")
    _ = base.engine  # its probe is no part of the work
    run["forward"] = 0
    from pytest_muscle.models.answering import request

    base_model = update.model("old")
    base_model.loglikelihoods([request(task, example) for example in task.eval])

    work = answering_work(task, list(task.eval), base.tokenizer, "cpu")
    # The prefix runs once, and batches have a little padding.
    assert work.tokens <= run["forward"] <= 1.35 * work.tokens
    assert 40 <= work.projected < work.tokens


def test_training(update, run):
    task, recipe = update.task("colours"), update.settings.adapter
    tokenizer = update.base("old").tokenizer
    update.task_adapter("old", "colours")

    work = training_work(task, list(task.train), len(task.train), tokenizer, recipe, None, "cpu")
    assert work.kept == 48
    assert run["training"] == pytest.approx(work.learnt.tokens, rel=0.2)
    assert work.learnt.passes == pytest.approx(run["steps"], rel=0.1)


def test_a_sample_is_from_all_over_the_data(update):
    task = update.task("colours")
    some = sample(task.eval, len(task.eval), most=8)
    assert [example.id for example in some] == [task.eval[n].id for n in range(0, 40, 5)]
