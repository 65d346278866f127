"""Texts are those of `model.generate`, one prompt at a time."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from pytest_muscle.models import generation
from pytest_muscle.models.generation import generate_texts
from pytest_muscle.tasks.decoding import Decoding
from tests.models.texts import NEW, PREFIX, PROMPTS, engine_of, one_by_one

CACHED = [
    *("llama", "tied embeddings", "qwen2", "granite", "cohere", "gpt2", "opt", "gpt_neox"),
    *("bloom", "falcon", "mistral", "gemma2", "gpt_neo"),
]
"""The windows of the last three are shorter than the prompts."""


@pytest.mark.parametrize("ngram", [0, 2])
@pytest.mark.parametrize("name", CACHED)
def test_equals_generate_one_by_one(make_writer, tiny_tokenizer, name, ngram):
    network = make_writer(name)
    wanted = one_by_one(network, tiny_tokenizer, PROMPTS, no_repeat_ngram_size=ngram)
    decoding = Decoding(max_new_tokens=NEW, no_repeat_ngram_size=ngram)
    engine = engine_of(network)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = generate_texts(network, tiny_tokenizer, PROMPTS, decoding, engine=engine)

    assert found == wanted
    assert len(set(wanted)) > 4


def test_what_fills_up_a_short_prompt_is_no_part_of_an_n_gram(llama, tiny_tokenizer):
    """After the last token 0 comes the prompt's first one, as it does after a filling 0."""
    ids = torch.tensor([(first, second, 0) for first in range(2, 97) for second in range(2, 42)])
    (found, *_) = (llama(ids).logits[:, -1].argmax(-1) == ids[:, 0]).nonzero()[:, 0].tolist()
    prompts = [tuple(ids[found].tolist()), PROMPTS[0]]
    wanted = one_by_one(llama, tiny_tokenizer, prompts, no_repeat_ngram_size=2)

    decoding = Decoding(max_new_tokens=NEW, no_repeat_ngram_size=2)
    assert generate_texts(llama, tiny_tokenizer, prompts, decoding) == wanted


@pytest.mark.parametrize("name", ["mamba", "lfm2", "longrope"])
def test_what_no_batch_can_do_is_written_alone_and_warned_of(make_writer, tiny_tokenizer, name):
    network = make_writer(name)
    wanted = one_by_one(network, tiny_tokenizer, PROMPTS)
    engine = engine_of(network)

    with pytest.warns(UserWarning, match="writes one text at a time"):
        found = generate_texts(
            network, tiny_tokenizer, PROMPTS, Decoding(max_new_tokens=NEW), engine=engine
        )

    assert found == wanted


def test_scaled_positions_are_no_matter_for_short_texts(make_writer, tiny_tokenizer):
    network = make_writer("longrope")
    prompts = [prompt[-size:] for size, prompt in zip((2, 3, 9), PROMPTS, strict=False)]
    wanted = one_by_one(network, tiny_tokenizer, prompts, max_new_tokens=6)
    engine = engine_of(network)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = generate_texts(
            network, tiny_tokenizer, prompts, Decoding(max_new_tokens=6), engine=engine
        )

    assert found == wanted


@pytest.mark.parametrize("name", ["mistral", "gemma2", "longrope"])
@pytest.mark.filterwarnings("ignore:Phi3ForCausalLM writes one text at a time")
def test_short_texts_and_long_ones_beside_each_other(make_writer, tiny_tokenizer, name):
    network = make_writer(name)
    prompts = [prompt[-size:] for prompt in PROMPTS[:4] for size in (2, 4, 9, 13, 99)]
    wanted = one_by_one(network, tiny_tokenizer, prompts, max_new_tokens=7)

    found = generate_texts(
        network, tiny_tokenizer, prompts, Decoding(max_new_tokens=7), engine=engine_of(network)
    )

    assert found == wanted


