"""How an answer is written: greedily or by sampling, how long, and where it ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How texts are generated.

    Attributes:
        max_new_tokens: Most tokens of an answer.
        stop: Texts that end an answer; they and what follows are cut off.
        no_repeat_ngram_size: No sequence of so many tokens comes twice; 0 allows all.
        temperature: 0 takes the most likely token each time (greedy); above, tokens are drawn from
            the distribution that this divides the logits of.
        top_k: Draw from so many of the likeliest tokens alone; 0 from all.
        top_p: Draw from the likeliest tokens that make up this share of the probability.
        repeats: How many answers are drawn to each prompt.
        seed: Of the draws; each prompt and repeat has draws of its own, whatever else is asked.
        stream: Who draws: another one has other draws by the same seed.
    """

    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    no_repeat_ngram_size: int = 0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repeats: int = 1
    seed: int = 0
    stream: str = ""

    @property
    def samples(self) -> bool:
        """Whether answers are drawn."""
        return self.temperature > 0

    def to_json(self) -> dict[str, Any]:
        """Return all that determines the texts, as JSON values."""
        values = {**asdict(self), "stop": list(self.stop)}
        if not self.stream:
            del values["stream"]
        return values
