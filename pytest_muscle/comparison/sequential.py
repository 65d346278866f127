"""When a gate on the negative flip rate is decided before all examples have been asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_muscle.comparison.intervals import check_confidence, clopper_pearson_upper
from pytest_muscle.comparison.pairs import count
from pytest_muscle.digests import canonical_json
from pytest_muscle.predictions.packed import Mask, Positions

Decision: TypeAlias = Literal["passes", "fails"]
Counts: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
UpperBound: TypeAlias = Callable[[int, int, float], float]

FEWEST = 32
"""Where fewer examples than this can flip, only counting decides early."""

LOWER = (1 / 6, 1 / 4, 1 / 3, 1 / 2)
HIGHER = (2.0, 3.0, 4.0, 6.0)
"""The alternatives that the boundary is weighed against, as multiples of what the gate allows."""


def seeded_keys(ids: int | Iterable[Hashable], seed: int) -> NDArray[np.uint64]:
    """Return a random number for each id that depends on the id and the seed alone, [n].

    Args:
        ids: The examples' ids, each once, or how many there are, for ids 0, 1, ….
        seed: Any whole number.
    """
    start = hashlib.blake2b(f"{seed}:".encode(), digest_size=8)
    keys = bytearray()
    for id_ in range(ids) if isinstance(ids, int) else ids:
        digest = start.copy()
        digest.update(canonical_json(id_).encode(errors="surrogatepass"))
        keys += digest.digest()
    return np.frombuffer(bytes(keys), dtype="<u8").astype(np.uint64)


def seeded_order(ids: int | Iterable[Hashable], seed: int) -> Positions:
    """Return a random order of the examples: the position of the first, of the second, …, [n].

    The same ids come in the same order however the data are sorted.

    Args:
        ids: The examples' ids, each once, or how many there are, for ids 0, 1, ….
        seed: Any whole number; another one gives another order.
    """
    return np.argsort(seeded_keys(ids, seed), kind="stable").astype(np.intp)


def most_flips(
    n: int,
    limit: float,
    confidence: float | None = None,
    upper_bound: UpperBound = clopper_pearson_upper,
) -> int:
    """Return the largest number of negative flips among n examples that a gate passes, or -1.

    Args:
        n: Number of all examples.
        limit: Largest negative flip rate allowed, a fraction 0-1.
        confidence: Of the one-sided upper bound that is judged; none judges the rate itself.
        upper_bound: The bound of (flips, n, confidence).
    """
    low, high = -1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        rate = middle / n if confidence is None else upper_bound(middle, n, confidence)
        low, high = (middle, high) if rate <= limit else (low, middle)
    return low


@dataclass(frozen=True, eq=False)
class Boundaries:
    """Where a gate is decided, by how many examples were asked.

    Attributes:
        passes_at: The most flips at which it passes after 0, 1, … examples, -1 for none, [m + 1].
        fails_at: The fewest flips at which it fails after 0, 1, … examples; one more than the
            examples asked for none, [m + 1].
    """

    passes_at: Counts
    fails_at: Counts


class SequentialGate:
    """A gate "NFR <= limit" over n examples, decided while they are asked in a random order.

    What is decided is the verdict of the gate over all n examples. Counting alone decides for
    certain: more flips than may be, or too few examples left to get there. With a confidence
    chance decides too, and is wrong with probability at most 1 - confidence, whatever the true
    number of flips is, at whichever counts of examples one looks.

    For that the likelihood of the flips seen is held against that of the nearest total that would
    turn the verdict, drawing without replacement: the prior-posterior ratio of Waudby-Smith &
    Ramdas 2020 (arXiv 2006.04347, section 2), with a prior over totals on the other side of the
    limit in place of all totals. The ratio is a martingale under that total and exceeds
    1 / (1 - confidence) with probability at most 1 - confidence (Ville's inequality); under totals
    farther off, all the more seldom. `LOWER` and `HIGHER` are the prior: near a factor of 3, where
    fewest examples should be needed.

    Args:
        population: Number n of all examples, at least 1.
        limit: Largest negative flip rate allowed, a fraction 0-1 of all n.
        confidence: Of the gate's one-sided upper bound; none judges the rate itself.
        can_flip: Examples that the old model has right; no other can flip nor is asked. All by
            default.
        stop_confidence: Of the early decision; that of the gate by default. None of both leaves
            it to counting alone.
        upper_bound: The gate's bound of (flips, n, confidence).

    Raises:
        ValueError: If a confidence or a number is out of range.
    """

    def __init__(
        self,
        population: int,
        limit: float,
        *,
        confidence: float | None,
        can_flip: int | None = None,
        stop_confidence: float | None = None,
        upper_bound: UpperBound = clopper_pearson_upper,
    ) -> None:
        for given in (confidence, stop_confidence):
            if given is not None:
                check_confidence(given)
        self.population = population
        self.can_flip = population if can_flip is None else can_flip
        if population < 1 or not 0 <= self.can_flip <= population:
            raise ValueError(f"can_flip={self.can_flip} is not between 0 and {population} examples")
        self.limit = limit
        self.stop_confidence = confidence if stop_confidence is None else stop_confidence
        self.most_flips = most_flips(population, limit, confidence, upper_bound)
        self.asked = 0
        self.flips = 0
        self.decision: Decision | None = None
        self.why = ""
        self.by_chance = False
        self._decide()

    def __repr__(self) -> str:
        return (
            f"SequentialGate({self.flips} flips, {self.asked} of {self.can_flip} asked, "
            f"decision={self.decision!r})"
        )

    def update(self, flips: int, asked: int) -> Decision | None:
        """Count the next examples of the order, and look; the first decision stands.

        Args:
            flips: Negative flips among them.
            asked: How many they are.

        Raises:
            ValueError: If there are fewer examples than flips, or more than can flip.
        """
        if not 0 <= flips <= asked or self.asked + asked > self.can_flip:
            raise ValueError(
                f"{flips} flips among {asked} examples after {self.asked} of {self.can_flip}"
            )
        self.asked += asked
        self.flips += flips
        if self.decision is None:
            self._decide()
        return self.decision

    def update_each(self, flipped: Mask) -> Decision | None:
        """Count the next examples of the order, given whether each flipped, [k], and look once."""
        return self.update(count(flipped), len(flipped))

    def boundaries(self) -> Boundaries:
        """Return where the gate is decided, known before the first example is asked."""
        asked = np.arange(self.can_flip + 1)
        passes_from, fails_until = self._turns
        passes = np.searchsorted(passes_from, asked, side="right") - 1
        fails = np.searchsorted(fails_until, asked, side="left")
        return Boundaries(passes, np.minimum(fails, asked + 1))

    @cached_property
    def _turns(self) -> tuple[Counts, Counts]:
        """By the flips seen: asked from which the gate passes, asked up to which it fails.

        [most_flips + 1] and [most_flips + 2]: one more flip than may be fails for certain.
        """
        most, size = self.most_flips, self.can_flip
        if size <= most:
            return np.arange(most + 1), np.full(most + 2, -1)
        flips = np.arange(most + 1)
        passes_from = flips + size - most
        fails_until = np.append(flips - 1, size)
        if most < 0 or size < FEWEST or self.stop_confidence is None:
            return passes_from, fails_until
        level = 1 - self.stop_confidence
        fewer = np.unique([int((most + 1) * share) for share in LOWER])
        more = np.unique([min(size, int(max(1, most) * share)) for share in HIGHER])
        more = more[more > most]
        # At one count of flips, the more examples were asked the likelier are the small totals.
        early = _first_true(
            lambda asked: _evidence(size, most + 1, fewer, flips, asked) >= 1 / level,
            low=flips,
            high=passes_from,
        )
        late = _first_true(
            lambda asked: ~(_evidence(size, most, more, flips, asked) >= 1 / level),
            low=flips,
            high=np.full(most + 1, size + 1),
        )
        return early, np.append(late - 1, size)

    def _decide(self) -> None:
        passes_from, fails_until = self._turns
        seen = f"{self.flips} of {self.asked} examples asked flip"
        if self.flips > self.most_flips:
            self.decision = "fails"
            self.why = (
                f"{seen}, and of all {self.population} at most {self.most_flips} may"
                if self.most_flips >= 0
                else f"{self.population} examples are too few to pass, even without a flip"
            )
        elif self.flips + self.can_flip - self.asked <= self.most_flips:
            self.decision = "passes"
            self.why = f"{seen}, and all others may" if self.asked < self.can_flip else seen
        elif self.asked >= passes_from[self.flips]:
            self.decision, self.by_chance = "passes", True
            self.why = f"{seen}: {self._surely('at most')}"
        elif self.asked <= fails_until[self.flips]:
            self.decision, self.by_chance = "fails", True
            self.why = f"{seen}: {self._surely('more than')}"
        else:
            self.why = f"{seen}: not decided yet"

    def _surely(self, how_many: str) -> str:
        return (
            f"of all {self.population}, {how_many} {self.most_flips} flip "
            f"(at {100 * (self.stop_confidence or 0):g} % confidence)"
        )


def _evidence(size: int, null: int, totals: Counts, flips: Counts, asked: Counts) -> Floats:
    """Return how much likelier the flips are under some totals, on average, than under another.

    Args:
        size: Examples that can flip.
        null: The total that is held against the others.
        totals: The others, weighted alike.
        flips: Flips seen, [m].
        asked: Examples they were seen among, [m].
    """
    from scipy.special import logsumexp

    likely = logsumexp(_log_ways(size, totals[:, None], flips, asked), axis=0) - np.log(len(totals))
    unlikely = _log_ways(size, np.asarray(null), flips, asked)
    known = np.isfinite(likely)
    with np.errstate(over="ignore"):
        ratio: Floats = np.exp(np.where(known, likely, -np.inf) - np.where(known, unlikely, 0))
    return ratio


def _log_ways(size: int, total: Counts, flips: Counts, asked: Counts) -> Floats:
    """Return the logarithm of the hypergeometric likelihood, up to what no total changes."""
    from scipy.special import gammaln

    rest, unflipped = total - flips, asked - flips
    others = size - total
    possible = (rest >= 0) & (others >= unflipped)
    rest, left = np.maximum(rest, 0), np.maximum(others - unflipped, 0)
    ways = gammaln(total + 1) - gammaln(rest + 1) + gammaln(others + 1) - gammaln(left + 1)
    logarithm: Floats = np.where(possible, ways, -np.inf)
    return logarithm


def _first_true(test: Callable[[Counts], Mask], *, low: Counts, high: Counts) -> Counts:
    """Return for each element the first number from `low` at which the test holds, or `high`."""
    while (low < high).any():
        middle = (low + high) // 2
        found = test(middle) | (low >= high)
        low, high = (
            np.where(found, low, middle + 1),
            np.where(found, np.minimum(middle, high), high),
        )
    return low
