"""What the figures of report.html show: counts, shares and places on an axis, 0-100."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from pytest_muscle.reports.numbers import percent, score
from pytest_muscle.reports.slices import SURE
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.reports.data import Counts, GateLimit, ScoreChanges
    from pytest_muscle.reports.margins import Margins
    from pytest_muscle.reports.slices import SliceSummary
    from pytest_muscle.reports.terminal import TaskSummary


class Quadrant(NamedTuple):
    """One of the outcomes that an example can have with two models.

    Attributes:
        kind: "negative", "positive", "same-right", "same-wrong" or "unknown".
        label: In words.
        examples: How many.
        share: Of all examples, 0-100.
    """

    kind: str
    label: str
    examples: int
    share: float


class Bar(NamedTuple):
    """A rate with its interval on an axis.

    Attributes:
        kind: "new", "compat" or "noise".
        label: What it is of.
        text: The rate with its interval, as it is read.
        at: Place of the rate, 0-100.
        start: Place of the interval's lower end; that of the rate where there is no interval.
        width: From there to its upper end.
    """

    kind: str
    label: str
    text: str
    at: float
    start: float
    width: float


class Level(NamedTuple):
    """A limit on an axis: its place, 0-100, and what it is in words."""

    at: float
    text: str


class Axis(NamedTuple):
    """Bars that share an axis from 0, the ends of its three marks, and a limit if there is one."""

    bars: tuple[Bar, ...]
    marks: tuple[str, ...]
    level: Level | None = None


class Bin(NamedTuple):
    """A column of a distribution: its height 0-100, what is in it, and of what kind it is."""

    height: float
    text: str
    kind: str


class Stack(NamedTuple):
    """A column of two distributions: heights of the old and the newer model's part, 0-100."""

    before: float
    after: float
    text: str


def find_quadrants(counts: Counts, n: int, *, graded: bool) -> tuple[Quadrant, ...]:
    """Return what became of the examples: of graded scores, how many fell, stayed and rose.

    Args:
        counts: How many examples are right or wrong with the two models.
        n: Number of all examples.
        graded: Whether scores are graded.
    """
    if graded:
        stayed = n - counts.negative - counts.positive if counts.positive is not None else None
        cells = [
            ("negative", "score falls", counts.negative),
            ("same-right", "stays", stayed),
            ("positive", "score rises", counts.positive),
        ]
    else:
        cells = [
            ("same-right", "right with both", counts.both_right),
            ("negative", "right, now wrong", counts.negative),
            ("positive", "wrong, now right", counts.positive),
            ("same-wrong", "wrong with both", counts.both_wrong),
        ]
    known = [(kind, label, count) for kind, label, count in cells if count is not None]
    if counts.positive is None:
        known.append(("unknown", "not known", n - counts.negative))
    return tuple(
        Quadrant(kind, label, count, 100 * count / n if n else 0.0) for kind, label, count in known
    )


def draw_rates(summary: TaskSummary, limit: GateLimit | None = None) -> Axis | None:
    """Return the negative flip rates of a task and its noise floor on one axis, if any is known.

    Args:
        summary: The rates.
        limit: What the configuration allows, drawn where its place is known.
    """
    given = [rate for rate in _rates(summary) if math.isfinite(rate[2])]
    if not given:
        return None
    place = None if limit is None else limit.place(summary)
    top = _top(max([place or 0.0, *(rate[4] for rate in given)]))
    bars = tuple(
        Bar(kind, label, text, 100 * rate / top, 100 * low / top, 100 * (high - low) / top)
        for kind, label, rate, low, high, text in given
    )
    level = None
    if limit is not None and place is not None:
        level = Level(100 * min(place, top) / top, describe_limit(limit, place))
    return Axis(bars, tuple(f"{50 * top * part:.4g} %" for part in range(3)), level)


