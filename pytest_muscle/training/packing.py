"""Batches of training sequences without padding: as trees in which shared beginnings run once."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_muscle.models.trees import (
    TokenTree,
    build_tree,
    common_length,
    common_prefix,
    pad,
    pad_trees,
)

if TYPE_CHECKING:
    import torch

ROW = 256
"""Nodes of a row, unless a sequence is longer: attention costs little up to there."""

TIMES_SHARED = 4
"""Times that a row is to be longer than what all sequences share, which stands in each row."""

MOST_PADDING = 0.05
"""Share of padding from which fewer, longer rows are made."""


def pack(sequences: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Return which sequences stand in which row, as numbers.

    Sequences that share most of what they are go into one row, and rows are filled evenly, the
    largest families first; there are as many rows as leave little padding.

    Args:
        sequences: Token ids, none empty.
    """
    shared = len(common_prefix(sequences))
    families = _families(sequences, shared)
    total = sum(size for size, _ in families)
    enough = max(ROW, TIMES_SHARED * shared, *map(len, sequences))
    for count in range(math.ceil(total / enough), 1, -1):
        rows = _spread(families, count)
        sizes = [_nodes(sequences, row) for row in rows]
        if 1 - sum(sizes) / (len(sizes) * max(sizes)) <= MOST_PADDING:
            return rows
    return [list(range(len(sequences)))]


def _families(sequences: Sequence[tuple[int, ...]], shared: int) -> list[tuple[int, list[int]]]:
    """Return sequences that share more than half, with their nodes beyond what all share.

    Neighbours in alphabetical order share most.
    """
    families: list[tuple[int, list[int]]] = []
    before: tuple[int, ...] = ()
    for number in sorted(range(len(sequences)), key=lambda number: sequences[number]):
        sequence = sequences[number]
        length = len(sequence) - shared
        fresh = len(sequence) - max(shared, common_length(before, sequence))
        if families and 2 * fresh <= length:
            size, members = families[-1]
            families[-1] = (size + fresh, [*members, number])
        else:
            families.append((length, [number]))
        before = sequence
    return families


def _spread(families: Sequence[tuple[int, list[int]]], count: int) -> list[list[int]]:
    """Return at most so many rows of families, the largest first, each to the emptiest row."""
    rows: list[tuple[int, int, list[int]]] = [(0, place, []) for place in range(count)]
    for size, members in sorted(families, reverse=True):
        filled, place, row = heapq.heappop(rows)
        heapq.heappush(rows, (filled + size, place, row + members))
    return [row for _, _, row in sorted(rows, key=lambda row: row[1]) if row]


def _nodes(sequences: Sequence[tuple[int, ...]], row: Sequence[int]) -> int:
    """Return the number of nodes of a row's tree."""
    ordered = sorted(sequences[number] for number in row)
    shared = sum(common_length(one, other) for one, other in itertools.pairwise(ordered))
    return sum(map(len, ordered)) - shared


@dataclass(frozen=True)
class PackTrees:
    """Collates sequences into a batch of trees, or of plain rows for models that take no trees.

    Attributes:
        trees: Whether the model takes trees (see `models/layouts.py`).
    """

    trees: bool = True

    def __call__(self, sequences: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch.

        Args:
            sequences: Each with `input_ids`, and `first` where teachers' states are stored: the
                place of its first token among them.

        Returns:
            input_ids, position_ids and ends (of trees) or attention_mask (of plain rows), each
            [rows, tokens]; and for each token to predict, [targets]: row and node that predict
            it, labels, weights (in how many sequences it stands so) and places (where the
            teachers' states are; of NumPy, so that they stay on the CPU as those do).
        """
        import torch

        inputs = [tuple(sequence["input_ids"][:-1]) for sequence in sequences]
        rows = pack(inputs) if self.trees else [[number] for number in range(len(inputs))]
        trees = [build_tree([inputs[number] for number in row]) for row in rows]
        targets: dict[tuple[int, int, int], list[int]] = {}
        for row, (numbers, tree) in enumerate(zip(rows, trees, strict=True)):
            for number, path in zip(numbers, tree.paths, strict=True):
                tokens = sequences[number]["input_ids"]
                first = sequences[number].get("first", 0)
                for position, node in enumerate(path):
                    target = targets.setdefault(
                        (row, node, tokens[position + 1]), [0, first + position]
                    )
                    target[0] += 1
        batch = pad_trees(trees) if self.trees else _plain(trees)
        keys = torch.tensor(list(targets)).T.contiguous()
        values = torch.tensor(list(targets.values())).T
        return {
            **batch,
            "rows": keys[0],
            "nodes": keys[1],
            "labels": keys[2],
            "weights": values[0].float(),
            "places": values[1].numpy(),
        }


def split_rows(batch: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """Return a batch of `PackTrees` in parts: as few as hold at most so many tokens each.

    Args:
        batch: A batch.
        most: Tokens, padding included; a longer row is a part of its own.
    """
    import torch

    rows, width = batch["input_ids"].shape
    count = math.ceil(rows / max(1, most // width))
    if count == 1:
        return [batch]
    edges = [number * rows // count for number in range(count + 1)]
    # Targets stand in the order of their rows.
    targets = torch.searchsorted(batch["rows"], batch["rows"].new_tensor(edges)).tolist()
    parts = []
    for (first, end), (low, high) in zip(
        itertools.pairwise(edges), itertools.pairwise(targets), strict=True
    ):
        part = {
            name: value[first:end] if value.ndim == 2 else value[low:high]
            for name, value in batch.items()
        }
        parts.append({**part, "rows": part["rows"] - first})
    return parts


def _plain(rows: Sequence[TokenTree]) -> dict[str, torch.Tensor]:
    return {
        "input_ids": pad([row.tokens for row in rows]),
        "attention_mask": pad([[1] * len(row) for row in rows]),
    }
