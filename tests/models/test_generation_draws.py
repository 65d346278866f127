"""Texts that are drawn: a prompt's own, from the softmax, and none is written twice."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from pytest_muscle.models import rows, writing
from pytest_muscle.models.generation import generate_texts
from pytest_muscle.tasks.decoding import Decoding
from tests.models.texts import NEW, PROMPTS, one_by_one, sampled


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
