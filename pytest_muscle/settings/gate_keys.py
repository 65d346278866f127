"""The keys of `[gate]`, `[tasks.NAME.gate]` and `[noise]`: what is judged, and how surely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_muscle.settings.field import key

Interval = Literal["exact", "wilson"]
Built = Literal["new", "old"]
Variation = Literal["seed", "dtype", "batch", "sampling"]


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """`[gate]` and `[tasks.NAME.gate]`: the limits that `assert_gate` judges by.

    `family` is no key: it counts the limits that are judged together, with `family_wise`.
    """

    max_nfr: float | str | None = key(
        'Largest negative flip rate, 0-1; or "floor + 0.01": above the noise floor',
        minimum=0,
        maximum=1,
    )
    confidence: float | None = key(
        "Judge the one-sided upper confidence bound, not the point estimate", above=0, below=1
    )
    interval: Interval = key("Bounds of rates: exact (Clopper-Pearson) or wilson", "exact")
    max_accuracy_drop: float | None = key(
        "Largest loss of accuracy (of the mean score), 0-1; negative asks for a gain",
        minimum=-1,
        maximum=1,
    )
    max_inconsistency: float | None = key("Largest inconsistency rate, 0-1", minimum=0, maximum=1)
    max_mean_regress: float | None = key(
        "Largest mean fall of the scores that fall, in the score's unit", minimum=0
    )
    max_slice_nfr: float | None = key(
        "Largest negative flip rate of each value of the columns in `slices`, 0-1",
        minimum=0,
        maximum=1,
    )
    family_wise: bool = key(
        "Hold `confidence` for all limits of all tasks at once (Bonferroni)", False
    )
    sequential: bool = key(
        "Stop asking as soon as max_nfr is decided, for certain or at `confidence` (else 0.95)",
        False,
    )
    family: int = 1

    @property
    def judged_confidence(self) -> float | None:
        """The confidence that each limit is judged with."""
        if self.confidence is None or not self.family_wise:
            return self.confidence
        from pytest_muscle.comparison.families import family_confidence

        return family_confidence(self.confidence, self.family)


@dataclass(frozen=True, kw_only=True)
class NoiseSettings:
    """`[noise]`: how the noise floor is measured, between builds of one version."""

    repeats: int | None = key(
        "How many builds of one version the noise floor is measured between, the usual one "
        "included; left out: 3, or one for each dtype that the device can run",
        minimum=2,
        maximum=100,
    )
    version: Built | None = key(
        "Which version they are of: new or old; left out: new, or old where no new one is "
        "configured"
    )
    vary: Variation | None = key(
        "What they differ in: seed (of the task adapter), dtype, batch (its size) or sampling (the "
        "seed of drawn answers); left out: seed where the task's adapter is trained, sampling "
        "where answers are drawn, else dtype, or batch where there are too few types"
    )
