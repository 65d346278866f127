"""Tiny models to train and to learn from, and what training needs beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from pytest_muscle.digests import FileDigests
from pytest_muscle.models import LanguageModel
from pytest_muscle.progress import SILENT
from pytest_muscle.training.adapters import AdapterShop
from pytest_muscle.training.store import AdapterStore
from pytest_muscle.training.teachers import number_places
from tests.training.student import Models, put_on
from tests.training.teaching import SEQUENCES


@pytest.fixture(scope="module")
def directories(make_tiny_pair, make_tiny_adapter, tmp_path_factory):
    """The models `old` and `new`, each with its adapter, and another adapter for `new`."""
    path = make_tiny_pair(tmp_path_factory.mktemp("models"))
    make_tiny_adapter(path / "new", path / "student", 7)
    return path


@pytest.fixture
def models(directories) -> Models:
    """A student that has moved away from the new task model already."""
    old = AutoModelForCausalLM.from_pretrained(directories / "old")
    new = AutoModelForCausalLM.from_pretrained(directories / "new")
    return Models(
        old=PeftModel.from_pretrained(old, directories / "old-adapter").eval(),
        new=put_on(new, directories / "new-adapter", directories / "student"),
    )


@pytest.fixture
def old(directories, base_of):
    return LanguageModel(base_of(directories / "old"), directories / "old-adapter")


@pytest.fixture
def new(directories, base_of):
    return LanguageModel(base_of(directories / "new"), directories / "new-adapter")


@pytest.fixture
def shop(tmp_path):
    store = AdapterStore(tmp_path / "cache" / "adapters", SILENT)
    digests = FileDigests(tmp_path / "cache" / "digests.json")
    return AdapterShop(store, digests, allowed=True, progress=SILENT)


@pytest.fixture
def task(colour_task):
    return colour_task(20)


@pytest.fixture
def sequences() -> list[dict[str, object]]:
    numbered = [{"input_ids": tokens} for tokens in SEQUENCES]
    assert number_places(numbered) == sum(len(tokens) - 1 for tokens in SEQUENCES)
    return numbered


@pytest.fixture
def save_model(make_network, tiny_tokenizer, tmp_path):
    """A function that saves a network of a kind, with an adapter of random weights or none."""

    def save(name: str, *, adapter=None, **settings: object) -> tuple[Path, Path | None]:
        network = make_network(name, **settings)
        network.save_pretrained(tmp_path / name)
        tiny_tokenizer.save_pretrained(tmp_path / name)
        if adapter is None:
            return tmp_path / name, None
        model = get_peft_model(network, adapter)
        for weights in model.parameters():
            if weights.requires_grad:
                weights.data += 0.2 * torch.randn_like(weights)
        model.save_pretrained(tmp_path / "adapter")
        return tmp_path / name, tmp_path / "adapter"

    return save
