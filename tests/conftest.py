"""Tiny real models and a tiny project, made in the test session: nothing is downloaded."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"  # tiny models, and tests beside each other

pytest_plugins = ["pytester"]

COLOURS = ["red", "green", "blue", "yellow", "black", "white"]
THINGS = [
    "stone",
    "river",
    "cloud",
    "apple",
    "table",
    "house",
    "garden",
    "window",
    "letter",
    "road",
]
PLACES = ["north", "south", "east", "west", "hill", "lake", "wood", "field", "shore", "moor"]


def colour_rows(count: int, seed: int) -> list[dict[str, object]]:
    """Questions whose answer follows from the words, so that a tiny model can learn them."""
    rng = random.Random(seed)
    combinations = [(thing, place) for thing in THINGS for place in PLACES]
    rows = []
    for number, (thing, place) in enumerate(rng.sample(combinations, count)):
        right = COLOURS[(THINGS.index(thing) + PLACES.index(place) // 4) % len(COLOURS)]
        options = [right, *rng.sample([colour for colour in COLOURS if colour != right], 3)]
        rng.shuffle(options)
        rows.append(
            {
                "id": f"q{seed}-{number}",
                "question": f"Which colour has the {thing} of the {place}?",
                "options": options,
                "label": options.index(right),
                "place": place,
            }
        )
    return rows


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    """Write rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A real fast tokenizer (byte-level BPE), trained on the questions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [
        f"Question: {row['question']}\nAnswer: {' '.join(map(str, row['options']))}"
        for row in colour_rows(100, 1)
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


@pytest.fixture(scope="session")
def make_tiny_model(tiny_tokenizer: PreTrainedTokenizerFast) -> Callable[..., Path]:
    """A function that saves a Llama of a few thousand parameters with the tiny tokenizer."""

    def make(directory: Path, seed: int, **settings: object) -> Path:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(seed)
        options = {
            "vocab_size": len(tiny_tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "tie_word_embeddings": False,
            "bos_token_id": tiny_tokenizer.bos_token_id,
            "eos_token_id": tiny_tokenizer.eos_token_id,
        }
        LlamaForCausalLM(LlamaConfig(**(options | settings))).save_pretrained(directory)
        tiny_tokenizer.save_pretrained(directory)
        return directory

    return make


@pytest.fixture(scope="session")
def tiny_models(
    make_tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A directory with the tiny models `v1` and `v2`."""
    directory = tmp_path_factory.mktemp("models")
    make_tiny_model(directory / "v1", 1)
    make_tiny_model(directory / "v2", 2)
    return directory


CONFIGURATION = """\
[old]
model = "{models}/v1"

[new]
model = "{models}/v2"

[tasks.colours]
kind = "multiple_choice"
train = "data/train.jsonl"
eval = "data/eval.jsonl"
prompt = "Question: {{{{ question }}}}\\nAnswer:"
choices = "{{{{ options }}}}"
gold = "{{{{ label }}}}"
slices = ["place"]

[adapter]
rank = 8
epochs = 2
learning_rate = 1e-2
batch_size = 8
gradient_accumulation = 1

[run]
device = "cpu"
dtype = "float32"
"""


@pytest.fixture
def tiny_project(pytester: pytest.Pytester, tiny_models: Path) -> pytest.Pytester:
    """A project in pytester's directory: muscle.toml, data, two tiny models."""
    rows = colour_rows(100, 7)
    write_jsonl(pytester.path / "data" / "train.jsonl", rows[:60])
    write_jsonl(pytester.path / "data" / "eval.jsonl", rows[60:])
    (pytester.path / "muscle.toml").write_text(
        CONFIGURATION.format(models=tiny_models), encoding="utf-8"
    )
    pytester.makeini("[pytest]\n")
    return pytester
