"""How much memory a run takes at its peak, from sizes alone; rounded by whoever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_muscle.models.memory import CHUNK_LOGITS
from pytest_muscle.overview.models import ModelFacts

PROCESS = 0.8e9
"""Bytes that torch, transformers and peft take on the CPU; on other devices their contexts do."""

OPTIMISER = 16
"""Bytes of a trained weight in float32: itself, its gradient and AdamW's two moments."""

LOGITS_HELD = 4
"""Times that a chunk's logits stand in float32: themselves, probabilities, their gradients; with
teachers, theirs come on top."""


@dataclass(frozen=True)
class Peak:
    """Memory at one moment.

    Attributes:
        moment: When.
        parts: Bytes by what takes them.
    """

    moment: str
    parts: dict[str, float]

    @property
    def size(self) -> float:
        """All bytes."""
        return sum(self.parts.values())


def answering_peak(loaded: Sequence[ModelFacts], tokens: float, moment: str) -> Peak:
    """Return the peak while a model answers.

    Args:
        loaded: The models in memory, the answering one last.
        tokens: Of a batch.
        moment: When that is.
    """
    model = loaded[-1]
    return Peak(
        moment,
        {
            "weights": sum(facts.bytes_in_memory for facts in loaded),
            "a batch": tokens * _forward_bytes(model) + _logits(model, 2),
            "the process": PROCESS,
        },
    )


def training_peak(
    model: ModelFacts,
    tokens: float,
    lora: float,
    moment: str,
    *,
    teacher: ModelFacts | None = None,
    checkpointing: bool = False,
) -> Peak:
    """Return the peak while an adapter is trained.

    Args:
        model: The model that gets it; no other is in memory.
        tokens: Of a part of a batch, which runs forwards and backwards at once.
        lora: Number of trained weights.
        moment: When that is.
        teacher: The old model, whose head stays in memory.
        checkpointing: Whether activations are computed again instead of held.
    """
    held = _forward_bytes(model) if checkpointing else _held_bytes(model)
    logits = _logits(model, LOGITS_HELD + (2 if teacher else 0))
    parts = {
        "weights": model.bytes_in_memory,
        "activations": tokens * held * (model.layers or 1) + logits,
        "the adapter's training": lora * OPTIMISER,
        "the process": PROCESS,
    }
    if teacher is not None:
        # Its head, and the adapters of both teachers' bases.
        parts["teachers"] = teacher.per_projection * teacher.item_size + 2 * 4 * lora
    return Peak(moment, parts)


def _forward_bytes(model: ModelFacts) -> float:
    """Return the bytes of a token in a forward pass, as `models/memory.py` estimates them."""
    return float(model.item_size * (16 * (model.hidden or 0) + 4 * (model.inner or 0)))


def _held_bytes(model: ModelFacts) -> float:
    """Return the bytes of a token that a layer holds for its backward pass.

    Source: Korthikanti et al. 2022, section 4.1, with the gated perceptron that most models have
    and the copies that LoRA layers keep.
    """
    return float(model.item_size * (17 * (model.hidden or 0) + 5 * (model.inner or 0)))


def _logits(model: ModelFacts, times: int) -> float:
    assert model.placement is not None
    return 4.0 * times * CHUNK_LOGITS[model.placement.device]
