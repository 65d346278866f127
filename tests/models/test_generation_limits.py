"""Writing where memory runs out, and where prompt and text are longer than the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from pytest_muscle.errors import ModelError
from pytest_muscle.models import rows
from pytest_muscle.models.generation import generate_texts
from pytest_muscle.tasks.decoding import Decoding
from tests.models.texts import NEW, PROMPTS, one_by_one, sampled


def test_where_memory_runs_out_halves_are_written(llama, tiny_tokenizer, monkeypatch):
    whole = sampled(llama, tiny_tokenizer, PROMPTS)
    step = rows.CachedRows.step
    calls = []

    def scarce(self: Any, tokens: Sequence[int]) -> torch.Tensor:
        calls.append(len(tokens))
        if len(tokens) > 5 and len(calls) > 3:  # after the texts have begun
            raise torch.OutOfMemoryError
        return step(self, tokens)

    monkeypatch.setattr(rows.CachedRows, "step", scarce)

    assert sampled(llama, tiny_tokenizer, PROMPTS, batch_tokens=10**6) == whole


def test_one_text_that_does_not_fit_is_an_error(llama, tiny_tokenizer, monkeypatch):
    monkeypatch.setattr("pytest_muscle.models.ways.Ways.is_usable", lambda *_: True)

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(rows.CachedRows, "begin", full)

    with pytest.raises(ModelError, match="out of memory while writing after one prompt of"):
        generate_texts(llama, tiny_tokenizer, PROMPTS, Decoding(max_new_tokens=NEW))


@pytest.mark.parametrize("size", [250, 255, 256])
def test_a_text_breaks_off_where_the_model_ends(make_writer, tiny_tokenizer, size):
    network = make_writer("gpt2")  # it has 256 positions and no more
    network.generation_config.eos_token_id = 1
    prompt = (PROMPTS[0] * 20)[:size]
    room = 257 - size
    wanted = one_by_one(network, tiny_tokenizer, [prompt, prompt[:50]], max_new_tokens=room)
    wanted[1] = one_by_one(network, tiny_tokenizer, [prompt[:50]])[0]

    with pytest.warns(UserWarning, match="1 texts break off where prompt and text reach .* 256"):
        found = generate_texts(
            network, tiny_tokenizer, [prompt, prompt[:50]], Decoding(max_new_tokens=NEW)
        )

    assert found == wanted


@pytest.mark.parametrize(("new", "kept"), [(NEW, 245), (1, 256), (1000, 128)])
def test_a_prompt_that_is_too_long_loses_its_beginning(make_writer, tiny_tokenizer, new, kept):
    network = make_writer("gpt2")
    network.generation_config.eos_token_id = 1
    prompt = (PROMPTS[0] * 20)[:300]
    wanted = one_by_one(
        network, tiny_tokenizer, [prompt[-kept:]], max_new_tokens=min(new, 257 - kept)
    )

    with pytest.warns(UserWarning, match="1 prompts are longer than the model's 256 tokens"):
        found = generate_texts(network, tiny_tokenizer, [prompt], Decoding(max_new_tokens=new))

    assert found == wanted


def test_a_prompt_without_tokens_is_an_error(llama, tiny_tokenizer):
    with pytest.raises(ModelError, match="a prompt has no token"):
        generate_texts(llama, tiny_tokenizer, [PROMPTS[0], ()], Decoding())
