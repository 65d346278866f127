"""Batches of training sequences without padding: as trees in which shared beginnings run once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_muscle.models.trees import TokenTree, build_tree, common_length

if TYPE_CHECKING:
    import torch

ROW = 256
"""Nodes of a row, unless a sequence is longer: attention costs little up to there."""

MOST_PADDING = 0.05
"""Share of padding from which fewer, longer rows are made."""


def pack(sequences: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Return which sequences stand in which row, as numbers.

    Neighbours in alphabetical order share most, so rows are cut from that order, at equal
    numbers of nodes; there are as many rows as leave little padding.

    Args:
        sequences: Token ids, none empty.
    """
    order = sorted(range(len(sequences)), key=lambda number: sequences[number])
    fresh = []
    before: tuple[int, ...] = ()
    for number in order:
        fresh.append(len(sequences[number]) - common_length(before, sequences[number]))
        before = sequences[number]
    longest = max(map(len, sequences))
    for count in range(max(1, math.ceil(sum(fresh) / max(ROW, longest))), 0, -1):
        rows = _cut(order, fresh, sequences, count)
        sizes = [size for _, size in rows]
        if len(rows) == 1 or 1 - sum(sizes) / (len(sizes) * max(sizes)) <= MOST_PADDING:
            return [row for row, _ in rows]
    raise AssertionError("one row has no padding")


def _cut(
    order: Sequence[int], fresh: Sequence[int], sequences: Sequence[tuple[int, ...]], count: int
) -> list[tuple[list[int], int]]:
    """Return about `count` rows of neighbours with their numbers of nodes."""
    share = sum(fresh) / count
    rows: list[tuple[list[int], int]] = []
    row: list[int] = []
    size = 0
    done = 0.0
    for number, nodes in zip(order, fresh, strict=True):
        if row and done + nodes / 2 > share * (len(rows) + 1):
            rows.append((row, size))
            row, size = [], 0
        size += nodes if row else len(sequences[number])
        row.append(number)
        done += nodes
    return [*rows, (row, size)]


@dataclass(frozen=True)
class PackTrees:
    """Collates sequences into a batch of trees, or of plain rows for models that take no trees.

    Attributes:
        trees: Whether the model takes trees (see `models/layouts.py`).
    """

    trees: bool = True

    def __call__(self, sequences: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return a batch.

        Args:
            sequences: Each with `input_ids`, and `first` where teachers' states are stored: the
                place of its first token among them.

        Returns:
            input_ids, position_ids and ends (of trees) or attention_mask (of plain rows), each
            [rows, tokens]; and for each token to predict, [targets]: row and node that predict
            it, labels, weights (in how many sequences it stands so) and places (where the
            teachers' states are).
        """
        import torch

        from pytest_muscle.models.trees import pad_trees

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
        batch = pad_trees(trees)
        if not self.trees:
            batch = {"input_ids": batch["input_ids"], "attention_mask": _mask(trees)}
        keys = torch.tensor(list(targets)).T
        values = torch.tensor(list(targets.values())).T
        return {
            **batch,
            "rows": keys[0],
            "nodes": keys[1],
            "labels": keys[2],
            "weights": values[0].float(),
            "places": values[1],
        }


def _mask(trees: Sequence[TokenTree]) -> torch.Tensor:
    from pytest_muscle.models.trees import pad

    return pad([[1] * len(tree) for tree in trees])
