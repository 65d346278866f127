"""The next token of each text: the likeliest one, or one drawn with numbers of the text's own."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

if TYPE_CHECKING:
    from pytest_muscle.tasks.decoding import Decoding


class TokenChooser:
    """Chooses tokens from logits.

    Args:
        decoding: How.
    """

    def __init__(self, decoding: Decoding) -> None:
        self._samples = decoding.samples
        self._processors = LogitsProcessorList()
        if decoding.no_repeat_ngram_size:
            self._processors.append(NoRepeatNGramLogitsProcessor(decoding.no_repeat_ngram_size))
        if decoding.samples:
            self._processors.append(TemperatureLogitsWarper(float(decoding.temperature)))
            if decoding.top_k:
                self._processors.append(TopKLogitsWarper(decoding.top_k))
            if decoding.top_p < 1:
                self._processors.append(TopPLogitsWarper(float(decoding.top_p)))

    def choose(
        self, logits: torch.Tensor, history: torch.Tensor, sources: Sequence[random.Random]
    ) -> torch.Tensor:
        """Return the next token of each row, [rows].

        Args:
            logits: [rows, vocab].
            history: Prompt and text so far, [rows, tokens], filled on the left with a number
                that is no token's.
            sources: Where each row's draw comes from.
        """
        ids: Any = history
        scores = self._processors(ids, logits.float())
        if not self._samples:
            return scores.argmax(-1)
        draws = torch.tensor([source.random() for source in sources], dtype=torch.float64)
        return draw(scores.softmax(-1), draws)


def draw(probabilities: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Return the token at which the cumulated probability exceeds a draw, [rows].

    A draw means the same on each device and in each batch.

    Args:
        probabilities: [rows, vocab].
        draws: Numbers from 0 to 1, 1 excluded, float64, [rows].
    """
    if probabilities.device.type == "mps":  # which knows no float64
        return draw(probabilities.cpu(), draws).to(probabilities.device)
    reached = probabilities.double().cumsum(-1)
    wanted = draws.to(reached.device)[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, wanted, right=True)[:, 0].clamp(max=reached.shape[-1] - 1)


def source_of_draws(
    seed: int, prompt: Sequence[int], repeat: int, stream: str = ""
) -> random.Random:
    """Return where the draws of one text come from: the same ones whatever else is written.

    Args:
        seed: The task's.
        prompt: Token ids.
        repeat: Which of the prompt's texts, from 0.
        stream: Who draws.
    """
    text = json.dumps([stream, seed, repeat, *prompt]).encode()
    return random.Random(int.from_bytes(blake2b(text, digest_size=16).digest()))
