"""lm-evaluation-harness on the same loaded network."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from pytest_muscle.models import LoglikelihoodRequest
from tests.benchmarks.measuring import say, seconds_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BatchSize = int | str
BATCH_SIZES: dict[str, tuple[BatchSize, ...]] = {
    "cpu": (4, 8, 16, 32, 64),
    "cuda": (16, 32, 64, 128, 256, "auto"),
}
"""The batch sizes that are tried, by device.

Its `auto` starts from 64 and halves while memory runs out, five passes each. On the CPU none runs
out: there it is 64 and five passes more.
"""

TRIED = 16
"""Questions that each batch size is tried on."""


def harness_scorer(
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[LoglikelihoodRequest],
    batch_size: BatchSize,
) -> Callable[[], list[float]]:
    """Return the work of scoring all continuations, one number each, in order."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=batch_size)
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=number)
        for number, pair in enumerate(
            (request.prompt, continuation)
            for request in requests
            for continuation in request.continuations
        )
    ]

    def score() -> list[float]:
        with redirect_stdout(io.StringIO()):
            return [value for value, _ in harness.loglikelihood(instances, disable_tqdm=True)]

    return score


def fastest_batch_size(
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[LoglikelihoodRequest],
    sizes: Sequence[BatchSize],
) -> tuple[BatchSize, dict[str, float | None]]:
    """Return the batch size at which the harness is fastest, and the seconds of each.

    A size that memory does not hold has none.
    """
    import torch

    device = network.device.type
    seconds: dict[BatchSize, float | None] = {}
    for size in sizes:
        score: Any = harness_scorer(network, tokenizer, requests[:TRIED], size)
        try:
            seconds[size] = seconds_of(score, device)
        except torch.OutOfMemoryError:
            seconds[size] = None
            torch.cuda.empty_cache()
        say(f"    lm-evaluation-harness, batch {size}: {_shown(seconds[size])}")
    possible = {size: value for size, value in seconds.items() if value is not None}
    best = min(possible, key=lambda size: possible[size])
    return best, {str(size): value for size, value in seconds.items()}


def _shown(seconds: float | None) -> str:
    return "out of memory" if seconds is None else f"{seconds:.2f} s"
