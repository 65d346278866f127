"""Scoring where memory runs out, and where a sequence is longer than the model takes."""

import warnings

import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_muscle.errors import ModelError
from pytest_muscle.models import LoglikelihoodRequest
from pytest_muscle.models.probe import find_engine
from pytest_muscle.models.scoring import score_loglikelihoods
from tests.models.likelihoods import (
    FEW_SHOT,
    REQUESTS,
    assert_equal,
    plain_loglikelihood,
    plain_loglikelihoods,
)


def run_out_of_memory(network, monkeypatch, *, most_rows: int, error: Exception) -> list[int]:
    """Let the decoder run out of memory above so many rows; return the sizes it was given."""
    sizes = []
    forward = network.model.forward

    def limited(input_ids, **options: object) -> object:
        sizes.append(len(input_ids))
        if len(input_ids) > most_rows:
            raise error
        return forward(input_ids=input_ids, **options)

    monkeypatch.setattr(network.model, "forward", limited)
    return sizes


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_batch_is_halved_until_it_fits_into_memory(network, tiny_tokenizer, monkeypatch, error):
    wanted = plain_loglikelihoods(network, tiny_tokenizer)
    engine = find_engine(network)
    sizes = run_out_of_memory(network, monkeypatch, most_rows=2, error=error)

    found = score_loglikelihoods(
        network, tiny_tokenizer, REQUESTS, engine=engine, batch_tokens=10**9
    )

    assert_equal(found, wanted)
    assert sizes[0] == len(REQUESTS)
    assert sum(size for size in sizes if size <= 2) == len(REQUESTS)


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_an_example_that_does_not_fit_into_memory_is_an_error(
    network, tiny_tokenizer, monkeypatch, error
):
    engine = find_engine(network)
    run_out_of_memory(network, monkeypatch, most_rows=0, error=error)

    with pytest.raises(ModelError, match="out of memory while scoring one example"):
        score_loglikelihoods(network, tiny_tokenizer, REQUESTS, engine=engine)


def test_any_other_error_is_not_taken_for_memory(network, tiny_tokenizer, monkeypatch):
    engine = find_engine(network)
    run_out_of_memory(network, monkeypatch, most_rows=0, error=RuntimeError("a bug"))

    with pytest.raises(RuntimeError, match="a bug"):
        score_loglikelihoods(network, tiny_tokenizer, REQUESTS, engine=engine)


@pytest.fixture
def short_network(make_tiny_model, tmp_path):
    """A model that takes 16 tokens."""
    path = make_tiny_model(tmp_path / "short", 5, initializer_range=0.3, max_position_embeddings=16)
    return AutoModelForCausalLM.from_pretrained(path).eval()


def test_an_over_long_prompt_loses_its_beginning(short_network, tiny_tokenizer):
    whole = tiny_tokenizer.encode(f"{FEW_SHOT}Answer: red")
    start = len(tiny_tokenizer.encode(f"{FEW_SHOT}Answer:"))
    kept = whole[-17:]  # 16 go in; the last token is only predicted
    with torch.no_grad():
        logits = torch.log_softmax(short_network(torch.tensor([kept[:-1]])).logits[0], dim=-1)
    wanted = sum(
        float(logits[16 - number, whole[-number]]) for number in range(len(whole) - start, 0, -1)
    )

    with pytest.warns(UserWarning, match="1 of 2 sequences are longer than the model's 16 tokens"):
        cut, fits = score_loglikelihoods(
            short_network,
            tiny_tokenizer,
            [
                LoglikelihoodRequest(f"{FEW_SHOT}Answer:", (" red",)),
                LoglikelihoodRequest("Answer:", (" red",)),
            ],
        )

    assert cut == pytest.approx((wanted,), abs=1e-4)
    assert fits == pytest.approx(
        (plain_loglikelihood(short_network, tiny_tokenizer, "Answer:", " red"),), abs=1e-4
    )


def test_a_sequence_as_long_as_the_model_takes_is_not_cut(short_network, tiny_tokenizer):
    tokens = tiny_tokenizer.encode(" red" * 40)
    assert len(set(tokens)) == 1
    request = LoglikelihoodRequest(" red" * 8, (" red" * 9,))  # 17 tokens, of which 16 go in

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = score_loglikelihoods(short_network, tiny_tokenizer, [request])

    with torch.no_grad():
        logits = torch.log_softmax(short_network(torch.tensor([tokens[:16]])).logits[0], dim=-1)
    assert found == pytest.approx((float(logits[7:, tokens[0]].sum()),), abs=1e-4)


def test_an_option_longer_than_the_model_takes_is_an_error(short_network, tiny_tokenizer):
    request = LoglikelihoodRequest("Answer:", (" red" * 17,))

    with pytest.raises(ModelError, match="an option of 17 tokens is longer than the 16"):
        score_loglikelihoods(short_network, tiny_tokenizer, [request])
