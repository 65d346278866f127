"""Texts are those of `model.generate`, one prompt at a time."""

from __future__ import annotations

import random
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from pytest_muscle.errors import ModelError
from pytest_muscle.models import generation, rows, writing
from pytest_muscle.models.generation import generate_texts
from pytest_muscle.models.probe import find_engine
from pytest_muscle.tasks.decoding import Decoding

PREFIX = [random.Random(0).randrange(2, 97) for _ in range(20)]
PROMPTS = [
    tuple(PREFIX + [random.Random(seed).randrange(2, 97) for _ in range(1 + seed * 3 % 11)])
    for seed in range(7)
]
NEW = 12
ENDS = [1, *range(10, 16)]
"""Enough for some texts of random networks to end early."""


def engine_of(network):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return find_engine(network)


def one_by_one(
    network,
    tokenizer,
    prompts: Sequence[tuple[int, ...]],
    stop: tuple[str, ...] = (),
    **settings: Any,
) -> list[tuple[str, ...]]:
    """What transformers writes, as text up to the first stop string."""
    before = network.generation_config
    eos = before.eos_token_id
    network.generation_config = GenerationConfig()
    texts = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        options = {"max_new_tokens": NEW, "do_sample": False, "eos_token_id": eos, **settings}
        if stop:
            options |= {"stop_strings": list(stop), "tokenizer": tokenizer}
        output = network.generate(ids, attention_mask=torch.ones_like(ids), **options)
        new = output[0, len(prompt) :].tolist()
        if new[-1] in (eos if isinstance(eos, list) else [eos]):
            new = new[:-1]
        text = tokenizer.decode(new, skip_special_tokens=True)
        for end in stop:
            text = text.split(end)[0]
        texts.append((text,))
    network.generation_config = before
    return texts


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


def sampled(network, tokenizer, prompts, **settings: Any) -> list[tuple[str, ...]]:
    options = {"max_new_tokens": NEW, "temperature": 1.5, "repeats": 3, "seed": 5}
    batch_tokens = settings.pop("batch_tokens", "auto")
    decoding = Decoding(**(options | settings))
    return generate_texts(network, tokenizer, prompts, decoding, batch_tokens=batch_tokens)


@pytest.mark.parametrize("batch_tokens", [1, 90, 10**6])
def test_draws_are_a_prompt_s_own(llama, tiny_tokenizer, batch_tokens):
    """Whatever else is in the batch, and in which order."""
    whole = sampled(llama, tiny_tokenizer, PROMPTS)

    assert all(len(set(texts)) == 3 for texts in whole)
    backwards = sampled(llama, tiny_tokenizer, PROMPTS[::-1], batch_tokens=batch_tokens)
    assert backwards[::-1] == whole
    assert sampled(llama, tiny_tokenizer, PROMPTS[2:3]) == whole[2:3]
    assert [texts[:2] for texts in whole] == sampled(llama, tiny_tokenizer, PROMPTS, repeats=2)
    assert sampled(llama, tiny_tokenizer, PROMPTS, seed=6) != whole


def test_draws_are_the_same_however_texts_grow(make_writer, tiny_tokenizer, monkeypatch):
    network = make_writer("llama")
    whole = sampled(network, tiny_tokenizer, PROMPTS, top_k=20, top_p=0.9)
    for way in ("ALONE", "RECOMPUTED"):
        monkeypatch.setattr(
            "pytest_muscle.models.ways.Ways.is_usable", lambda _, found, way=way: found.name == way
        )
        with pytest.warns(UserWarning, match="only slower"):
            found = sampled(network, tiny_tokenizer, PROMPTS, top_k=20, top_p=0.9)
        assert found == whole


def test_the_first_token_is_drawn_from_the_softmax(make_writer, tiny_tokenizer):
    network = make_writer("llama")
    network.generation_config.eos_token_id = 1
    prompt = PROMPTS[3]
    count, temperature = 4000, 3.0
    logits = network(torch.tensor([prompt])).logits[0, -1]
    wanted = torch.softmax(logits.double() / temperature, -1)
    texts = [tiny_tokenizer.decode([token], skip_special_tokens=True) for token in range(97)]

    (found,) = sampled(
        network, tiny_tokenizer, [prompt], max_new_tokens=1, temperature=3.0, repeats=count
    )

    expected: Counter[str] = Counter()
    for text, probability in zip(texts, wanted.tolist(), strict=True):
        expected[text] += probability  # bytes that are no character are one text
    seen = Counter(found)
    for text, probability in expected.items():
        deviation = (probability * (1 - probability) / count) ** 0.5
        assert abs(seen[text] / count - probability) < 5 * deviation + 1e-3
    assert len(seen) > 20


def test_greedy_repeats_are_written_once(llama, tiny_tokenizer, monkeypatch):
    drafts = []
    write = writing.Writing.write
    monkeypatch.setattr(
        writing.Writing,
        "write",
        lambda self, way, prefix, batch: drafts.extend(batch) or write(self, way, prefix, batch),
    )

    found = generate_texts(llama, tiny_tokenizer, PROMPTS, Decoding(max_new_tokens=NEW, repeats=3))

    assert found == [texts * 3 for texts in one_by_one(llama, tiny_tokenizer, PROMPTS)]
    assert len(drafts) == len(PROMPTS)


def test_a_prompt_runs_once_for_all_its_texts(llama, tiny_tokenizer, monkeypatch):
    begun = []
    begin = rows.CachedRows.begin
    monkeypatch.setattr(
        rows.CachedRows,
        "begin",
        lambda self, prompts: begun.append(prompts) or begin(self, prompts),
    )
    monkeypatch.setattr("pytest_muscle.models.ways.Ways.is_usable", lambda *_: True)

    sampled(llama, tiny_tokenizer, PROMPTS[:2])

    assert begun == [sorted(PROMPTS[:2], key=len, reverse=True)]


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
