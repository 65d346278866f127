"""Scoring runs what prompts and options share once, and projects no more than it reads."""

import pytest

from pytest_muscle.models import LoglikelihoodRequest
from pytest_muscle.models.memory import CHUNK_LOGITS
from pytest_muscle.models.probe import find_engine
from pytest_muscle.models.scoring import score_loglikelihoods
from tests.models.likelihoods import FEW_SHOT, REQUESTS, assert_equal, plain_loglikelihoods


@pytest.fixture
def decoder_calls(network, monkeypatch) -> list[list[list[int]]]:
    """What the decoder is given from the time when the engine has been found."""
    calls: list[list[list[int]]] = []
    forward = network.model.forward

    def count(input_ids, **options: object) -> object:
        calls.append(input_ids.tolist())
        return forward(input_ids=input_ids, **options)

    network.engine = find_engine(network)
    monkeypatch.setattr(network.model, "forward", count)
    return calls


def test_options_of_one_token_are_read_from_one_position(network, tiny_tokenizer, decoder_calls):
    letters = LoglikelihoodRequest("Answer:", ("A", "B", "C", "D"))

    score_loglikelihoods(network, tiny_tokenizer, [letters], engine=network.engine)

    assert decoder_calls == [[tiny_tokenizer.encode("Answer:")]]


def test_a_prompt_runs_once_for_all_its_options(network, tiny_tokenizer, decoder_calls):
    request = REQUESTS[1]
    prompt = tiny_tokenizer.encode(request.prompt)
    tails = [
        tiny_tokenizer.encode(request.prompt + text)[len(prompt) :]
        for text in request.continuations
    ]

    score_loglikelihoods(network, tiny_tokenizer, [request], engine=network.engine)

    prefix, rows = decoder_calls
    assert prefix == [prompt[:-1]]  # what all sequences have in common goes first
    (row,) = rows
    assert row[0] == prompt[-1]
    assert len(row) <= 1 + sum(len(tail) - 1 for tail in tails)


def test_what_all_prompts_begin_with_runs_once(network, tiny_tokenizer, decoder_calls):
    requests = [
        LoglikelihoodRequest(f"{FEW_SHOT}Question: the {word}?\nAnswer:", (" red", " blue"))
        for word in ("cloud", "apple", "house")
    ]
    shared = tiny_tokenizer.encode(f"{FEW_SHOT}Question: the")

    found = score_loglikelihoods(network, tiny_tokenizer, requests, engine=network.engine)

    ((prefix,), rows) = decoder_calls
    assert prefix[: len(shared) - 1] == shared[:-1]
    assert len(rows) == 3
    assert max(map(len, rows)) < len(shared)
    assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer, requests))


def test_the_vocabulary_is_projected_at_option_positions_only(network, tiny_tokenizer):
    positions = []
    engine = find_engine(network)
    network.lm_head.register_forward_hook(
        lambda _, inputs, __: positions.append(inputs[0].shape[1])
    )
    request = LoglikelihoodRequest(f"{FEW_SHOT}Answer:", (" x",))
    context = tiny_tokenizer.encode(request.prompt)
    option = tiny_tokenizer.encode(f"{request.prompt} x")[len(context) :]

    score_loglikelihoods(network, tiny_tokenizer, [request], engine=engine)

    assert positions == [len(option)]


def test_logits_are_made_in_chunks(network, tiny_tokenizer, monkeypatch):
    wanted = plain_loglikelihoods(network, tiny_tokenizer)
    monkeypatch.setitem(CHUNK_LOGITS, "cpu", 3 * len(tiny_tokenizer))
    engine = find_engine(network)
    positions = []
    network.lm_head.register_forward_hook(
        lambda _, inputs, __: positions.append(inputs[0].shape[1])
    )

    found = score_loglikelihoods(network, tiny_tokenizer, REQUESTS, engine=engine)

    assert max(positions) == 3
    assert_equal(found, wanted)
