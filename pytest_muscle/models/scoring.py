"""Log-likelihoods of continuations: requests in, numbers out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pytest_muscle.errors import ModelError
from pytest_muscle.models.encoding import EncodedPair, encode_pairs
from pytest_muscle.models.memory import batches, chunk_size, run_halved, token_budget, windows
from pytest_muscle.models.trees import TokenTree, build_tree, common_prefix
from pytest_muscle.predictions.journal import Batch, Journal
from pytest_muscle.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from pytest_muscle.models.layouts import Layout
    from pytest_muscle.models.looks import Look
    from pytest_muscle.models.probe import Engine

WINDOW = 4096
"""Most requests that are read, sorted by length and scored together."""

WINDOW_CHARACTERS = 2**25
"""Characters of prompts and options after which a window ends; their tokens are in memory."""

SHORTEST_PREFIX = 16
"""Tokens from which a shared prefix pays for its cache."""


@dataclass(frozen=True, slots=True)
class LoglikelihoodRequest:
    """Continuations whose log-likelihoods are wanted, with the prompts that they follow.

    Attributes:
        prompt: What all continuations follow; or as many prompts as there are continuations.
        continuations: What is scored.
    """

    prompt: str | tuple[str, ...]
    continuations: tuple[str, ...]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each continuation with its prompt before it."""
        prompts = self.prompt
        if isinstance(prompts, str):
            prompts = (prompts,) * len(self.continuations)
        return list(zip(prompts, self.continuations, strict=True))


@dataclass(frozen=True, slots=True)
class _Row:
    """One request as a model runs it.

    Attributes:
        tree: Its sequences, less the prefix that all rows share and each one's last token.
        reads: (node, token, slot): the node that predicts a token of a continuation, that token,
            and where its log-probability is added.
        short: Whether its sequences are within the model's longest path.
        last: Whether the request has no other row after this one.
    """

    tree: TokenTree
    reads: list[tuple[int, int, int]]
    short: bool
    last: bool

    @property
    def slots(self) -> set[int]:
        """Where its log-probabilities are added."""
        return {slot for _, _, slot in self.reads}


def score_loglikelihoods(
    network: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    requests: Iterable[LoglikelihoodRequest],
    *,
    engine: Engine | None = None,
    batch_tokens: int | Literal["auto"] = "auto",
    total: int | None = None,
    progress: Progress = SILENT,
    description: str = "scoring",
    journal: Journal | None = None,
    look: Look | None = None,
) -> list[tuple[float, ...]]:
    """Return the summed log-likelihood of each continuation given its prompt.

    Equal to a plain forward pass of prompt + continuation (within 1e-4 in float32), but what
    requests begin with in common runs once, each prompt once, with its continuations as branches
    of a tree, and the vocabulary is projected only where a continuation is predicted.

    Args:
        network: A causal language model of transformers, with or without PEFT adapter.
        tokenizer: Its tokenizer.
        requests: Prompts with continuations; they are read in windows.
        engine: How the model is run; found out by a probe if it is not given.
        batch_tokens: Most tokens in one batch, padding included; by default as many as pay and
            fit into memory.
        total: Number of requests for the progress bar, where they have no length.
        progress: Where progress is shown.
        description: What the progress bar says.
        journal: Where batches are kept as they are answered. Those that it has are not run again,
            and the others are what they would have been: the numbers are the same to the last bit.
        look: Ends it early.

    Returns:
        One tuple per request, in order, one log-likelihood in nats per continuation.

    Raises:
        ModelError: If a continuation has no token of its own or is longer than the model takes,
            or if not even one request fits into memory.
    """
    from pytest_muscle.models.probe import find_engine

    if total is None:
        total = len(requests) if isinstance(requests, Sequence) else 0
    engine = engine or find_engine(network)
    results: list[tuple[float, ...]] = []
    with closing(journal or Journal()) as journal:
        journal.open({"layout": engine.layout.name, "window": _limits(look)})
        if journal.examples:
            progress.say(
                f"{description}: going on after {journal.examples:,} of {total:,} examples that "
                "were answered before"
            )
        scorer = _Scorer(engine, tokenizer, batch_tokens, journal)
        with progress.bar(total, description, "ex", done=journal.examples) as bar:
            every = None if look is None else look.every
            read = windows(
                requests, _characters, most=WINDOW, largest=WINDOW_CHARACTERS, every=every
            )
            for number, window in enumerate(read):
                results.extend(scorer.score(number, window, bar.update))
                if look is not None and look.is_over(results):
                    break
    return results


