"""Texts written to their ends, a batch at a time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from pytest_muscle.models.ending import Ending
from pytest_muscle.models.layouts import NO_PREFIX, Prefix
from pytest_muscle.models.parts import NetworkParts
from pytest_muscle.models.rows import CachedRows, RecomputedRows, Rows, pad_left, run_alone
from pytest_muscle.models.sampling import TokenChooser, source_of_draws
from pytest_muscle.models.ways import Way
from pytest_muscle.tasks.decoding import Decoding


@dataclass(slots=True)
class Draft:
    """A text while it is written.

    Attributes:
        prompt: Token ids, the shared prefix among them.
        slot: Where the text belongs in its window.
        repeat: Which of its prompt's texts it is, from 0.
        last: Whether its prompt has no other text after this one.
        limit: Most tokens that the model's length and the settings leave for it.
        tokens: What is written so far.
    """

    prompt: tuple[int, ...]
    slot: int
    repeat: int
    last: bool
    limit: int
    tokens: list[int] = field(default_factory=list)


class Writing:
    """Writes batches of texts.

    Args:
        parts: The model.
        decoding: How tokens are chosen.
        ending: Where texts end.
    """

    def __init__(self, parts: NetworkParts, decoding: Decoding, ending: Ending) -> None:
        self._parts = parts
        self._head = parts.head()
        self._seed, self._stream = decoding.seed, decoding.stream
        self._choose = TokenChooser(decoding).choose
        self._ending = ending

    def write(self, way: Way, prefix: Prefix, batch: Sequence[Draft]) -> None:
        """Write the texts of a batch; what it began before it ran out of memory is dropped.

        Args:
            way: How they grow.
            prefix: What their prompts begin with, where they share it.
            batch: Drafts, at least one.
        """
        for draft in batch:
            draft.tokens.clear()
        if way is Way.ALONE:
            for draft in batch:
                self._write_alone(draft)
        elif way is Way.RECOMPUTED:
            self._write_together(RecomputedRows(self._parts, self._head), batch)
        else:
            shared = prefix if way is Way.SHARED else NO_PREFIX
            self._write_together(CachedRows(self._parts, self._head, shared), batch)

    def _write_together(self, rows: Rows, batch: Sequence[Draft]) -> None:
        """Write texts beside each other; those of one prompt run it together."""
        prompts = list(dict.fromkeys(draft.prompt for draft in batch))
        logits = rows.begin(prompts)
        if len(prompts) < len(batch):
            places = {prompt: place for place, prompt in enumerate(prompts)}
            index = [places[draft.prompt] for draft in batch]
            rows.select(index)
            logits = logits[index]
        history = pad_left([draft.prompt for draft in batch], fill=logits.shape[-1])
        history = history.to(logits.device)
        growing = [(draft, self._source(draft)) for draft in batch]
        while True:
            chosen = self._choose(logits, history, [source for _, source in growing])
            tokens = chosen.tolist()
            for (draft, _), token in zip(growing, tokens, strict=True):
                draft.tokens.append(token)
            left = [row for row, (draft, _) in enumerate(growing) if not self._is_over(draft)]
            if not left:
                return
            history = torch.cat([history, chosen[:, None]], dim=1)
            if len(left) < len(growing):
                rows.select(left)
                history = history[left]
                growing = [growing[row] for row in left]
            logits = rows.step([tokens[row] for row in left])

    def _write_alone(self, draft: Draft) -> None:
        source = self._source(draft)

        def choose(logits: torch.Tensor, history: torch.Tensor) -> tuple[int, bool]:
            draft.tokens.append(int(self._choose(logits, history, [source])))
            return draft.tokens[-1], self._is_over(draft)

        run_alone(self._parts, draft.prompt, draft.limit, choose)

    def _source(self, draft: Draft) -> random.Random:
        return source_of_draws(self._seed, draft.prompt, draft.repeat, self._stream)

    def _is_over(self, draft: Draft) -> bool:
        return len(draft.tokens) >= draft.limit or self._ending.is_reached(draft.tokens)