def describe_limit(limit: GateLimit, place: float) -> str:
    """Return in words what must keep a limit.

    Args:
        limit: The limit.
        place: The rate that it comes to.
    """
    said = f"limit {percent(place)}"
    if limit.floor_margin is not None:
        said += f", {percent(limit.floor_margin, 2, '')} points above the noise floor"
    if limit.confidence is None:
        return f"{said}, which the rate must keep"
    return f"{said}, which the upper {100 * limit.confidence:.4g} % bound must keep"


def _rates(summary: TaskSummary) -> Iterator[tuple[str, str, float, float, float, str]]:
    sides = (
        ("new", summary.nfr, summary.nfr_interval, summary.least_nfr),
        ("compat", summary.compat_nfr, summary.compat_nfr_interval, summary.compat_least_nfr),
    )
    for side, rate, interval, least in sides:
        if least is not None:
            seen = f"at least {percent(least)}, seen until the gate was decided"
            yield side, f"NFR, old → {side}", least, least, least, seen
        elif rate is not None:
            low, high = interval or (rate, rate)
            yield side, f"NFR, old → {side}", rate, low, high, show_rate(rate, low, high)
    if (noise := summary.noise) is not None:
        text = show_rate(noise.rate, noise.low, noise.high)
        yield "noise", "noise floor", noise.rate, noise.low, noise.high, text


def show_rate(rate: float, low: float, high: float) -> str:
    """Return a rate with the ends of its 95 % interval: "3.60 % (2.10–5.70)"."""
    return f"{percent(rate)} ({percent(low, 2, '')}–{percent(high, 2, '')})"


def _top(highest: float) -> float:
    """Return a round number that is at least the highest value, for the end of an axis."""
    if not 0 < highest < 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    return min(1.0, next(step * power for step in (1, 2, 4, 6, 10) if step * power >= highest))


def draw_changes(changes: ScoreChanges, tolerance: float) -> tuple[Bin, ...]:
    """Return the distribution of score changes.

    Args:
        changes: How far scores moved.
        tolerance: The largest change that is no flip.
    """
    most = max(changes.counts, default=0) or 1
    bins = zip(pairwise(changes.edges), changes.counts, strict=True)
    return tuple(
        Bin(
            100 * count / most,
            f"{score(low, 2)} to {score(high, 2)}: {counted(count, 'example')}",
            _direction((low + high) / 2, tolerance),
        )
        for (low, high), count in bins
    )


def draw_margins(margins: Margins, side: str) -> tuple[Stack, ...]:
    """Return the distribution of the old and the newer model's margins.

    Args:
        margins: Their numbers.
        side: The newer model: "new" or "compat".
    """
    pairs = list(zip(margins.before, margins.after, strict=True))
    most = max((before + after for before, after in pairs), default=0) or 1
    drawn = []
    for (low, high), (before, after) in zip(pairwise(margins.edges), pairs, strict=True):
        of = [f"{count} {name}" for count, name in ((before, "old"), (after, side)) if count]
        text = f"{score(low, 2)} to {score(high, 2)}: {', '.join(of) or 'none'}"
        drawn.append(Stack(100 * before / most, 100 * after / most, text))
    return tuple(drawn)


def say_margins(margins: Margins) -> str:
    """Return how far margins fall, in a sentence."""
    assert margins.median_fall is not None
    said = f"The margin falls by {score(margins.median_fall, 2)} {margins.unit} in the median"
    if margins.close is None:
        return f"{said} of {counted(margins.flips, 'flip')}."
    return (
        f"{said}; {margins.close:,} of {counted(margins.flips, 'flip')} "
        f"{'is a close call' if margins.close == 1 else 'are close calls'}, where it falls by less "
        "than 0.69 and the odds of the right option are less than halved."
    )


def _direction(change: float, tolerance: float) -> str:
    if abs(change) <= max(tolerance, 1e-9):  # the middle of the middle bin is 0 but for rounding
        return "same-right"
    return "negative" if change < 0 else "positive"


def sort_slices(slices: Iterable[SliceSummary]) -> list[SliceSummary]:
    """Return slices by harm: those that flip more than others by no chance, then by rate."""
    return sorted(slices, key=lambda group: (group.p > SURE, -group.nfr, -group.n))
