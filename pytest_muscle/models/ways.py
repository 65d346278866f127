"""Ways to let texts grow, and which of them a model can: what gives other logits is not used."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import torch

from pytest_muscle.models.layouts import NO_PREFIX, compute_prefix
from pytest_muscle.models.parts import NetworkParts
from pytest_muscle.models.probe import Engine, has_window_of_places, is_close, probe_tokens
from pytest_muscle.models.rows import CachedRows, RecomputedRows, Rows, run_alone


class Way(Enum):
    """From the cheapest to the one that every model can."""

    SHARED = "over the cache of a shared prefix"
    CACHED = "in batches over a cache"
    ALONE = "one text at a time"
    RECOMPUTED = "from the beginning for each token"


class Ways:
    """The ways that a model can go, each found out by a probe when it is first asked for.

    Args:
        engine: How the model is run.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._usable: dict[Way, bool] = {Way.RECOMPUTED: True}

    def best(self, length: int) -> Way:
        """Return the cheapest way for a text that has so many tokens at its end.

        Its batch has none that is longer.
        """
        return next(way for way in Way if self._fits(way, length) and self.is_usable(way))

    def is_short(self, length: int) -> bool:
        """Return whether each of so many tokens sees all before it, positions unscaled."""
        return self._engine.is_short(length)

    def is_usable(self, way: Way) -> bool:
        """Return whether a few tokens have the logits of a forward pass of their own."""
        if way not in self._usable:
            with torch.inference_mode():
                self._usable[way] = _is_equal(self._engine.parts, way)
        return self._usable[way]

    def _fits(self, way: Way, length: int) -> bool:
        if way is Way.SHARED:
            # What fills rows up stands behind the prefix: a window over places would count it.
            config = self._engine.parts.network.config
            return self._engine.is_short(length) and not has_window_of_places(config)
        if way is Way.CACHED:
            return self._engine.is_short(length) or _is_window(self._engine)
        return True


def _is_window(engine: Engine) -> bool:
    """Return whether a window of attention alone keeps tokens from seeing all before them.

    The model's own cache and masks know it. Positions that are scaled, they do not.
    """
    text = engine.parts.network.config.get_text_config()
    rope = getattr(text, "rope_parameters", None) or {}
    settings = [rope, *(value for value in rope.values() if isinstance(value, dict))]
    scaled = any(value.get("rope_type") in ("dynamic", "longrope") for value in settings)
    return not scaled and not getattr(text, "attention_chunk_size", None)


def _is_equal(parts: NetworkParts, way: Way) -> bool:
    """Return whether texts that grow have the logits of plain forward passes."""
    tokens = probe_tokens(parts)
    start, added = tuple(tokens[:3]), tokens[9:]
    prompts = [(*start, *tokens[3:7]), (*start, *tokens[7:9])]
    plain = RecomputedRows(parts, parts.head())
    try:
        if way is Way.ALONE:
            found = _grow_alone(parts, prompts[0], added)
            wanted = torch.cat([plain.begin(prompts[:1]), *(plain.step([x]) for x in added)])
        else:
            prefix = compute_prefix(parts, start) if way is Way.SHARED else NO_PREFIX
            if prefix is None:
                return False
            found = _grow(CachedRows(parts, parts.head(), prefix), prompts, added)
            wanted = _grow(plain, prompts, added)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a model does with inputs that it does not expect
        return False
    return found.shape == wanted.shape and is_close(found, wanted, parts.dtype)


def _grow(rows: Rows, prompts: Sequence[tuple[int, ...]], added: Sequence[int]) -> torch.Tensor:
    """Return the logits of two rows that change places, of which one doubles and one leaves."""
    logits = [rows.begin(prompts)]
    rows.select([1, 0, 1])
    logits.append(rows.step(added))
    rows.select([2, 1])
    logits.append(rows.step(added[1:]))
    logits.append(rows.step(added[:2]))
    return torch.cat(logits)


def _grow_alone(parts: NetworkParts, prompt: tuple[int, ...], added: Sequence[int]) -> torch.Tensor:
    logits: list[torch.Tensor] = []

    def follow(scores: torch.Tensor, _: torch.Tensor) -> tuple[int, bool]:
        logits.append(scores.clone())
        done = len(logits) > len(added)
        return (0 if done else added[len(logits) - 1]), done

    run_alone(parts, prompt, len(added) + 1, follow)
    return torch.cat(logits)
