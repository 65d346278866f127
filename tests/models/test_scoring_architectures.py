"""Log-likelihoods of networks of other architectures are those of a plain forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import pytest
from transformers import LlamaForCausalLM

from pytest_muscle.models import LoglikelihoodRequest
from pytest_muscle.models.scoring import score_loglikelihoods
from tests.models.likelihoods import FEW_SHOT, REQUESTS, assert_equal, plain_loglikelihoods


class WithoutLogitsToKeep(LlamaForCausalLM):
    """A model that always gives the logits of all positions and knows of no cache."""

    def forward(self, input_ids, attention_mask=None):
        return super().forward(input_ids=input_ids, attention_mask=attention_mask)


@pytest.mark.filterwarnings("ignore:.* is run as")
@pytest.mark.parametrize(
    "name",
    [
        *("tied embeddings", "qwen2", "gemma2", "granite", "cohere", "gpt2", "opt", "gpt_neox"),
        *("mistral", "longrope", "gpt_neo", "bloom", "falcon", "mamba", "lfm2"),
    ],
)
def test_other_architectures(name, make_network, tiny_tokenizer, device):
    """Some have a window of 12 or 16 tokens: one prompt is longer, the shared prefix too."""
    network = make_network(name, vocab_size=len(tiny_tokenizer)).to(device)
    question = f"{FEW_SHOT}Question: Which colour has the letter of the moor?\nAnswer:"
    alike = [
        LoglikelihoodRequest(question, (" red", " red apple")),
        LoglikelihoodRequest(f"{FEW_SHOT}Goal:", (" blue", " green apple")),
    ]

    for requests in (REQUESTS, alike):
        found = score_loglikelihoods(network, tiny_tokenizer, requests)

        assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer, requests))


class Counted:
    """Progress that counts what is ready."""

    ready = 0

    @contextmanager
    def bar(self, total: int, description: str, unit: str, *, done: int) -> Iterator[Self]:
        yield self

    def update(self, count: int) -> None:
        self.ready += count


@pytest.mark.parametrize("words", range(8))
@pytest.mark.parametrize("name", ["mistral", "longrope"])
def test_options_on_both_sides_of_the_longest_path(name, words, make_network, tiny_tokenizer):
    """Within 16 tokens the second scales no positions; beyond, it scales those of all tokens."""
    network = make_network(name, vocab_size=len(tiny_tokenizer))
    requests = [
        LoglikelihoodRequest(" red" * (8 + words), (" red", " blue" * 3, " black" * 5)),
        LoglikelihoodRequest(" red", (" blue", " black")),
    ]
    progress = Counted()

    found = score_loglikelihoods(network, tiny_tokenizer, requests, progress=progress)

    assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer, requests))
    assert progress.ready == 2  # though one may be run in two parts


@pytest.mark.filterwarnings("ignore:WithoutLogitsToKeep is run as plain rows")
def test_a_model_that_cannot_keep_some_logits_only(directory, network, tiny_tokenizer):
    plain = WithoutLogitsToKeep.from_pretrained(directory).eval()

    found = score_loglikelihoods(plain, tiny_tokenizer, REQUESTS)

    assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer))
