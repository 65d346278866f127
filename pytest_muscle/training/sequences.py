"""Training examples as token sequences: prompt and gold answer, context and answer alike."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import TrainingError
from pytest_muscle.models.encoding import encode_answered, encode_pairs
from pytest_muscle.tasks import Example, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def training_sequences(
    task: Task, tokenizer: PreTrainedTokenizerBase, max_length: int | None
) -> list[dict[str, Any]]:
    """Return prompt + gold answer of each training example as `{"input_ids": [...]}`.

    Of a generation task the sequence begins with the tokens that the model is given to write the
    answer, and ends as an answer should. Sequences longer than `max_length` tokens lose the
    beginning of their prompt.

    Raises:
        TrainingError: If the task has no train set.
    """
    if not task.train:
        raise TrainingError(
            "an adapter cannot be trained without a train set",
            where=f"{task.file}: tasks.{task.name}.train",
            hint="name the training data, or a finished adapter in [old], [new] and [compat]",
        )
    return sequences_of(task, task.train, tokenizer, max_length)


def sequences_of(
    task: Task,
    examples: Iterable[Example],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None,
) -> list[dict[str, Any]]:
    """Return the sequences of some of a task's training examples, as `training_sequences`."""
    if task.generates:
        encoded = [encode_answered(tokenizer, example) for example in examples]
    else:
        encoded = encode_pairs(
            tokenizer,
            [task.pairs(example)[example.gold] for example in examples],
        )
    return [
        {"input_ids": list(pair.tokens[-max_length:] if max_length else pair.tokens)}
        for pair in encoded
    ]


def split(
    sequences: Sequence[dict[str, Any]], validation_fraction: float, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a training and a validation part, drawn with the seed.

    With a fraction above zero the validation part has at least one sequence, and so has the
    training part.

    Raises:
        TrainingError: If there are too few sequences to split.
    """
    if validation_fraction == 0:
        return list(sequences), []
    if len(sequences) < 2:
        raise TrainingError(
            f"{len(sequences)} training example cannot be split into training and validation",
            hint="give more examples, or set validation_fraction = 0",
        )
    order = list(range(len(sequences)))
    random.Random(seed).shuffle(order)
    size = min(max(round(len(sequences) * validation_fraction), 1), len(sequences) - 1)
    held_out = set(order[:size])
    return (
        [sequence for number, sequence in enumerate(sequences) if number not in held_out],
        [sequence for number, sequence in enumerate(sequences) if number in held_out],
    )
