"""Log-likelihoods of continuations: requests in, numbers out."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pytest_muscle.errors import ModelError
from pytest_muscle.models.encoding import EncodedPair, encode_pairs
from pytest_muscle.progress import SILENT, Progress

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerBase

AUTO_BATCH_TOKENS = {"cpu": 2048, "mps": 8192, "cuda": 16384}
MAX_LOGITS = {"cpu": 2**26, "mps": 2**27, "cuda": 2**29}
"""Most logits that one batch may hold at once; 2**26 are 256 MiB in float32."""


@dataclass(frozen=True, slots=True)
class LoglikelihoodRequest:
    """One prompt with the continuations whose log-likelihoods are wanted."""

    prompt: str
    continuations: tuple[str, ...]


@dataclass(slots=True)
class _Row:
    """One sequence to run, with all continuations that can be read from it.

    Attributes:
        tokens: Input token ids; the last token of the longest continuation is not among them.
        targets: (slot, start, tokens): where the result goes, the position that predicts the
            continuation's first token, and the continuation's tokens.
    """

    tokens: tuple[int, ...]
    targets: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)

    @property
    def first(self) -> int:
        return min(start for _, start, _ in self.targets)


def score_loglikelihoods(
    network: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    requests: Sequence[LoglikelihoodRequest],
    *,
    batch_tokens: int | Literal["auto"] = "auto",
    progress: Progress = SILENT,
    description: str = "scoring",
) -> list[tuple[float, ...]]:
    """Return the summed log-likelihood of each continuation given its prompt.

    Equal to a plain forward pass of prompt + continuation (within 1e-4 in float32). Sequences
    that are equal but for their last token run once, batches are sorted by length and filled to
    a token budget, and logits are made only at positions that predict a continuation.

    Args:
        network: A causal language model of transformers, with or without PEFT adapter.
        tokenizer: Its tokenizer.
        requests: Prompts with continuations.
        batch_tokens: Most tokens in one batch, padding included.
        progress: Where progress is shown.
        description: What the progress bar says.

    Returns:
        One tuple per request, one log-likelihood in nats per continuation.

    Raises:
        ModelError: If a continuation has no token of its own or is longer than the model takes,
            or if not even one sequence fits into memory.
    """
    pairs = encode_pairs(
        tokenizer,
        [
            (request.prompt, continuation)
            for request in requests
            for continuation in request.continuations
        ],
    )
    rows = _unique_rows(_fit(pairs, longest_sequence(network)))
    device = next(network.parameters()).device
    budget = AUTO_BATCH_TOKENS[device.type] if batch_tokens == "auto" else batch_tokens
    vocabulary = _vocabulary(network)
    results = [0.0] * len(pairs)
    with progress.bar(len(rows), description, "seq") as bar:
        for batch in _batches(rows, budget, MAX_LOGITS[device.type] // vocabulary):
            _score_batch(network, batch, results)
            bar.update(len(batch))
    numbers = iter(results)
    return [tuple(next(numbers) for _ in request.continuations) for request in requests]


def _vocabulary(network: nn.Module) -> int:
    model: Any = network
    return int(model.get_output_embeddings().weight.shape[0])


def longest_sequence(network: nn.Module) -> int | None:
    """Return the most tokens that the model takes, or none if it does not say."""
    config: Any = network.config
    length = getattr(config.get_text_config(), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 1 else None


def _fit(pairs: Sequence[EncodedPair], longest: int | None) -> list[EncodedPair]:
    """Cut prompts from the left where a sequence is longer than the model takes.

    Raises:
        ModelError: If a continuation alone is longer.

    Source: lm-evaluation-harness does the same.
    """
    if longest is None:
        return list(pairs)
    fitted = []
    cut = 0
    for pair in pairs:
        surplus = len(pair.tokens) - (longest + 1)
        if surplus >= pair.start:
            raise ModelError(
                f"an option of {len(pair.tokens) - pair.start} tokens is longer than the "
                f"{longest} that the model takes",
                hint="shorten the data's options, or use a model with a longer context",
            )
        if surplus > 0:
            cut += 1
            pair = EncodedPair(pair.tokens[surplus:], pair.start - surplus)
        fitted.append(pair)
    if cut:
        warnings.warn(
            f"{cut} of {len(pairs)} sequences are longer than the model's {longest} tokens; "
            "the beginning of their prompts was cut off",
            stacklevel=2,
        )
    return fitted


def _unique_rows(pairs: Sequence[EncodedPair]) -> list[_Row]:
    """Return the sequences to run, longest first; those equal but for the last token once."""
    rows: dict[tuple[int, ...], _Row] = {}
    for slot, pair in enumerate(pairs):
        tokens = pair.tokens[:-1]
        row = rows.setdefault(tokens, _Row(tokens))
        row.targets.append((slot, pair.start - 1, pair.tokens[pair.start :]))
    return sorted(rows.values(), key=lambda row: (-len(row.tokens), row.tokens))


def _batches(rows: Sequence[_Row], budget: int, most_positions: int) -> Iterator[list[_Row]]:
    """Yield batches of rows within a budget of tokens and of positions with logits."""
    batch: list[_Row] = []
    first = 0
    for row in rows:
        longest = len(batch[0].tokens) if batch else len(row.tokens)
        size = len(batch) + 1
        lowest = min(first, row.first) if batch else row.first
        if batch and (size * longest > budget or size * (longest - lowest) > most_positions):
            yield batch
            batch, lowest = [], row.first
        batch.append(row)
        first = lowest
    if batch:
        yield batch


def _score_batch(network: nn.Module, batch: list[_Row], results: list[float]) -> None:
    """Add the log-likelihoods of a batch to `results`; halve the batch if memory runs out."""
    import torch

    try:
        _run_batch(network, batch, results)
    except torch.OutOfMemoryError as error:
        if len(batch) == 1:
            raise ModelError(
                f"out of memory while scoring one sequence of {len(batch[0].tokens)} tokens",
                hint="set run.dtype = 'bfloat16', shorten the prompts, or use a larger device",
            ) from error
        middle = len(batch) // 2
    else:
        return
    torch.cuda.empty_cache()
    _score_batch(network, batch[:middle], results)
    _score_batch(network, batch[middle:], results)


def _run_batch(network: nn.Module, batch: list[_Row], results: list[float]) -> None:
    import torch

    device = next(network.parameters()).device
    longest = len(batch[0].tokens)
    input_ids = torch.zeros(len(batch), longest, dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    for number, row in enumerate(batch):
        input_ids[number, : len(row.tokens)] = torch.tensor(row.tokens)
        attention_mask[number, : len(row.tokens)] = 1
    first = min(row.first for row in batch)
    with torch.inference_mode():
        logits = _logits_from(network, input_ids.to(device), attention_mask.to(device), first)
        targets = [
            (number, start - first + offset, token, slot)
            for number, row in enumerate(batch)
            for slot, start, tokens in row.targets
            for offset, token in enumerate(tokens)
        ]
        index = torch.tensor([target[:3] for target in targets], device=device).T
        positions = torch.unique(index[:2], dim=1)
        where = {(n, p): i for i, (n, p) in enumerate(positions.T.tolist())}
        chosen = logits[positions[0], positions[1]].float()
        normaliser = torch.logsumexp(chosen, dim=-1).tolist()
        raw = logits[index[0], index[1], index[2]].float().tolist()
    for (number, position, _, slot), value in zip(targets, raw, strict=True):
        results[slot] += value - normaliser[where[number, position]]


def _logits_from(
    network: nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor, first: int
) -> torch.Tensor:
    """Return logits [batch, tokens - first, vocab] of the positions from `first` on."""
    import torch

    # Positions as a tensor, not a count: a slice of hidden states is not contiguous, and PyTorch
    # then copies the vocabulary projection once per row.
    keep = torch.arange(first, input_ids.shape[1], device=input_ids.device)
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    if "logits_to_keep" in forward_parameters(network):
        return network(**inputs, **without_cache(network), logits_to_keep=keep).logits  # type: ignore[no-any-return]
    return network(**inputs, **without_cache(network)).logits[:, first:]  # type: ignore[no-any-return]


def without_cache(network: nn.Module) -> dict[str, bool]:
    """Return the argument that keeps a model from storing keys and values, if it has one."""
    return {"use_cache": False} if "use_cache" in forward_parameters(network) else {}


def forward_parameters(network: nn.Module) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a model's own forward, under a parallel wrapper and adapters."""
    model: Any = network
    while hasattr(model, "module"):
        model = model.module
    if hasattr(model, "get_base_model"):
        model = model.get_base_model()
    return inspect.signature(type(model).forward).parameters
