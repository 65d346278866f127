"""How much a model would run: tokens and projections, counted on a sample that is tokenised."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_muscle.models.encoding import encode_pairs, encode_prompt
from pytest_muscle.models.memory import MOST_CACHED, MOST_TOKENS
from pytest_muscle.models.scoring import SHORTEST_PREFIX
from pytest_muscle.models.trees import build_tree, common_prefix
from pytest_muscle.training.packing import PackTrees, pack
from pytest_muscle.training.sequences import sequences_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from pytest_muscle.settings import TrainingSettings
    from pytest_muscle.tasks import Example, Task

SAMPLE = 256
"""Examples that are tokenised."""


class Work(NamedTuple):
    """What a model runs.

    Attributes:
        tokens: Positions that the decoder runs, those that prompts share once.
        projected: Positions at which the vocabulary is projected.
        written: Tokens that are written one after the other, of those positions.
        at_once: Positions that are run at once.
        row: Positions of one row.
        abreast: Texts that are written at once.
        longest: Whether `written` is the most that may be written, not what is likely.
    """

    tokens: float = 0
    projected: float = 0
    written: float = 0
    at_once: float = 1
    row: float = 1
    abreast: float = 1
    longest: bool = False

    @property
    def passes(self) -> float:
        """How often the decoder is run."""
        return (self.tokens - self.written) / self.at_once + self.written / self.abreast

    def times(self, factor: float) -> Work:
        """Return the work of so many times the examples."""
        return self._replace(
            tokens=self.tokens * factor,
            projected=self.projected * factor,
            written=self.written * factor,
        )


def sample(examples: Iterable[Example], n: int, most: int = SAMPLE) -> list[Example]:
    """Return at most so many examples from all over the data."""
    return list(islice(examples, 0, None, max(1, math.ceil(n / most))))


def answering_work(
    task: Task, some: Sequence[Example], tokenizer: PreTrainedTokenizerBase, device: str
) -> Work:
    """Return the work of answering some examples, by the engine's cheapest way.

    Raises:
        ModelError: If they cannot be tokenised.
    """
    if not some:
        return Work()
    if task.generates:
        return _writing_work(task, some, tokenizer, device)
    asked = [task.pairs(example) for example in some]
    pairs = encode_pairs(tokenizer, list(chain.from_iterable(asked)))
    shared = len(common_prefix(pair.tokens[: pair.start - 1] for pair in pairs))
    skipped = shared if shared >= SHORTEST_PREFIX else 0
    tokens = projected = 0
    rest = iter(pairs)
    for options in asked:
        own = list(islice(rest, len(options)))
        tree = build_tree([pair.tokens[skipped:-1] for pair in own])
        tokens += len(tree)
        projected += len(
            {
                path[position - 1 - skipped]
                for pair, path in zip(own, tree.paths, strict=True)
                for position in range(pair.start, len(pair.tokens))
            }
        )
    row = tokens / len(some)
    return Work(tokens, projected, at_once=min(tokens, MOST_TOKENS[device]), row=row)


def _writing_work(
    task: Task, some: Sequence[Example], tokenizer: PreTrainedTokenizerBase, device: str
) -> Work:
    """Return the work of writing answers: of trained models about as long as the solutions."""
    prompts = [encode_prompt(tokenizer, example) for example in some]
    shared = len(common_prefix(prompt[:-1] for prompt in prompts))
    skipped = shared if shared >= SHORTEST_PREFIX else 0
    keys = task.settings
    trained = keys.train is not None
    assert task.decoding is not None
    limit = task.decoding.max_new_tokens
    solutions = [
        len(tokenizer.encode(example.solution, add_special_tokens=False)) + 1 for example in some
    ]
    written = [min(limit, length) for length in solutions] if trained else [limit] * len(some)
    draws = keys.repeats if keys.temperature > 0 else 1
    prompted = sum(len(prompt) - skipped for prompt in prompts)
    mean = prompted / len(some)
    abreast = max(1.0, min(MOST_CACHED[device] / (skipped + mean + limit), len(some) * draws))
    total = sum(written) * draws
    return Work(
        tokens=prompted + total,
        projected=len(some) * draws + total,
        written=total,
        at_once=abreast * mean,
        row=mean,
        abreast=abreast,
        longest=not trained,
    )


@dataclass(frozen=True)
class Training:
    """The work of training an adapter.

    Attributes:
        learnt: What is run forwards and backwards.
        validated: What is run forwards alone, after each epoch.
        read: What each teacher runs, once.
        kept: Number of examples that are learnt, those held back for validation left out.
    """

    learnt: Work
    validated: Work
    read: Work
    kept: int


def training_work(
    task: Task,
    some: Sequence[Example],
    n: int,
    tokenizer: PreTrainedTokenizerBase,
    recipe: TrainingSettings,
    longest: int | None,
    device: str,
) -> Training:
    """Return the work of training on n examples, of which some are at hand.

    Raises:
        ModelError: If they cannot be tokenised.
    """
    sequences = sequences_of(task, some, tokenizer, longest)
    held = 0
    if recipe.validation_fraction > 0:
        held = min(max(round(n * recipe.validation_fraction), 1), max(n - 1, 0))
    kept = n - held
    per_step = recipe.batch_size * recipe.gradient_accumulation
    seen = float(recipe.epochs * kept)
    if recipe.max_steps is not None:
        seen = float(recipe.max_steps * per_step)
    epochs = math.ceil(seen / kept) if kept else 0
    each = _per_example(sequences, recipe.batch_size, device)
    alone = [len(sequence["input_ids"]) - 1 for sequence in sequences]
    mean = sum(alone) / max(len(alone), 1)
    read = _packed(sequences, device)
    return Training(
        learnt=each.times(seen),
        validated=each.times(held * epochs),
        read=Work(read * kept, 0, at_once=min(read * kept, MOST_TOKENS[device]), row=mean),
        kept=kept,
    )


def _per_example(sequences: Sequence[dict[str, Any]], batch_size: int, device: str) -> Work:
    """Return the work of one example within a batch, where beginnings that are shared run once."""
    shuffled = list(sequences)
    random.Random(0).shuffle(shuffled)
    tokens = projected = row = 0.0
    for start in range(0, len(shuffled), batch_size):
        batch = PackTrees()(shuffled[start : start + batch_size])
        height, width = batch["input_ids"].shape
        tokens += height * width
        projected += len(batch["labels"])
        row = max(row, width)
    count = max(len(shuffled), 1)
    per_batch = tokens / max(1, math.ceil(len(shuffled) / batch_size))
    at_once = min(MOST_TOKENS[device], per_batch)
    return Work(tokens / count, projected / count, at_once=at_once, row=row)


def _packed(sequences: Sequence[dict[str, Any]], device: str) -> float:
    """Return the positions that a teacher runs for one example."""
    inputs = [tuple(sequence["input_ids"][:-1]) for sequence in sequences]
    trees = (build_tree([inputs[number] for number in row]) for row in pack(inputs))
    return sum(map(len, trees)) / max(len(inputs), 1)