def test_a_model_without_a_cache_is_run_anew_for_each_token(make_writer, tiny_tokenizer):
    network = make_writer("llama")
    wanted = one_by_one(network, tiny_tokenizer, PROMPTS)
    forward = type(network).forward

    class Forgetful(type(network)):
        def forward(self, input_ids=None, attention_mask=None, inputs_embeds=None) -> Any:
            return forward(
                self,
                input_ids,
                attention_mask=attention_mask,
                inputs_embeds=inputs_embeds,
                use_cache=False,
            )

    class ForgetfulDecoder(type(network.model)):
        def forward(self, input_ids=None, attention_mask=None, inputs_embeds=None, **_: Any) -> Any:
            return super().forward(
                input_ids,
                attention_mask=attention_mask,
                inputs_embeds=inputs_embeds,
                use_cache=False,
            )

    network.__class__ = Forgetful
    network.model.__class__ = ForgetfulDecoder
    engine = engine_of(network)

    with pytest.warns(UserWarning, match="from the beginning for each token"):
        found = generate_texts(
            network, tiny_tokenizer, PROMPTS, Decoding(max_new_tokens=NEW), engine=engine
        )

    assert found == wanted


@pytest.mark.parametrize("batch_tokens", [1, 80, 10**6])
@pytest.mark.parametrize("windows", [2, 3, 100])
def test_batches_windows_and_order_change_nothing(
    llama, tiny_tokenizer, monkeypatch, batch_tokens, windows
):
    monkeypatch.setattr(generation, "WINDOW", windows)
    prompts = [*reversed(PROMPTS), *PROMPTS[:3]]
    decoding = Decoding(max_new_tokens=NEW)

    found = generate_texts(
        llama, tiny_tokenizer, iter(prompts), decoding, batch_tokens=batch_tokens
    )

    assert found == one_by_one(llama, tiny_tokenizer, prompts)


def test_stop_strings_cut_the_text(llama, tiny_tokenizer):
    whole = [text for (text,) in one_by_one(llama, tiny_tokenizer, PROMPTS)]
    longest = max(whole, key=len)
    stop = (longest[3:6], longest[1:2], "not there")  # the first one spans tokens of one byte
    wanted = one_by_one(llama, tiny_tokenizer, PROMPTS, stop=stop)
    decoding = Decoding(max_new_tokens=NEW, stop=stop)

    assert generate_texts(llama, tiny_tokenizer, PROMPTS, decoding) == wanted
    assert wanted != [(text,) for text in whole]


def test_the_prefix_runs_once_and_texts_that_are_over_leave(llama, tiny_tokenizer, monkeypatch):
    engine = engine_of(llama)
    calls = []
    states = type(engine.parts).states

    def watched(self: Any, **inputs: Any) -> Any:
        calls.append(tuple(inputs["input_ids"].shape))
        return states(self, **inputs)

    monkeypatch.setattr(type(engine.parts), "states", watched)
    monkeypatch.setattr("pytest_muscle.models.ways.Ways.is_usable", lambda *_: True)
    calls.clear()

    generate_texts(
        llama,
        tiny_tokenizer,
        PROMPTS,
        Decoding(max_new_tokens=NEW),
        engine=engine,
        batch_tokens=10**6,
    )

    rest = max(map(len, PROMPTS)) - len(PREFIX)
    assert calls[:2] == [(1, len(PREFIX)), (len(PROMPTS), rest)]
    heights = [height for height, width in calls[2:]]
    assert {width for _, width in calls[2:]} == {1}
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] < len(PROMPTS)


def test_no_prompts_no_texts(llama, tiny_tokenizer):
    assert generate_texts(llama, tiny_tokenizer, [], Decoding()) == []


def test_habits_of_the_model_s_author_are_not_followed(make_writer, tiny_tokenizer):
    for name in ("llama", "mamba"):
        network = make_writer(name)
        wanted = one_by_one(network, tiny_tokenizer, PROMPTS[:2])
        habits = network.generation_config
        habits.update(repetition_penalty=5.0, do_sample=True, temperature=9.0, min_new_tokens=9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = generate_texts(
                network, tiny_tokenizer, PROMPTS[:2], Decoding(max_new_tokens=NEW)
            )

        assert found == wanted
        assert network.generation_config is habits
