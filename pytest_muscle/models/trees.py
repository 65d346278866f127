"""Token sequences as trees: what sequences begin with in common stands once."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class TokenTree:
    """Sequences merged where they begin alike, nodes in depth-first order.

    Sequences that share nothing stand beside each other: then it is a forest.

    Attributes:
        tokens: Token id of each node.
        depths: Position of each node in its sequences, from 0.
        ends: One past the last descendant of each node, so that node i comes before node j on one
            path exactly if i <= j < ends[i].
        owners: One sequence that each node belongs to.
        paths: The nodes of each sequence, in the order in which the sequences were given.
    """

    tokens: Sequence[int]
    depths: Sequence[int]
    ends: Sequence[int]
    owners: Sequence[int]
    paths: Sequence[Sequence[int]]

    def __len__(self) -> int:
        return len(self.tokens)


def build_tree(sequences: Sequence[tuple[int, ...]]) -> TokenTree:
    """Return the tree of some sequences, none of them empty."""
    tokens, depths, ends, owners, path = (array("i") for _ in range(5))
    paths: list[Sequence[int]] = [()] * len(sequences)
    before: tuple[int, ...] = ()
    for number in sorted(range(len(sequences)), key=lambda number: sequences[number]):
        sequence = sequences[number]
        shared = common_length(before, sequence)
        for node in path[shared:]:
            ends[node] = len(tokens)
        del path[shared:]
        fresh = range(len(tokens), len(tokens) + len(sequence) - shared)
        path.extend(fresh)
        tokens.extend(sequence[shared:])
        depths.extend(range(shared, len(sequence)))
        ends.extend([0] * len(fresh))
        owners.extend([number] * len(fresh))
        paths[number] = path[:]
        before = sequence
    for node in path:
        ends[node] = len(tokens)
    return TokenTree(tokens, depths, ends, owners, paths)


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens two sequences begin with in common."""
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length


def common_prefix(sequences: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """Return what all sequences begin with."""
    iterator = iter(sequences)
    first = last = next(iterator)
    for sequence in iterator:  # one at a time: they may be long
        first, last = min(first, sequence), max(last, sequence)
    return first[: common_length(first, last)]  # in this order all others are between them


def pad(rows: Sequence[Sequence[int]], fill: int = 0) -> torch.Tensor:
    """Return rows of different lengths as one tensor [rows, longest], filled on the right."""
    import numpy as np
    import torch

    padded: Any = np.full((len(rows), max(map(len, rows))), fill, dtype=np.int64)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return torch.from_numpy(padded)


def pad_trees(trees: Sequence[TokenTree]) -> dict[str, torch.Tensor]:
    """Return input_ids, position_ids and ends of trees, each [trees, nodes of the largest]."""
    import torch

    ends = pad([tree.ends for tree in trees])
    nodes = torch.arange(ends.shape[1])
    return {
        "input_ids": pad([tree.tokens for tree in trees]),
        "position_ids": pad([tree.depths for tree in trees]),
        # Padding sees itself alone: a softmax over nothing would be NaN.
        "ends": torch.where(ends == 0, nodes + 1, ends),
    }


def tree_mask(ends: torch.Tensor, dtype: torch.dtype, prefix: int = 0) -> torch.Tensor:
    """Return the additive attention mask by which each node sees itself and its ancestors.

    Args:
        ends: `TokenTree.ends`, [batch, nodes].
        dtype: The mask's floating-point type, which is that of the attention weights.
        prefix: Number of tokens in a cache before the trees, which all nodes see.

    Returns:
        [batch, 1, nodes, prefix + nodes]: 0 where a node is seen, else the lowest number.
    """
    import torch

    nodes = torch.arange(ends.shape[1], device=ends.device)
    seen = (nodes[None, None, :] <= nodes[None, :, None]) & (nodes[None, :, None] < ends[:, None])
    mask = torch.zeros(seen.shape[0], 1, *seen.shape[1:], dtype=dtype, device=ends.device)
    mask.masked_fill_(~seen[:, None], torch.finfo(dtype).min)
    return torch.nn.functional.pad(mask, (prefix, 0))
