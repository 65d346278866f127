"""Ways to lay requests out for a model: as trees, over a copied cache, or as plain rows.

Each gives the hidden state of every node of every row's tree; they differ in what the model must
be able to do, and in how often it computes the same thing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from pytest_muscle.models.parts import NetworkParts
from pytest_muscle.models.trees import TokenTree, pad, pad_trees, tree_mask


@dataclass(frozen=True, slots=True)
class Prefix:
    """What all rows begin with, computed once.

    Attributes:
        tokens: Its token ids.
        cache: The decoder's keys and values of it, batch of one; none if there is no prefix.
    """

    tokens: tuple[int, ...] = ()
    cache: Cache | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def for_batch(self, size: int) -> Cache | None:
        """Return the cache for a batch, without copying it."""
        if self.cache is None:
            return None
        expanded = copy.copy(self.cache)
        expanded.layers = [copy.copy(layer) for layer in self.cache.layers]
        layer: Any
        for layer in expanded.layers:
            layer.keys = layer.keys.expand(size, -1, -1, -1)
            layer.values = layer.values.expand(size, -1, -1, -1)
        return expanded


NO_PREFIX = Prefix()


def compute_prefix(parts: NetworkParts, tokens: tuple[int, ...]) -> Prefix | None:
    """Run the prefix through the decoder; none if its cache cannot be shared by a batch."""
    ids = torch.tensor([tokens], device=parts.device)
    _, cache = parts.states(input_ids=ids, use_cache=True)
    return Prefix(tokens, cache) if is_plain_cache(cache) else None


def is_plain_cache(cache: Any) -> bool:
    """Return whether a cache holds keys and values of each token and nothing else."""
    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    return isinstance(cache, DynamicCache) and all(type(x) in plain for x in cache.layers)


Nodes = Sequence[tuple[int, int]]
"""(row, node of the row's tree)."""

Run = Callable[[NetworkParts, Sequence[TokenTree], Prefix, Nodes], torch.Tensor]
"""(model, trees, prefix, nodes) -> hidden states [nodes, hidden]."""


def run_trees(
    parts: NetworkParts, trees: Sequence[TokenTree], prefix: Prefix, nodes: Nodes
) -> torch.Tensor:
    """Run each tree as one row; the attention mask keeps its branches apart."""
    batch = {name: tensor.to(parts.device) for name, tensor in pad_trees(trees).items()}
    states, _ = parts.states(
        input_ids=batch["input_ids"],
        position_ids=batch["position_ids"] + len(prefix),
        attention_mask=tree_mask(batch["ends"], parts.dtype, len(prefix)),
        past_key_values=prefix.for_batch(len(trees)),
        use_cache=False,
    )
    return _pick(states, nodes)


def run_cached(
    parts: NetworkParts, trees: Sequence[TokenTree], prefix: Prefix, nodes: Nodes
) -> torch.Tensor:
    """Run each tree's trunk once, and its branches as rows over copies of the trunk's cache."""
    trunks = [trunk_length(tree) for tree in trees]
    ids = pad([tree.tokens[:length] for tree, length in zip(trees, trunks, strict=True)])
    seen = torch.tensor(trunks)[:, None] > torch.arange(ids.shape[1])
    before = torch.ones(len(trees), len(prefix), dtype=torch.bool)
    mask = torch.cat([before, seen], dim=1)
    states, cache = parts.states(
        input_ids=ids.to(parts.device),
        attention_mask=mask.long().to(parts.device),
        position_ids=(torch.arange(ids.shape[1])[None] + len(prefix)).to(parts.device),
        past_key_values=prefix.for_batch(len(trees)),
        use_cache=True,
    )
    branches = [
        (row, owner)
        for row, tree in enumerate(trees)
        for owner in sorted(set(tree.owners[trunks[row] :]))
    ]
    grown = states
    if branches:
        rows = torch.tensor([row for row, _ in branches])
        tails = [
            [trees[row].tokens[node] for node in trees[row].paths[owner][trunks[row] :]]
            for row, owner in branches
        ]
        tail_ids = pad(tails)
        lengths = torch.tensor([len(tail) for tail in tails])
        steps = torch.arange(tail_ids.shape[1])
        tail_mask = torch.cat([mask[rows], lengths[:, None] > steps], dim=1)
        starts = torch.tensor(trunks)[rows][:, None] + len(prefix)
        cache.batch_select_indices(rows.to(parts.device))
        grown, _ = parts.states(
            input_ids=tail_ids.to(parts.device),
            attention_mask=tail_mask.long().to(parts.device),
            position_ids=(starts + steps).to(parts.device),
            past_key_values=cache,
            use_cache=True,
        )
    places = {branch: number for number, branch in enumerate(branches)}
    found = []
    for row, node in nodes:
        tree, trunk = trees[row], trunks[row]
        if node < trunk:
            found.append(states[row, node])
        else:
            found.append(grown[places[row, tree.owners[node]], tree.depths[node] - trunk])
    return torch.stack(found)


def run_plain(
    parts: NetworkParts, trees: Sequence[TokenTree], prefix: Prefix, nodes: Nodes
) -> torch.Tensor:
    """Run each sequence as a row of its own, prefix and all."""
    rows: dict[tuple[int, int], int] = {}
    for row, tree in enumerate(trees):
        for owner in tree.owners:
            rows.setdefault((row, owner), len(rows))
    sequences = [
        [*prefix.tokens, *(trees[row].tokens[node] for node in trees[row].paths[owner])]
        for row, owner in rows
    ]
    ids = pad(sequences)
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    states, _ = parts.states(
        input_ids=ids.to(parts.device),
        attention_mask=(lengths[:, None] > torch.arange(ids.shape[1])).long().to(parts.device),
        use_cache=False,
    )
    return _pick(
        states,
        [
            (rows[row, trees[row].owners[node]], len(prefix) + trees[row].depths[node])
            for row, node in nodes
        ],
    )


def _pick(states: torch.Tensor, places: Nodes) -> torch.Tensor:
    index = torch.tensor(places, device=states.device).T
    return states[index[0], index[1]]


def trunk_length(tree: TokenTree) -> int:
    """Return the number of nodes that all of a tree's sequences go through."""
    size = len(tree)
    for node in range(size):
        if tree.depths[node] != node or tree.ends[node] != size:
            return node
    return size


@dataclass(frozen=True, slots=True)
class Layout:
    """One way, with what it can do.

    Attributes:
        name: For messages and manifests.
        run: Computes hidden states.
        prefix: Whether it can start from a prefix's cache.
        rows: Number of the model's rows and of tokens in each that a tree takes.
    """

    name: str
    run: Run = field(repr=False)
    prefix: bool
    rows: Callable[[TokenTree, int], tuple[int, int]] = field(repr=False)


def _one_row(tree: TokenTree, _: int) -> tuple[int, int]:
    return 1, len(tree)


def _row_each(tree: TokenTree, prefix: int) -> tuple[int, int]:
    return len(set(tree.owners)), prefix + 1 + max(tree.depths)


def _row_each_branch(tree: TokenTree, _: int) -> tuple[int, int]:
    return len(set(tree.owners)), 1 + max(tree.depths)


LAYOUTS: tuple[Layout, ...] = (
    Layout("tree", run_trees, True, _one_row),
    Layout("tree without shared prefix", run_trees, False, _one_row),
    Layout("copied cache", run_cached, True, _row_each_branch),
    Layout("copied cache without shared prefix", run_cached, False, _row_each_branch),
    Layout("plain rows", run_plain, False, _row_each),
)
"""From the cheapest to the one that every model can do."""

PLAIN = LAYOUTS[-1]


def is_taken(parts: NetworkParts, layout: Layout) -> bool:
    """Return whether the decoder knows the inputs that a layout gives."""
    names = {"attention_mask"}
    if layout.run is run_trees:
        names |= {"position_ids"}
    if layout.prefix or layout.run is run_cached:
        names |= {"past_key_values", "use_cache"}
    return layout is PLAIN or all(parts.takes(name) for name in names)


def fits(layout: Layout, tree: TokenTree, prefix: Prefix, longest_path: int | None) -> bool:
    """Return whether a layout can run a tree; plain rows can run each.

    Args:
        layout: The layout.
        tree: The tree.
        prefix: What stands before it.
        longest_path: Most tokens in which each token of the model sees all before it, or none.
    """
    if layout is PLAIN:
        return True
    if layout.run is run_cached:
        # A window's cache counts padding too, and drops what a copy needs.
        return longest_path is None and trunk_length(tree) > 0
    # Our mask knows no window.
    return longest_path is None or len(prefix) + 1 + max(tree.depths) <= longest_path
