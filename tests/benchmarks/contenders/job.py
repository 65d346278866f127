"""What a contender is given and what it gives back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training run, the same for every contender.

    Attributes:
        texts: Training texts, as `write_texts` wrote them.
        old_model: Directory of the old base model.
        new_model: Directory of the new one.
        old_adapter: Directory of the old model's task adapter.
        new_adapter: Directory of the new model's; the trained adapter starts with its weights.
        device: Where it runs.
        dtype: Type of the weights; bfloat16 trains under autocast.
        epochs: Passes over the texts.
        batch_size: Texts per step.
        learning_rate: Peak; it rises over a tenth of the steps and falls to zero.
        temperature: Of the distillation.
        seed: Of the order.
        output: Directory for the trained adapter and whatever else is written.
    """

    texts: str
    old_model: str
    new_model: str
    old_adapter: str
    new_adapter: str
    device: str
    dtype: str
    epochs: int
    batch_size: int
    output: str
    learning_rate: float = 1e-4
    temperature: float = 2.0
    seed: int = 0

    def steps(self, texts: int) -> int:
        """Return how many optimiser steps so many texts take."""
        return -(-texts // self.batch_size) * self.epochs

    def warmup_steps(self, texts: int) -> int:
        """Return how many steps the learning rate rises."""
        return min(500, self.steps(texts) // 10)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read what `write` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, kw_only=True)
class Training:
    """What training was like.

    Attributes:
        tokens: Tokens of all texts, without padding.
        losses: (step, loss) at logged steps, where the contender says so.
        notes: Whatever else it says about itself.
    """

    tokens: int
    losses: list[tuple[int, float]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
