"""The Trainer never holds the logits of all tokens at once."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pytest_muscle.models.memory import CHUNK_LOGITS
from pytest_muscle.models.parts import network_parts
from pytest_muscle.training import divergence
from pytest_muscle.training.packing import PackTrees
from pytest_muscle.training.trainer import AdapterTrainer, CompatTrainer
from tests.training.student import make_trainer, numbered


class Sizes(TorchDispatchMode):
    """Keeps the largest tensor that any operation makes, views aside."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> object:
        result = func(*args, **(kwargs or {}))
        known = {
            tensor.untyped_storage().data_ptr()
            for tensor in tree_leaves((args, kwargs))
            if isinstance(tensor, torch.Tensor)
        }
        for tensor in tree_leaves(result):
            fresh = isinstance(tensor, torch.Tensor) and (
                tensor.untyped_storage().data_ptr() not in known
            )
            if fresh:
                self.largest = max(self.largest, tensor.numel())
        return result


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("kind", [CompatTrainer, AdapterTrainer])
def test_logits_of_all_tokens_never_exist_at_once(models, tmp_path, monkeypatch, kind, trees):
    vocabulary = network_parts(models.new).vocabulary
    monkeypatch.setitem(CHUNK_LOGITS, "cpu", 4 * vocabulary)
    monkeypatch.setattr(divergence, "BLOCK", vocabulary)
    trainer = make_trainer(models, tmp_path, kind=kind, trees=trees)
    packed = PackTrees(trees)(numbered())
    tokens = len(packed["labels"])
    assert tokens > 20

    models.new.train()
    with Sizes() as training:
        trainer.compute_loss(models.new, packed).backward()
    models.new.eval()
    with Sizes() as evaluation, torch.no_grad():
        trainer.compute_loss(models.new, packed)

    # The largest are weights and attention, and four tokens' logits.
    for sizes in (training, evaluation):
        assert 4 * vocabulary <= sizes.largest < tokens * vocabulary / 2


def test_logits_of_all_tokens_are_seen_where_they_exist(models):
    """The measure of the test above measures."""
    with Sizes() as sizes, torch.no_grad():
        models.new(torch.tensor([[5] * 30]))

    assert sizes.largest == 30 * network_parts(models.new).vocabulary
