"""Prompts, and the texts that `model.generate` writes after them, one at a time."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from pytest_muscle.models.generation import generate_texts
from pytest_muscle.models.probe import find_engine
from pytest_muscle.tasks.decoding import Decoding

PREFIX = [random.Random(0).randrange(2, 97) for _ in range(20)]
PROMPTS = [
    tuple(PREFIX + [random.Random(seed).randrange(2, 97) for _ in range(1 + seed * 3 % 11)])
    for seed in range(7)
]
NEW = 12


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


def sampled(network, tokenizer, prompts, **settings: Any) -> list[tuple[str, ...]]:
    options = {"max_new_tokens": NEW, "temperature": 1.5, "repeats": 3, "seed": 5}
    batch_tokens = settings.pop("batch_tokens", "auto")
    decoding = Decoding(**(options | settings))
    return generate_texts(network, tokenizer, prompts, decoding, batch_tokens=batch_tokens)
