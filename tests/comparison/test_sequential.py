"""Early decisions: their errors and their savings are computed exactly, path by path."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from pytest_muscle.comparison.sequential import (
    SequentialGate,
    most_flips,
    seeded_keys,
    seeded_order,
)

SIZES = (200, 500, 1_000, 2_000, 5_000)
LIMITS = (0.005, 0.01, 0.02, 0.05, 0.1)


def _outcome(gate, flips, chunk=1) -> tuple[float, float, float]:
    """Return P(passes), P(fails) and the mean share asked, with `flips` to be found.

    The probability of each count of flips is carried from one example to the next, drawn without
    replacement; what reaches a boundary at the end of a chunk stops.
    """
    size, boundaries = gate.can_flip, gate.boundaries()
    highest = min(flips, max(gate.most_flips, 0) + chunk) + 1
    seen = np.arange(highest + 1)
    paths = np.zeros(highest + 1)
    paths[0] = 1
    passes = fails = asked = 0.0
    for draw in range(size + 1):
        if draw:
            up = paths * np.clip((flips - seen) / (size - draw + 1), 0, 1)
            paths = paths - up
            paths[1:] += up[:-1]
        if draw % chunk and draw < size:
            continue
        low, high = boundaries.passes_at[draw] + 1, boundaries.fails_at[draw]
        passing, failing = paths[:low].sum(), paths[high:].sum()
        passes, fails = passes + passing, fails + failing
        asked += draw * (passing + failing)
        paths[:low] = 0
        paths[high:] = 0
        if paths.sum() < 1e-12:
            break
    return passes, fails, asked / size


def _grid(confidence) -> Iterator[SequentialGate]:
    for n in SIZES:
        for limit in LIMITS:
            gate = SequentialGate(n, limit, confidence=confidence, stop_confidence=0.95)
            if gate.decision is None:
                yield gate


@pytest.mark.parametrize("confidence", [None, 0.95], ids=["rate", "bound"])
def test_at_the_limit_a_decision_is_wrong_with_probability_5_percent_at_most(confidence):
    for gate in _grid(confidence):
        if gate.population in (200, 1_000, 2_000):
            assert _outcome(gate, gate.most_flips + 1)[0] <= 0.05
            assert _outcome(gate, gate.most_flips)[1] <= 0.05


@pytest.mark.parametrize("confidence", [None, 0.95], ids=["rate", "bound"])
def test_a_factor_of_3_off_the_limit_under_a_third_is_asked_on_average(confidence):
    shares = []
    for gate in _grid(confidence):
        low = int(gate.population * gate.limit / 3)
        high = round(gate.population * gate.limit * 3)
        for flips in (low, high):
            passes, fails, share = _outcome(gate, flips)
            wrong = passes if flips > gate.most_flips else fails
            assert wrong <= 0.05
            assert passes + fails == pytest.approx(1)
            shares.append(share)
    assert np.mean(shares) < 0.27  # measured: 0.234 and 0.259


@pytest.mark.parametrize(("n", "limit"), [(500, 0.05), (1_000, 0.05), (1_000, 0.1), (5_000, 0.01)])
def test_a_true_rate_at_the_limit_passes_little_oftener_than_by_all_examples(n, limit):
    """Early decisions and the bound may both be wrong; the sum was 5.6 % at most."""
    gate = SequentialGate(n, limit, confidence=0.95)
    chunk, boundaries = max(32, n // 20), gate.boundaries()
    paths = np.zeros(gate.most_flips + chunk + 2)
    paths[0], passes = 1, 0.0
    for draw in range(1, n + 1):
        paths[1:] = paths[1:] * (1 - limit) + paths[:-1] * limit
        paths[0] *= 1 - limit
        if draw % chunk == 0 or draw == n:
            low, high = boundaries.passes_at[draw] + 1, boundaries.fails_at[draw]
            passes += paths[:low].sum()
            paths[:low] = 0
            paths[high:] = 0
    whole = stats.binom.cdf(gate.most_flips, n, limit)
    assert whole <= 0.05
    assert whole < passes <= 0.0565


def test_a_decision_is_as_sure_at_any_number_of_flips_and_any_size_of_chunk():
    gate = SequentialGate(400, 0.05, confidence=None, can_flip=300, stop_confidence=0.9)
    assert gate.most_flips == 20
    for chunk in (1, 7, 50):
        for flips in (0, 5, 15, 19, 20):
            assert _outcome(gate, flips, chunk)[1] <= 0.1
        for flips in (21, 22, 30, 60, 300):
            assert _outcome(gate, flips, chunk)[0] <= 0.1


def test_gates_stop_where_the_boundaries_say():
    random = np.random.default_rng(5)
    for flips in (4, 8, 40):
        flipped = np.zeros(500, dtype=np.bool_)
        flipped[random.choice(500, flips, replace=False)] = True
        gate = SequentialGate(600, 0.02, confidence=None, can_flip=500, stop_confidence=0.95)
        boundaries = gate.boundaries()
        for outcome in flipped:
            if gate.update_each(np.array([outcome])):
                break
        seen = flipped.cumsum()
        asked = np.arange(1, 501)
        stops = (seen <= boundaries.passes_at[1:]) | (seen >= boundaries.fails_at[1:])
        assert gate.asked == asked[stops][0]
        assert gate.decision == ("passes" if flips <= 12 else "fails")


def test_simulated_errors_and_shares_are_those_computed():
    gate = SequentialGate(300, 0.05, confidence=None, stop_confidence=0.95)
    boundaries = gate.boundaries()
    random = np.random.default_rng(7)
    flipped = random.permuted(np.tile(np.arange(300) < 16, (4_000, 1)), axis=1)
    seen = flipped.cumsum(axis=1)
    passing = seen <= boundaries.passes_at[1:]
    stop = (passing | (seen >= boundaries.fails_at[1:])).argmax(axis=1)
    passes, _, share = _outcome(gate, 16)
    assert passing[np.arange(4_000), stop].mean() == pytest.approx(passes, abs=0.012)
    assert (stop + 1).mean() / 300 == pytest.approx(share, abs=0.012)


def test_without_confidence_only_counting_decides_and_it_is_never_wrong():
    gate = SequentialGate(100, 0.03, confidence=None, can_flip=80)
    for flips in range(81):
        passes, fails, _ = _outcome(gate, flips)
        assert (passes, fails) == pytest.approx((1, 0) if flips <= 3 else (0, 1))
    boundaries = gate.boundaries()
    assert boundaries.passes_at.tolist() == [-1] * 77 + [0, 1, 2, 3]
    assert boundaries.fails_at.tolist() == [*range(1, 4), *[4] * 78]
    gate.update(4, 10)
    assert gate.decision == "fails"
    assert gate.why == "4 of 10 examples asked flip, and of all 100 at most 3 may"


def test_examples_that_cannot_flip_count_and_are_not_asked():
    gate = SequentialGate(1_000, 0.02, confidence=None, can_flip=20)
    assert (gate.decision, gate.asked) == ("passes", 0)
    gate = SequentialGate(1_000, 0.02, confidence=None, can_flip=23)
    assert gate.decision is None
    assert gate.update(1, 4) == "passes"


def test_few_examples_that_can_flip_are_decided_by_counting_alone():
    sure = SequentialGate(31, 0.2, confidence=None)
    likely = SequentialGate(31, 0.2, confidence=None, stop_confidence=0.9)
    assert likely.boundaries().passes_at.tolist() == sure.boundaries().passes_at.tolist()
    assert likely.boundaries().fails_at.tolist() == sure.boundaries().fails_at.tolist()


def test_too_few_examples_to_pass_fail_before_one_is_asked():
    gate = SequentialGate(50, 0.01, confidence=0.95)
    assert (gate.decision, gate.asked) == ("fails", 0)
    assert gate.why == "50 examples are too few to pass, even without a flip"
    assert gate.boundaries().fails_at[0] == 0


def test_a_decision_says_why_and_stands():
    gate = SequentialGate(1_000, 0.05, confidence=None, stop_confidence=0.95)
    assert gate.why == "0 of 0 examples asked flip: not decided yet"
    assert gate.update(2, 200) == "passes"
    assert gate.why == (
        "2 of 200 examples asked flip: of all 1000, at most 50 flip (at 95 % confidence)"
    )
    assert gate.update(60, 100) == "passes"
    assert gate.asked == 300
    with pytest.raises(ValueError, match="3 flips among 2 examples after 300 of 1000"):
        gate.update(3, 2)
    with pytest.raises(ValueError, match="0 flips among 701 examples"):
        gate.update(0, 701)
    with pytest.raises(ValueError, match="can_flip=11 is not between 0 and 10"):
        SequentialGate(10, 0.1, confidence=None, can_flip=11)
    with pytest.raises(ValueError, match="confidence=1"):
        SequentialGate(10, 0.1, confidence=None, stop_confidence=1)


def test_the_most_flips_are_those_of_the_exact_bound():
    # The bound is above the limit where so few flips are likelier than 5 % at the limit.
    for n, limit in ((100, 0.05), (1_000, 0.02), (5_000, 0.005)):
        most = most_flips(n, limit, 0.95)
        assert stats.binom.cdf(most, n, limit) <= 0.05 < stats.binom.cdf(most + 1, n, limit)
    assert most_flips(100, 0.07) == 7  # 0.07 * 100 is 7.000000000000001
    assert most_flips(100, 0.29) == 29  # 0.29 * 100 is 28.999999999999996
    assert most_flips(10, 1) == 10
    assert most_flips(20, 0.1, 0.95, upper_bound=lambda flips, n, _: flips / n) == 2


def test_an_order_depends_on_ids_and_seed_alone():
    ids = [f"q{number}" for number in range(500)]
    order = [ids[position] for position in seeded_order(ids, seed=3)]
    shuffled = [*ids[250:], *ids[:250]]
    assert [shuffled[position] for position in seeded_order(shuffled, seed=3)] == order
    assert sorted(order) == sorted(ids)
    assert order != [ids[position] for position in seeded_order(ids, seed=4)]
    assert seeded_order(5, 1).tolist() == seeded_order([0, 1, 2, 3, 4], 1).tolist()
    assert seeded_keys([1, "1"], 0)[0] != seeded_keys([1, "1"], 0)[1]


def test_orders_over_many_seeds_are_uniform():
    first = [int(seeded_order(10, seed)[0]) for seed in range(2_000)]
    assert stats.chisquare(np.bincount(first, minlength=10)).pvalue > 0.01
    keys = seeded_keys(5_000, 1) / 2.0**64
    assert stats.kstest(keys, "uniform").pvalue > 0.01


def test_boundaries_of_100_000_examples_are_found_in_a_moment():
    gate = SequentialGate(100_000, 0.05, confidence=0.95)
    boundaries = gate.boundaries()
    assert (np.diff(boundaries.passes_at) >= 0).all()
    assert (boundaries.passes_at < boundaries.fails_at).all()
    assert boundaries.passes_at[-1] + 1 == boundaries.fails_at[-1] == gate.most_flips + 1