def _limits(look: Look | None) -> list[int]:
    """Return what ends a window."""
    return [WINDOW, WINDOW_CHARACTERS, *([] if look is None else [look.every])]


def _characters(request: LoglikelihoodRequest) -> int:
    return sum(len(prompt) + len(text) for prompt, text in request.pairs)


class _Scorer:
    """Scores window after window; keeps the prefix that windows share.

    Args:
        engine: How the model is run.
        tokenizer: The model's tokenizer.
        batch_tokens: Most tokens in one batch, as the user set it.
        journal: Where batches are kept, opened.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        batch_tokens: int | Literal["auto"],
        journal: Journal,
    ) -> None:
        from pytest_muscle.models.layouts import NO_PREFIX

        self._engine = engine
        self._tokenizer = tokenizer
        self._asked = batch_tokens
        self._journal = journal
        self._budget = self._first_budget()
        self._head = engine.parts.head()
        self._prefix = NO_PREFIX

    def _first_budget(self) -> int:
        """Return the budget to begin with: that of the batches before, where the same is asked."""
        last = self._journal.last
        if last is not None and last.asked == self._asked:
            return last.budget
        return token_budget(self._engine.parts) if self._asked == "auto" else self._asked

    def score(
        self, number: int, window: Sequence[LoglikelihoodRequest], done: Any
    ) -> Iterator[tuple[float, ...]]:
        """Yield the log-likelihoods of a window's requests.

        Args:
            number: The window's number.
            window: The requests.
            done: Told of each batch how many examples are ready with it.
        """
        import numpy as np

        count = sum(len(request.continuations) for request in window)
        results, known = np.zeros(count), np.zeros(count, dtype=bool)
        for before in self._journal.window(number):
            results[before.slots] = before.values
            known[before.slots] = True
        if not known.all():
            self._complete(number, window, results, known, done)
        numbers = iter(results.tolist())
        for request in window:
            yield tuple(next(numbers) for _ in request.continuations)

    def _complete(
        self,
        number: int,
        window: Sequence[LoglikelihoodRequest],
        results: NDArray[np.float64],
        known: NDArray[np.bool_],
        done: Any,
    ) -> None:
        """Fill in what is not known of a window's results, batch by batch."""
        import torch

        pairs = encode_pairs(
            self._tokenizer, [pair for request in window for pair in request.pairs]
        )
        pairs = _fit(pairs, longest_sequence(self._engine.parts.network.config))
        with torch.inference_mode():
            self._use_prefix(pairs)
            for layout, batch in self._batches(self._rows(window, pairs), known):
                self._run(layout, batch, results)
                slots = sorted(set[int]().union(*(row.slots for row in batch)))
                ready = sum(row.last for row in batch)
                values = results[slots].tolist()
                self._journal.append(Batch(number, slots, values, ready, self._asked, self._budget))
                done(ready)

    def _use_prefix(self, pairs: Sequence[EncodedPair]) -> None:
        """Find what all sequences of a window begin with, and run it if it is worth it."""
        from pytest_muscle.models.layouts import NO_PREFIX, compute_prefix

        tokens: tuple[int, ...] = ()
        if self._engine.layout.prefix and pairs:
            # The token before a continuation stays with the rows: it predicts the first token.
            tokens = common_prefix(pair.tokens[: pair.start - 1] for pair in pairs)
        if len(tokens) < SHORTEST_PREFIX:
            self._prefix = NO_PREFIX
        elif tokens != self._prefix.tokens:
            self._prefix = compute_prefix(self._engine.parts, tokens) or NO_PREFIX

    def _rows(
        self, window: Sequence[LoglikelihoodRequest], pairs: Sequence[EncodedPair]
    ) -> list[_Row]:
        """Return each request as a row, or as two where only some of its sequences are short."""
        skipped = len(self._prefix)
        rows = []
        start = 0
        for request in window:
            sides: dict[bool, list[int]] = {}
            for slot in range(start, start + len(request.continuations)):
                short = self._engine.is_short(len(pairs[slot].tokens) - 1)
                sides.setdefault(short, []).append(slot)
            for number, (short, slots) in enumerate(sides.items(), start=1):
                tree = build_tree([pairs[slot].tokens[skipped:-1] for slot in slots])
                reads = [
                    (path[position - 1 - skipped], pairs[slot].tokens[position], slot)
                    for slot, path in zip(slots, tree.paths, strict=True)
                    for position in range(pairs[slot].start, len(pairs[slot].tokens))
                ]
                rows.append(_Row(tree, reads, short, last=number == len(sides)))
            start += len(request.continuations)
        return rows

    def _batches(
        self, rows: Sequence[_Row], known: NDArray[np.bool_]
    ) -> Iterator[tuple[Layout, list[_Row]]]:
        """Yield batches within the budget, longest first; rows that need it as plain rows.

        Rows whose slots are known are left out. As they are cut into batches in one order, those
        that are left give the batches that were left.

        Short sequences never stand beside long ones: some models scale the positions of a whole
        batch where one sequence of it is long.
        """
        from pytest_muscle.models.layouts import PLAIN, fits

        chosen: dict[tuple[str, bool], tuple[Layout, list[_Row]]] = {}
        for row in rows:
            layout = self._engine.layout
            if not fits(layout, row.tree, self._prefix, self._engine.longest_path):
                layout = PLAIN
            chosen.setdefault((layout.name, row.short), (layout, []))[1].append(row)
        for layout, group in chosen.values():
            size = partial(self._size, layout)
            left = [row for row in group if not known[list(row.slots)].all()]
            for batch in batches(left, size, lambda: self._budget):
                yield layout, batch

    def _size(self, layout: Layout, row: _Row) -> tuple[int, int]:
        return layout.rows(row.tree, len(self._prefix))

    def _run(self, layout: Layout, batch: list[_Row], results: NDArray[np.float64]) -> None:
        """Add the log-probabilities of a batch to `results`; halve it if memory runs out."""
        halvings = run_halved(
            lambda rows: self._add(layout, rows, results),
            batch,
            device=self._engine.parts.device,
            too_large=_too_large,
        )
        # What follows is no longer than this was; what came before is done.
        self._budget = max(1, self._budget >> halvings)

    def _add(self, layout: Layout, batch: Sequence[_Row], results: NDArray[np.float64]) -> None:
        import numpy as np
        import torch

        parts = self._engine.parts
        nodes = sorted({(n, node) for n, row in enumerate(batch) for node, _, _ in row.reads})
        places = {node: place for place, node in enumerate(nodes)}
        reads = sorted(
            (places[n, node], token, slot)
            for n, row in enumerate(batch)
            for node, token, slot in row.reads
        )
        states = layout.run(parts, [row.tree for row in batch], self._prefix, nodes)
        at, tokens, slots = np.array(reads, dtype=np.int64).T
        size = chunk_size(parts)
        values = []
        for first in range(0, len(nodes), size):
            logits = self._head(states[first : first + size]).float()
            here = slice(*np.searchsorted(at, (first, first + size)))
            index = torch.from_numpy(at[here] - first).to(logits.device)
            wanted = torch.from_numpy(tokens[here]).to(logits.device)
            values.append(logits[index, wanted] - logits.logsumexp(dim=-1)[index])
        np.add.at(results, slots, torch.cat(values).cpu().double().numpy())


def _too_large(row: _Row) -> ModelError:
    return ModelError(
        f"out of memory while scoring one example of {len(row.tree)} tokens",
        hint="set run.dtype = 'bfloat16', shorten the prompts, or use a larger device",
    )


def longest_sequence(config: Any) -> int | None:
    """Return the most tokens that a configured model takes, or none if it does not say."""
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
