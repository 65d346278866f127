"""Where a model was stopped before it had answered all that matters, and what that decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pytest_muscle.errors import PredictionsError

ASK_ALL = "set [gate] sequential = false"
"""What to do about answers that are missing because a gate was decided without them."""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """A gate on the negative flip rate that was decided before all examples were asked.

    Attributes:
        decision: "passes" or "fails".
        why: The counts that decide, in words.
        asked: How many examples were asked, in a random order.
        flips: Negative flips among them.
        can_flip: How many examples can flip, those that were asked among them.
        population: How many examples there are, those among them that cannot flip.
        limit: The gate's limit, a fraction 0-1 of the population.
        confidence: Of the upper bound that the gate judges; none judges the rate itself.
        interval: Method of that bound.
        surety: Confidence of the decision; none where counting makes it certain.
    """

    decision: Literal["passes", "fails"]
    why: str
    asked: int
    flips: int
    can_flip: int
    population: int
    limit: float
    confidence: float | None
    interval: str
    surety: float | None

    def judges(self, limit: float, confidence: float | None, interval: str) -> bool:
        """Return whether it decided just this gate."""
        same = self.limit == limit and self.confidence == confidence
        return same and (confidence is None or self.interval == interval)

    def describe(self) -> str:
        """Return it in words: "decided after 180 of 1,240 that can flip (of 2,000): passes"."""
        how = "" if self.surety is None else f" at {100 * self.surety:g} % confidence"
        return (
            f"decided after {self.asked:,} of {self.can_flip:,} that can flip "
            f"(of {self.population:,}): {self.decision}{how}"
        )

    def describe_gate(self) -> str:
        """Return the gate that it decided, as the arguments of an assertion."""
        parts = [f"max_rate={self.limit:g}"]
        if self.confidence is not None:
            parts.append(f"confidence={self.confidence:g}")
            if self.interval != "exact":
                parts.append(f"interval={self.interval!r}")
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any, *, where: str) -> Stop:
        """Return what `to_json` wrote.

        Raises:
            PredictionsError: If it is something else.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or set(values) != names or not _is_sound(values):
            raise PredictionsError(
                "does not say where the model was stopped",
                where=where,
                hint="the manifest is damaged or was edited: make the predictions again",
            )
        return cls(**values)


def _is_sound(values: Mapping[str, Any]) -> bool:
    counts = [values[name] for name in ("flips", "asked", "can_flip", "population")]
    return (
        values["decision"] in ("passes", "fails")
        and all(isinstance(values[name], str) for name in ("why", "interval"))
        and all(type(number) is int for number in counts)
        and counts == sorted(counts)
        and counts[0] >= 0
        and type(values["limit"]) in (int, float)
        and all(type(values[name]) in (float, type(None)) for name in ("confidence", "surety"))
    )
