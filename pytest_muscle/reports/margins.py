"""Margins of chosen options: by how much a model prefers the right option to the best other one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_muscle.comparison.flips import loglikelihoods_at

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.predictions.packed import Positions

NATS = "nats"
TWOFOLD = math.log(2)
"""The fall of a margin in nats that halves the odds of the right option: less is a close call."""

HALF = 10
"""Bins on each side of a tie."""

ALMOST_ALL = 0.95
"""Share of the margins that the bins are spread over; what is beyond is in the outermost ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """Margins of a comparison's negative flips whose log-likelihoods are known, counted in bins.

    A margin is what the metric compares of the gold option less the most of any other option.
    The metric `acc` compares summed log-likelihoods, `acc_norm` and `acc_bytes` those divided by
    the option's length; of other metrics it is the summed ones. By our metrics a margin above zero
    is a right answer, and one below zero a wrong one.

    Attributes:
        unit: "nats", "nats per character" or "nats per byte".
        flips: How many negative flips are counted.
        edges: Ends of the bins, rising; one more than bins. Zero is the end of a bin. Without a
            flip there are none.
        before: How many of them have the old model's margin in each bin.
        after: How many have the newer model's.
        median_fall: Median of the old margin less the newer one; none without a flip.
        close: How many fall by less than log 2 nats, so that the odds of the right option against
            the best other one are less than halved; none in other units.
    """

    unit: str
    flips: int
    edges: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    median_fall: float | None
    close: int | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Margins:
        """Return what `dataclasses.asdict` and JSON made of it."""
        lists: dict[str, Any] = {name: tuple(values[name]) for name in ("edges", "before", "after")}
        return cls(**{**values, **lists})


def margins_at(
    report: FlipReport, positions: Positions, metric: str
) -> tuple[list[float | None], list[float | None]]:
    """Return the old and the newer model's margins at positions that both were asked at.

    Args:
        report: The comparison.
        positions: Among the examples that the old model answered.
        metric: Name of the metric that chose the options.

    Returns:
        One number each, or none where log-likelihoods are not known or not finite.
    """
    examples, pairs = report.examples, report.pairs

    def of_model(rows: Sequence[tuple[float, ...] | None]) -> list[float | None]:
        margins: list[float | None] = []
        for at, row in zip(positions.tolist(), rows, strict=True):
            example = examples.get(pairs.ids[at])
            options = None if example is None else example.options
            margins.append(None if row is None else margin(row, pairs.gold[at], options, metric))
        return margins

    old, newer = loglikelihoods_at(report, positions)
    return of_model(old), of_model(newer)


def margin(
    loglikelihoods: Sequence[float], gold: Any, options: Sequence[str] | None, metric: str
) -> float | None:
    """Return the gold option's value less the best other one's, in the metric's unit.

    Args:
        loglikelihoods: Summed log-likelihood of each option, in nats.
        gold: Index of the right option.
        options: The options' texts, where they are at hand.
        metric: Name of the metric that compares them.

    Returns:
        None where it is not known: the gold answer is no index, the metric divides by the lengths
        of texts that are not at hand, or a log-likelihood is not finite.
    """
    from pytest_muscle.tasks.metrics import UNITS, option_values

    count = len(loglikelihoods)
    if type(gold) is not int or not 0 <= gold < count or count < 2:
        return None
    if UNITS.get(metric, NATS) != NATS and (options is None or len(options) != count):
        return None
    values = option_values(metric, loglikelihoods, options or ())
    ahead = values[gold] - max(value for at, value in enumerate(values) if at != gold)
    return ahead if math.isfinite(ahead) else None


def count_margins(report: FlipReport, metric: str) -> Margins | None:
    """Return the margins of a comparison's negative flips; none where no model's are known.

    Args:
        report: The comparison.
        metric: Name of the metric that chose the options.
    """
    from pytest_muscle.tasks.metrics import UNITS

    old, newer = margins_at(report, np.flatnonzero(report.pairs.seen_negative), metric)
    known = [
        (before, after)
        for before, after in zip(old, newer, strict=True)
        if before is not None and after is not None
    ]
    unit = UNITS.get(metric, NATS)
    if not known:
        tables = (report.old, report.given)
        if any(table is None or table.columns.loglikelihoods is None for table in tables):
            return None
        return Margins(unit=unit, flips=0, edges=(), before=(), after=(), median_fall=None)
    falls = [before - after for before, after in known]
    sizes = np.abs(np.array(known))
    widest = float(np.quantile(sizes, ALMOST_ALL, method="higher")) or float(sizes.max()) or 1.0
    edges = np.linspace(-widest, widest, 2 * HALF + 1)
    clipped = np.clip(np.array(known), -widest, np.nextafter(widest, 0))
    before, after = (np.histogram(column, bins=edges)[0].tolist() for column in clipped.T)
    return Margins(
        unit=unit,
        flips=len(known),
        edges=tuple(edges.tolist()),
        before=tuple(before),
        after=tuple(after),
        median_fall=statistics.median(falls),
        close=sum(fall < TWOFOLD for fall in falls) if unit == NATS else None,
    )
