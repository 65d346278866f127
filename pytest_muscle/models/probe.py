"""A few tokens run in each way, once per model: what gives other answers than rows is not used."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from pytest_muscle.models.layouts import (
    LAYOUTS,
    NO_PREFIX,
    PLAIN,
    Layout,
    Prefix,
    compute_prefix,
    is_taken,
    run_plain,
    run_trees,
)
from pytest_muscle.models.parts import NetworkParts, network_parts
from pytest_muscle.models.trees import build_tree

TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest difference of log-probabilities, relative to their spread, that is rounding."""

_PREFIX = (0, 1, 2)
_SEQUENCES = (((3, 4, 5, 6), (3, 4, 5, 7, 8), (3, 4, 5)), ((9, 10), (9, 11, 4), (9, 11, 5)))
"""Probe trees as indices into probe tokens: trunks and branches of several lengths."""


@dataclass(frozen=True)
class Engine:
    """How a model is run: found out once, when it is loaded.

    Attributes:
        parts: The model, split if that gives the same logits.
        layout: The cheapest layout that gives the same answers as plain rows.
        longest_path: Most tokens in which each token sees all before it, or none: a window of
            attention, or the length from which positions are scaled.
    """

    parts: NetworkParts
    layout: Layout
    longest_path: int | None

    def is_short(self, length: int) -> bool:
        """Return whether a path of so many tokens is within `longest_path`."""
        return self.longest_path is None or length <= self.longest_path

    def takes_trees(self, length: int) -> bool:
        """Return whether the model takes trees of sequences of so many tokens."""
        return self.layout.run is run_trees and self.is_short(length)


def find_engine(network: nn.Module, *, layouts: Sequence[Layout] = LAYOUTS) -> Engine:
    """Return how a model is best run, and warn where that is not the cheapest way.

    Args:
        network: A causal language model of transformers, in evaluation mode.
        layouts: The layouts to choose from, cheapest first; the last one is not checked.
    """
    with torch.inference_mode():
        parts = _checked_split(network_parts(network))
        layout = next(layout for layout in layouts if _is_equal(parts, layout))
    reasons = []
    if layout is not layouts[0]:
        reasons.append(f"as {layout.name} (as {layouts[0].name} it gives other answers)")
    if not parts.split:
        reasons.append("with all logits (decoder and head alone give others)")
    if reasons:
        warnings.warn(
            f"{type(parts.network).__name__} is run {' and '.join(reasons)}; "
            "what it answers is right all the same, only slower",
            stacklevel=2,
        )
    return Engine(parts, layout, _longest_path(parts.network.config))


def is_close(found: torch.Tensor, wanted: torch.Tensor, dtype: torch.dtype) -> bool:
    """Return whether logits [n, vocab] mean the same log-probabilities, but for rounding."""
    expected = wanted.float().log_softmax(-1)
    difference = found.float().log_softmax(-1) - expected
    spread = (expected - expected.mean(-1, keepdim=True)).norm()
    return bool(difference.norm() <= TOLERANCE.get(dtype, 1e-4) * spread)


def probe_logits(parts: NetworkParts) -> torch.Tensor:
    """Return logits [nodes, vocab] of the probe's tokens as plain rows."""
    with torch.inference_mode():
        trees, nodes = _probe(parts)
        logits: torch.Tensor = parts.head()(run_plain(parts, trees, NO_PREFIX, nodes))
        return logits


def is_run_alike(model: nn.Module, engine: Engine) -> bool:
    """Return whether a model with an adapter, run by its engine, is what it is as a whole.

    It is not where the adapter looks at more than a layer's input: at the tokens, or at all of a
    sequence.

    Args:
        model: The model with its adapters, in evaluation mode.
        engine: How its base model is run.
    """
    parts = engine.parts
    tree = _probe(parts)[0][0]
    path = tree.paths[1]
    ids = torch.tensor([[tree.tokens[node] for node in path]], device=parts.device)
    with torch.inference_mode():
        found = engine.layout.run(parts, [tree], NO_PREFIX, [(0, node) for node in path])
        wanted = model(input_ids=ids).logits[0]
        return is_close(parts.head()(found), wanted, parts.dtype)


def _checked_split(parts: NetworkParts) -> NetworkParts:
    whole = NetworkParts(parts.network, split=False)
    if not parts.split:
        return whole
    ids = torch.tensor([probe_tokens(parts)[:6]], device=parts.device)
    wanted, _ = whole.states(input_ids=ids, use_cache=False)
    try:
        states, _ = parts.states(input_ids=ids, use_cache=False)
        found = parts.head()(states[0])
    except torch.OutOfMemoryError:
        raise
    except Exception:  # a model of its own kind, which may fail in any way when taken apart
        return whole
    same = found.shape == wanted[0].shape and is_close(found, wanted[0], parts.dtype)
    return parts if same else whole


def _is_equal(parts: NetworkParts, layout: Layout) -> bool:
    if layout is PLAIN:
        return True
    if not is_taken(parts, layout) or has_window_of_places(parts.network.config):
        return False
    tokens = probe_tokens(parts)
    trees, nodes = _probe(parts)
    prefix_tokens = tuple(tokens[index] for index in _PREFIX)
    try:
        prefix = compute_prefix(parts, prefix_tokens) if layout.prefix else NO_PREFIX
        if prefix is None:
            return False
        head = parts.head()
        found = head(layout.run(parts, trees, prefix, nodes))
        wanted = head(run_plain(parts, trees, Prefix(prefix.tokens), nodes))
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a model does with inputs that it does not expect
        return False
    return found.shape == wanted.shape and is_close(found, wanted, parts.dtype)


def _probe(parts: NetworkParts) -> tuple[list[Any], list[tuple[int, int]]]:
    tokens = probe_tokens(parts)
    trees = [
        build_tree([tuple(tokens[index] for index in sequence) for sequence in sequences])
        for sequences in _SEQUENCES
    ]
    return trees, [(row, node) for row, tree in enumerate(trees) for node in range(len(tree))]


def probe_tokens(parts: NetworkParts) -> list[int]:
    """Return twelve tokens from all over the vocabulary."""
    step = max(1, parts.vocabulary // 13)
    return [(1 + number) * step % parts.vocabulary for number in range(12)]


def has_window_of_places(config: Any) -> bool:
    """Return whether attention looks back over places in a row, whatever their positions.

    GPT-Neo's does. The probe is shorter than such windows.
    """
    return "local" in getattr(config, "attention_layers", ())


def _longest_path(config: Any) -> int | None:
    text = config.get_text_config()
    limits = [getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size")]
    rope = getattr(text, "rope_parameters", None) or {}
    for settings in [rope, *(value for value in rope.values() if isinstance(value, dict))]:
        if settings.get("rope_type") in ("dynamic", "longrope"):
            limits.append(settings.get("original_max_position_embeddings"))
            limits.append(getattr(text, "original_max_position_embeddings", None))
    whole = [limit for limit in limits if isinstance(limit, int) and limit > 0]
    return min(whole, default=None)
