"""What the teachers say to each training token: run once, kept as hidden states on disk."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import nn

from pytest_muscle.errors import TrainingError
from pytest_muscle.limits import read_json
from pytest_muscle.models import LanguageModel
from pytest_muscle.models.device import mixed_precision
from pytest_muscle.models.layouts import NO_PREFIX, PLAIN, Layout
from pytest_muscle.models.memory import batches, run_halved, token_budget
from pytest_muscle.models.parts import NetworkParts
from pytest_muscle.models.probe import Engine
from pytest_muscle.models.trees import TokenTree, build_tree
from pytest_muscle.progress import Progress
from pytest_muscle.training.packing import ROW


@dataclass(frozen=True)
class Teacher:
    """One teacher: the states that its decoder gave, and its head.

    Attributes:
        states: Hidden states of all training tokens that predict another, [tokens, hidden], in
            the model's own floating-point type; a file mapped into memory.
        head: From hidden states to logits.
        device: Where the head is.
        vocabulary: Number of logits.
    """

    states: torch.Tensor
    head: nn.Module
    device: torch.device
    vocabulary: int

    def logits(self, places: torch.Tensor) -> torch.Tensor:
        """Return logits [places, vocab] at places among the training tokens."""
        return self.head(self.states[places].to(self.device))  # type: ignore[no-any-return]


class ProjectedTeachers:
    """The two teachers at some tokens; what nobody asks for is not projected.

    Args:
        old: The old task model.
        new: The new task model.
        places: Which of the training tokens, [tokens], on the CPU.
        width: Number of logits that both have in common with the student.
    """

    def __init__(self, old: Teacher, new: Teacher, places: torch.Tensor, width: int) -> None:
        self._old = old
        self._new = new
        self._places = places
        self._width = width

    @cached_property
    def old(self) -> torch.Tensor:
        """Logits of the old task model, [tokens, vocab]."""
        return self._project(self._old, self._places)

    @cached_property
    def new(self) -> torch.Tensor:
        """Logits of the new task model, [tokens, vocab]."""
        return self._project(self._new, self._places)

    def choose(self, old: torch.Tensor) -> torch.Tensor:
        """Return logits of the old task model where `old` [tokens] is true, else of the new."""
        old = old.cpu()
        from_old = old.nonzero().flatten()
        if len(from_old) == 0:
            return self.new
        if len(from_old) == len(old):
            return self.old
        from_new = (~old).nonzero().flatten()
        first = self._project(self._old, self._places[from_old])
        chosen = first.new_empty(len(old), self._width)
        chosen[from_old.to(chosen.device)] = first
        chosen[from_new.to(chosen.device)] = self._project(self._new, self._places[from_new])
        return chosen

    @torch.no_grad()
    def _project(self, teacher: Teacher, places: torch.Tensor) -> torch.Tensor:
        return teacher.logits(places)[:, : self._width]


def number_places(sequences: Sequence[dict[str, Any]]) -> int:
    """Give each sequence the place of its first token, as `first`; return how many there are."""
    place = 0
    for sequence in sequences:
        sequence["first"] = place
        place += len(sequence["input_ids"]) - 1
    return place


def record_teacher(
    model: LanguageModel,
    sequences: Sequence[dict[str, Any]],
    file: Path,
    *,
    progress: Progress,
    description: str,
) -> Teacher:
    """Run a teacher over the training sequences once, in the scoring engine's batches.

    The states are computed as the student's are, in mixed precision, adapter unmerged, so that a
    student that equals its teacher has no loss. A file that is complete is taken as it is.

    Args:
        model: The teacher.
        sequences: Training sequences with their places.
        file: Where the states go.
        progress: Where progress is shown.
        description: What the progress bar says.

    Raises:
        TrainingError: If disk or memory have no room.
    """
    engine = model.base.engine
    parts = engine.parts
    model.base.activate(model.adapter)
    total = sum(len(sequence["input_ids"]) - 1 for sequence in sequences)
    width = _width(parts)
    about = {"tokens": total, "width": width, "dtype": str(parts.dtype)}
    mark = file.with_suffix(".json")
    size = total * width * parts.dtype.itemsize
    complete = _read(mark) == about and _is_file(file, size)
    if not complete:
        mark.unlink(missing_ok=True)
        file.unlink(missing_ok=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        _check_space(file, size)
    states = torch.from_file(str(file), shared=True, size=total * width, dtype=parts.dtype).view(
        total, width
    )

    def record(layout: Layout, batch: Sequence[Row]) -> None:
        _record(parts, layout, batch, states)

    if not complete:
        mixed = mixed_precision(parts.device, parts.dtype)
        with torch.inference_mode(), mixed, progress.bar(len(sequences), description, "ex") as bar:
            for layout, batch in _batches(engine, sequences, token_budget(parts)):
                run_halved(
                    partial(record, layout),
                    batch,
                    device=parts.device,
                    too_large=_too_large,
                )
                bar.update(sum(map(len, batch)))
        mark.write_text(json.dumps(about), encoding="utf-8")
    return Teacher(states, _own_head(parts.head()), parts.device, parts.vocabulary)


def _is_file(path: Path, size: int) -> bool:
    """Say whether a file of that size is there: a link would lead elsewhere."""
    return path.is_file() and not path.is_symlink() and path.stat().st_size == size


def _check_space(file: Path, size: int) -> None:
    """Raise if the disk has no room: a mapped file that outgrows it would kill the process."""
    free = shutil.disk_usage(file.parent).free
    if free < size:
        raise TrainingError(
            f"the teachers' hidden states take {size / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are "
            "free",
            where=str(file.parent),
            hint="make room, or name a cache on another disk with --muscle-cache or [run] cache",
        )


Row = list[dict[str, Any]]
"""Sequences that are run as one tree."""


def _batches(
    engine: Engine, sequences: Sequence[dict[str, Any]], budget: int
) -> Iterator[tuple[Layout, list[Row]]]:
    """Yield batches of rows of neighbouring sequences, rows of about one length.

    Sequences that the model does not take as trees are rows of their own, and those beyond its
    longest path never stand in a batch with shorter ones.
    """
    sides: dict[tuple[str, bool], tuple[Layout, list[Row]]] = {}
    for sequence in sorted(sequences, key=lambda sequence: sequence["input_ids"]):
        length = len(sequence["input_ids"]) - 1
        layout = engine.layout if engine.takes_trees(length) else PLAIN
        _, rows = sides.setdefault((layout.name, engine.is_short(length)), (layout, []))
        if rows and layout is not PLAIN and _tokens(rows[-1]) + length <= ROW:
            rows[-1].append(sequence)
        else:
            rows.append([sequence])
    for layout, rows in sides.values():
        for batch in batches(rows, lambda row: (1, _tokens(row)), lambda: budget):
            yield layout, batch


def _tokens(row: Row) -> int:
    return sum(len(sequence["input_ids"]) - 1 for sequence in row)


def _record(
    parts: NetworkParts, layout: Layout, batch: Sequence[Row], states: torch.Tensor
) -> None:
    """Write the states of a batch to their places."""
    trees = [_tree(row) for row in batch]
    nodes = [(number, node) for number, tree in enumerate(trees) for node in range(len(tree))]
    found = layout.run(parts, trees, NO_PREFIX, nodes).to("cpu", parts.dtype)
    start = 0
    for tree, row in zip(trees, batch, strict=True):
        for sequence, path in zip(row, tree.paths, strict=True):
            first = sequence["first"]
            states[first : first + len(path)] = found[[start + node for node in path]]
        start += len(tree)


def _tree(row: Row) -> TokenTree:
    return build_tree([tuple(sequence["input_ids"][:-1]) for sequence in row])


def _too_large(row: Row) -> TrainingError:
    return TrainingError(
        f"out of memory while a teacher reads {len(_tree(row))} tokens",
        hint="set a smaller max_length, or dtype = 'bfloat16'",
    )


def _own_head(head: nn.Module) -> nn.Module:
    """Return a head that training does not change: a copy where adapters are inside it."""
    kinds = (BaseTunerLayer, AuxiliaryTrainingWrapper)
    adapted = any(isinstance(module, kinds) for module in head.modules())
    return copy.deepcopy(head).requires_grad_(False) if adapted else head


def _width(parts: NetworkParts) -> int:
    """Return the size of a hidden state."""
    with torch.inference_mode():
        ids = torch.zeros(1, 1, dtype=torch.long, device=parts.device)
        states, _ = parts.states(input_ids=ids, use_cache=False)
    return int(states.shape[-1])


def _read(mark: Path) -> Any:
    try:
        return read_json(mark)
    except (OSError, ValueError):
        return None
