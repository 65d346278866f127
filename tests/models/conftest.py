"""Tiny networks that tell options apart, and that do not repeat themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

ENDS = [1, *range(10, 16)]
"""Enough for some texts of random networks to end early."""


@pytest.fixture(scope="module")
def directory(make_tiny_model, tmp_path_factory):
    """A model whose answers differ by whole nats, so that 1e-4 means something."""
    return make_tiny_model(tmp_path_factory.mktemp("sharp") / "model", 5, initializer_range=0.3)


@pytest.fixture
def network(directory):
    return AutoModelForCausalLM.from_pretrained(directory).eval()


@pytest.fixture(scope="module")
def make_writer(make_network):
    """A function that makes a network by its name that does not repeat itself at once."""

    def make(name: str) -> Any:
        network = make_network(name, tie_word_embeddings=name == "tied embeddings")
        torch.manual_seed(1)
        for weights in network.parameters():
            if weights.dim() > 1:
                torch.nn.init.normal_(weights, std=1.0)
        network.generation_config.eos_token_id = ENDS
        return network

    return make


@pytest.fixture
def llama(make_writer):
    return make_writer("llama")
