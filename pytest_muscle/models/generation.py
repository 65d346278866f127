"""Texts that a model writes: prompts in, answers out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Literal

from pytest_muscle.errors import ModelError
from pytest_muscle.models.ending import Ending, end_tokens
from pytest_muscle.models.memory import batches, cache_budget, run_halved, windows
from pytest_muscle.models.scoring import SHORTEST_PREFIX, longest_sequence
from pytest_muscle.models.trees import common_prefix
from pytest_muscle.predictions.journal import Batch, Journal
from pytest_muscle.progress import SILENT, Progress

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from pytest_muscle.models.looks import Look
    from pytest_muscle.models.probe import Engine
    from pytest_muscle.models.ways import Way
    from pytest_muscle.models.writing import Draft
    from pytest_muscle.tasks.decoding import Decoding

WINDOW = 4096
"""Most prompts that are read, sorted by length and answered together."""

WINDOW_TOKENS = 2**22
"""Tokens of prompts after which a window ends."""


def generate_texts(
    network: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Iterable[tuple[int, ...]],
    decoding: Decoding,
    *,
    engine: Engine | None = None,
    batch_tokens: int | Literal["auto"] = "auto",
    total: int | None = None,
    progress: Progress = SILENT,
    description: str = "generating",
    journal: Journal | None = None,
    look: Look | None = None,
) -> list[tuple[str, ...]]:
    """Return the texts that a model writes after each prompt.

    In float32 they are those of `model.generate`, one prompt at a time, without what the model's
    author set in its generation_config: only the tokens that end a text are taken from there.
    But texts grow in batches, what prompts begin with in common runs once, each prompt once
    however many texts it has, and texts that are over leave their batch.

    Args:
        network: A causal language model of transformers, with or without PEFT adapter.
        tokenizer: Its tokenizer.
        prompts: Token ids; they are read in windows.
        decoding: How texts are written. Draws depend on seed, stream, prompt and the
            number of the repeat alone.
        engine: How the model is run; found out by a probe if it is not given.
        batch_tokens: Most tokens in one batch, prompts, padding and all that may be written
            included; by default as many as pay and fit into memory.
        total: Number of prompts for the progress bar, where they have no length.
        progress: Where progress is shown.
        description: What the progress bar says.
        journal: Where batches are kept as they are answered; those that it has are not run again.
        look: Ends it early.

    Returns:
        One tuple per prompt, in order, one text per repeat. Greedy repeats are alike.

    Raises:
        ModelError: If a prompt has no token, or if not even one text fits into memory.
    """
    from pytest_muscle.models.probe import find_engine

    if total is None:
        total = len(prompts) if isinstance(prompts, Sequence) else 0
    engine = engine or find_engine(network)
    results: list[tuple[str, ...]] = []
    with closing(journal or Journal()) as journal:
        journal.open({"decoding": decoding.to_json(), "window": _limits(look)})
        if journal.examples:
            progress.say(
                f"{description}: going on after {journal.examples:,} of {total:,} examples that "
                "were answered before"
            )
        writer = _Writer(engine, tokenizer, decoding, batch_tokens, journal)
        with progress.bar(total, description, "ex", done=journal.examples) as bar:
            every = None if look is None else look.every
            read = windows(
                map(tuple, prompts), len, most=WINDOW, largest=WINDOW_TOKENS, every=every
            )
            for number, window in enumerate(read):
                results.extend(writer.write(number, window, bar.update))
                if look is not None and look.is_over(results):
                    break
    writer.warn()
    return results


def _limits(look: Look | None) -> list[int]:
    """Return what ends a window."""
    return [WINDOW, WINDOW_TOKENS, *([] if look is None else [look.every])]


class _Writer:
    """Writes the texts of window after window; keeps the prefix that windows share.

    Args:
        engine: How the model is run.
        tokenizer: The model's tokenizer.
        decoding: How texts are written.
        batch_tokens: Most tokens in one batch, as the user set it.
        journal: Where batches are kept, opened.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        decoding: Decoding,
        batch_tokens: int | Literal["auto"],
        journal: Journal,
    ) -> None:
        from pytest_muscle.models.layouts import NO_PREFIX
        from pytest_muscle.models.ways import Ways
        from pytest_muscle.models.writing import Writing

        self._parts = engine.parts
        self._decoding = decoding
        self._drawn = decoding.repeats if decoding.samples else 1
        self._asked = batch_tokens
        self._journal = journal
        self._budget = self._first_budget()
        self._longest = longest_sequence(self._parts.network.config)
        self._ways = Ways(engine)
        self._ending = Ending(tokenizer, end_tokens(self._parts.network, tokenizer), decoding.stop)
        self._writing = Writing(self._parts, decoding, self._ending)
        self._prefix = NO_PREFIX
        self._slow: set[Way] = set()
        self._cut = self._short = 0

    def _first_budget(self) -> int:
        """Return the budget to begin with: that of the batches before, where the same is asked."""
        last = self._journal.last
        if last is not None and last.asked == self._asked:
            return last.budget
        return cache_budget(self._parts) if self._asked == "auto" else self._asked

    def write(
        self, number: int, window: Sequence[tuple[int, ...]], done: Callable[[int], object]
    ) -> Iterator[tuple[str, ...]]:
        """Yield the texts of a window's prompts.

        Args:
            number: The window's number.
            window: The prompts.
            done: Told of each batch how many examples are ready with it.
        """
        texts: list[str | None] = [None] * (len(window) * self._drawn)
        for before in self._journal.window(number):
            for slot, text in zip(before.slots, before.values, strict=True):
                texts[slot] = str(text)
        if None in texts:
            self._complete(number, window, texts, done)
        copies = self._decoding.repeats // self._drawn
        for start in range(0, len(texts), self._drawn):
            yield tuple(str(text) for text in texts[start : start + self._drawn]) * copies

    def _complete(
        self,
        number: int,
        window: Sequence[tuple[int, ...]],
        texts: list[str | None],
        done: Callable[[int], object],
    ) -> None:
        """Fill in what is not known of a window's texts, batch by batch."""
        import torch

        drafts = self._drafts([self._fit(prompt) for prompt in window])
        with torch.inference_mode():
            for way, batch in self._batches(drafts, texts):
                halvings = run_halved(
                    partial(self._writing.write, way, self._prefix),
                    batch,
                    device=self._parts.device,
                    too_large=_too_large,
                )
                # What follows is no longer than this was; what came before is done.
                self._budget = max(1, self._budget >> halvings)
                batch.sort(key=lambda draft: draft.slot)
                values = [self._ending.text(draft.tokens) for draft in batch]
                slots = [draft.slot for draft in batch]
                for slot, text in zip(slots, values, strict=True):
                    texts[slot] = text
                self._short += sum(map(self._is_broken_off, batch))
                ready = sum(draft.last for draft in batch)
                self._journal.append(Batch(number, slots, values, ready, self._asked, self._budget))
                done(ready)

    def _fit(self, prompt: tuple[int, ...]) -> tuple[int, ...]:
        """Cut a prompt from the left where the model does not take it.

        As much is cut as gives all new tokens room, but no more than half of what it takes.

        Raises:
            ModelError: If it has no token.
        """
        if not prompt:
            raise ModelError(
                "a prompt has no token", hint="a model goes on from at least one: check the prompt"
            )
        if self._longest is None or len(prompt) <= self._longest:
            return prompt
        self._cut += 1
        room = min(self._decoding.max_new_tokens - 1, self._longest // 2)
        return prompt[room - self._longest :]

    def _drafts(self, prompts: Sequence[tuple[int, ...]]) -> list[Draft]:
        from pytest_muscle.models.writing import Draft

        drafts: list[Draft] = []
        for prompt in prompts:
            limit = self._decoding.max_new_tokens
            if self._longest is not None:  # the last token is not run
                limit = min(limit, self._longest + 1 - len(prompt))
            for repeat in range(self._drawn):
                last = repeat == self._drawn - 1
                drafts.append(Draft(prompt, len(drafts), repeat, last, limit))
        return drafts

    def _batches(
        self, drafts: Sequence[Draft], texts: Sequence[str | None]
    ) -> Iterator[tuple[Way, list[Draft]]]:
        """Yield batches within the budget, longest first; drafts that need it in another way.

        Drafts whose texts are known are left out. As they are cut into batches in one order,
        those that are left give the batches that were left.
        """
        from pytest_muscle.models.ways import Way

        chosen: dict[tuple[Way, bool], list[Draft]] = {}
        for draft in drafts:
            length = len(draft.prompt) + self._decoding.max_new_tokens
            way = self._ways.best(length)
            # Short ones never stand beside long ones, which may have positions that are scaled.
            chosen.setdefault((way, self._ways.is_short(length)), []).append(draft)
        for (way, _), group in chosen.items():
            if way is Way.SHARED:
                self._use_prefix(group)
            elif way is not Way.CACHED and way not in self._slow:
                self._slow.add(way)
                warnings.warn(
                    f"{type(self._parts.network).__name__} writes {way.value} (in batches over a "
                    "cache it gives other answers); what it writes is right all the same, only "
                    "slower",
                    stacklevel=2,
                )
            left = [draft for draft in group if texts[draft.slot] is None]
            if way is Way.ALONE:
                yield from ((way, [draft]) for draft in left)
                continue
            for batch in batches(left, _size, lambda: self._budget):
                yield way, batch

    def _use_prefix(self, drafts: Sequence[Draft]) -> None:
        """Find what all drafts of a group begin with, and run it if it is worth it."""
        from pytest_muscle.models.layouts import NO_PREFIX, compute_prefix

        # The last token stays with the drafts: it predicts what is written first.
        tokens = common_prefix(draft.prompt[:-1] for draft in drafts)
        if len(tokens) < SHORTEST_PREFIX:
            self._prefix = NO_PREFIX
        elif tokens != self._prefix.tokens:
            self._prefix = compute_prefix(self._parts, tokens) or NO_PREFIX

    def _is_broken_off(self, draft: Draft) -> bool:
        """Return whether a text is over only because the model takes no more."""
        full = len(draft.tokens) == draft.limit < self._decoding.max_new_tokens
        return full and not self._ending.is_reached(draft.tokens)

    def warn(self) -> None:
        """Warn of texts that are not what they might be."""
        if self._cut:
            warnings.warn(
                f"{self._cut} prompts are longer than the model's {self._longest} tokens; "
                "their beginning was cut off",
                stacklevel=3,
            )
        if self._short:
            warnings.warn(
                f"{self._short} texts break off where prompt and text reach the model's "
                f"{self._longest} tokens",
                stacklevel=3,
            )


def _size(draft: Draft) -> tuple[int, int]:
    return 1, len(draft.prompt) + draft.limit


def _too_large(draft: Draft) -> ModelError:
    return ModelError(
        f"out of memory while writing after one prompt of {len(draft.prompt)} tokens",
        hint="set run.dtype = 'bfloat16', shorten the prompts, or use a larger device",
    )
