"""The noise floor in a line, and how far the flips of an update are above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_muscle.reports.numbers import percent
from pytest_muscle.reports.texts import shorten

if TYPE_CHECKING:
    from pytest_muscle.comparison.noise import NoiseFloor

LONGEST_NAME = 40


class NoiseSummary(NamedTuple):
    """A task's noise floor, in plain values that travel between processes.

    Attributes:
        rate: Mean negative flip rate between two builds, 0-1.
        low: Lower end of its 95 % interval.
        high: Upper end of it.
        builds: How many builds there are.
        version: Which version they are of.
        varied: What they differ in.
    """

    rate: float
    low: float
    high: float
    builds: int
    version: str
    varied: str


def summarise_noise(floor: NoiseFloor) -> NoiseSummary:
    """Return what there is to say of a noise floor."""
    low, high = floor.interval()
    return NoiseSummary(floor.rate, low, high, floor.k, floor.version, floor.varied)


def describe_noise(
    task: str, noise: NoiseSummary, *, nfr: float | None, compat_nfr: float | None
) -> str:
    """Return a noise floor in a line, with the flips above it.

    Args:
        task: Name of the task.
        noise: Its noise floor.
        nfr: Negative flip rate, old to new, where it is known.
        compat_nfr: Negative flip rate, old to compat, where it is known.
    """
    ends = f"{percent(noise.low, 2, '')}–{percent(noise.high, 2, '')}"
    of_version = f" of the {noise.version} version" if noise.version else ""
    by = f" by {noise.varied}" if noise.varied else ""
    said = (
        f"{shorten(task, LONGEST_NAME)}: noise floor {percent(noise.rate)} ({ends}), "
        f"{noise.builds} builds{of_version}{by}"
    )
    compared = [("old→new", nfr), ("old→compat", compat_nfr)]
    excesses = [
        f"{name} is {_points(rate - noise.rate)} it" for name, rate in compared if rate is not None
    ]
    return f"{said}; NFR {', '.join(excesses)}" if excesses else said


def _points(excess: float) -> str:
    return f"{percent(abs(excess), 2, '')} points {'below' if excess < 0 else 'above'}"
