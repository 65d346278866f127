"""Texts that grow beside each other: the logits of each one's next token, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import nn
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation.stopping_criteria import StoppingCriteria, StoppingCriteriaList

from pytest_muscle.models.layouts import Prefix, is_plain_cache
from pytest_muscle.models.parts import NetworkParts
from pytest_muscle.models.trees import pad


class Rows(Protocol):
    """Texts that grow by one token each at every step."""

    def begin(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Run prompts and return the logits of what comes after each, [prompts, vocab]."""

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows, some perhaps several times, and no others."""

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Add a token to each row and return the logits of what comes next, [rows, vocab]."""


class CachedRows:
    """Rows that run each token once, and keep its keys and values in the model's own cache.

    What is shorter than the longest is filled up in front, between prefix and row.

    Args:
        parts: The model.
        head: Its head.
        prefix: What all prompts begin with.
    """

    def __init__(self, parts: NetworkParts, head: nn.Module, prefix: Prefix) -> None:
        self._parts = parts
        self._head = head
        self._prefix = prefix
        self._cache: Any = None
        self._seen = torch.empty(0)
        self._lengths = torch.empty(0)

    def begin(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Run prompts, their prefix left out.

        Raises:
            NotImplementedError: If the model keeps something else than keys and values.
        """
        skipped, device = len(self._prefix), self._parts.device
        ids = pad_left([prompt[skipped:] for prompt in prompts])
        self._lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        places = torch.arange(ids.shape[1], device=device)
        rest = places >= (ids.shape[1] + skipped - self._lengths)[:, None]
        self._seen = nn.functional.pad(rest.long(), (skipped, 0), value=1)
        positions = (places - ids.shape[1] + self._lengths[:, None]).clamp(min=0)
        logits = self._run(ids.to(device), positions, self._prefix.for_batch(len(prompts)))
        if not is_plain_cache(self._cache):
            raise NotImplementedError(type(self._cache).__name__)
        return logits

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows."""
        index = torch.tensor(rows, device=self._parts.device)
        self._cache.batch_select_indices(index)
        self._seen = self._seen[index]
        self._lengths = self._lengths[index]

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Run a token of each row."""
        ids = torch.tensor(tokens, device=self._parts.device)[:, None]
        self._seen = nn.functional.pad(self._seen, (0, 1), value=1)
        logits = self._run(ids, self._lengths[:, None], self._cache)
        self._lengths = self._lengths + 1
        return logits

    def _run(self, ids: torch.Tensor, positions: torch.Tensor, cache: Any) -> torch.Tensor:
        states, self._cache = self._parts.states(
            input_ids=ids,
            attention_mask=self._seen,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        logits: torch.Tensor = self._head(states[:, -1])
        return logits


class RecomputedRows:
    """Rows that run anew from their beginnings at every step, which every model can.

    Args:
        parts: The model.
        head: Its head.
    """

    def __init__(self, parts: NetworkParts, head: nn.Module) -> None:
        self._parts = parts
        self._head = head
        self._rows: list[list[int]] = []

    def begin(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Run prompts."""
        self._rows = [list(prompt) for prompt in prompts]
        return self._run()

    def select(self, rows: Sequence[int]) -> None:
        """Go on with these rows."""
        self._rows = [list(self._rows[row]) for row in rows]

    def step(self, tokens: Sequence[int]) -> torch.Tensor:
        """Run all rows with a token more each."""
        for row, token in zip(self._rows, tokens, strict=True):
            row.append(token)
        return self._run()

    def _run(self) -> torch.Tensor:
        ids = pad(self._rows)
        lengths = torch.tensor([len(row) for row in self._rows])
        states, _ = self._parts.states(
            input_ids=ids.to(self._parts.device),
            attention_mask=(lengths[:, None] > torch.arange(ids.shape[1]))
            .long()
            .to(self._parts.device),
            use_cache=False,
        )
        last = (lengths - 1).to(states.device)
        logits: torch.Tensor = self._head(states[torch.arange(len(lengths)), last])
        return logits


def run_alone(
    parts: NetworkParts,
    prompt: Sequence[int],
    limit: int,
    choose: Callable[[torch.Tensor, torch.Tensor], tuple[int, bool]],
) -> None:
    """Let one text grow by the model's own `generate`, which knows what the model keeps.

    Args:
        parts: The model.
        prompt: Token ids.
        limit: Most tokens after it.
        choose: (logits [1, vocab], tokens so far [1, tokens]) -> (next token, whether it is
            the last one).
    """
    follower = _Follower(choose)
    network: Any = parts.network
    ids = torch.tensor([list(prompt)], device=parts.device)
    with _no_habits(network):
        network.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=limit,
            do_sample=False,
            logits_processor=LogitsProcessorList([follower]),
            stopping_criteria=StoppingCriteriaList([_Stop(follower)]),
        )


@contextmanager
def _no_habits(network: Any) -> Iterator[None]:
    """Take away what a model's author put into its generation_config: it fills what is not set."""
    before = network.generation_config
    network.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        network.generation_config = before


class _Follower(LogitsProcessor):
    """Leaves `generate` no token but the chosen one."""

    def __init__(self, choose: Callable[[torch.Tensor, torch.Tensor], tuple[int, bool]]) -> None:
        self._choose = choose
        self.done = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token, self.done = self._choose(scores, input_ids)
        alone = torch.full_like(scores, -torch.inf)
        alone[:, token] = 0
        return alone


class _Stop(StoppingCriteria):
    """Ends `generate` where the chooser did."""

    def __init__(self, follower: _Follower) -> None:
        self._follower = follower

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._follower.done, device=input_ids.device)


def pad_left(rows: Sequence[Sequence[int]], fill: int = 0) -> torch.Tensor:
    """Return rows of different lengths as one tensor [rows, longest], filled on the left."""
    return pad([row[::-1] for row in rows], fill).flip(-1)
