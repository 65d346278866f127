"""Which examples are asked, in which order, and when that is enough."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_muscle.comparison import compare
from pytest_muscle.comparison.draws import draw_flips
from pytest_muscle.comparison.sequential import seeded_order
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions import Prediction, Predictions
from pytest_muscle.predictions.columns import Columns
from pytest_muscle.settings import GateSettings
from pytest_muscle.stopping import Decider, Stopping


class Examples:
    """Examples by id, which here are their ids."""

    def select(self, ids: tuple[Any, ...]) -> tuple[Any, ...]:
        return ids


def task_of(gate: GateSettings, seed: int = 0, metric: str = "acc") -> Any:
    settings = SimpleNamespace(seed=seed)
    return SimpleNamespace(
        name="t", gate=gate, settings=settings, metric=metric, eval_by_id=Examples()
    )


def gate_of(max_nfr: float, **keys: Any) -> GateSettings:
    return GateSettings(max_nfr=max_nfr, sequential=True, **keys)


def old_table(n: int, right: int) -> Predictions:
    """Of n examples, of which every other one is right until there are enough."""
    answers = [int(number % 2 == 0 and number < 2 * right) for number in range(n)]
    assert sum(answers) == right
    return Predictions.from_lists(range(n), answers, [1] * n, task="t")


def play(stopping: Stopping, new: Predictions, at_once: int = 7) -> tuple[Decider, Predictions]:
    """Ask example by example as a model would, a few more each time; return the table."""
    rows = {row.id: row for row in new}
    decider, answers = stopping.begin(), []
    for id_ in stopping.examples:
        if decider.is_over:
            break
        answers.append(rows[id_])
        if len(answers) % at_once == 0 or len(answers) == len(stopping.positions):
            decider.look(answers, lambda _, given: (Columns.of(given), new.graded))
    columns, unasked = decider.rows()
    table = replace(new, rows=columns, unasked=unasked, stop=decider.stop())
    return decider, table


def test_only_what_can_flip_is_asked_chunk_after_chunk_of_the_seeded_order():
    old = old_table(2000, 900)
    stopping = Stopping.of(task_of(gate_of(0.02), seed=5), old)
    assert stopping.chunk == 45
    order, right = stopping.order.tolist(), [2 * number for number in range(900)]
    assert sorted(order) == right
    shuffled = seeded_order(right, 5)
    assert set(order[:45]) == {right[place] for place in shuffled[:45]}
    assert order[:45] == sorted(order[:45])
    assert order != Stopping.of(task_of(gate_of(0.02), seed=6), old).order.tolist()
    assert Stopping.of(task_of(gate_of(0.02)), old_table(100, 40)).chunk == 32
    assert stopping.question.ids == tuple(right)
    assert set(stopping.question.unasked) == set(range(2000)) - set(right)


@pytest.mark.parametrize(("flips", "decision"), [(0, "passes"), (300, "fails"), (900, "fails")])
def test_the_table_says_what_was_seen_and_decided(flips: int, decision: str):
    old = old_table(2000, 900)
    flipped = set(range(0, 2 * flips, 2))
    answers = [int(number not in flipped) for number in range(2000)]
    new = Predictions.from_lists(range(2000), answers, [1] * 2000, task="t")
    stopping = Stopping.of(task_of(gate_of(0.02)), old)

    decider, table = play(stopping, new)

    stop = table.stop
    assert stop.decision == decision
    assert stop.asked == len(table) == decider.gate.asked < 300
    assert stop.asked % 45 == 0
    assert stop.flips == sum(row.id in flipped for row in table)
    assert (stop.can_flip, stop.population, stop.limit) == (900, 2000, 0.02)
    assert stop.surety == (None if flips == 900 else 0.95)  # 45 flips of 45, and 40 may
    ids = [row.id for row in table]
    assert ids == sorted(ids)
    assert sorted([*ids, *table.unasked]) == list(range(2000))
    report = compare(old, table)
    assert report.n == 2000
    assert {flip.id for flip in report.list_seen_flips()} == flipped & set(ids)


def test_a_rate_at_the_limit_passes_though_it_is_no_binary_fraction():
    """As where all are asked: what rounding adds to a limit counts on neither side."""
    limit = 1.0 - 0.9 - 0.03
    assert limit < 7 / 100
    stopping = Stopping.of(task_of(gate_of(limit)), old_table(100, 50))
    assert stopping.begin().gate.most_flips == 7


def test_graded_draws_flip_by_their_exact_test():
    rng = np.random.default_rng(1)
    before = (rng.random((400, 8)) < 0.9).astype(float)
    after = (rng.random((400, 8)) < 0.3).astype(float)

    def table(draws: Any) -> Predictions:
        rows = [
            Prediction(
                id=number, answer=1, gold=1, correct=True, score=mean, draws=tuple(scores.tolist())
            )
            for number, (scores, mean) in enumerate(
                zip(draws, draws.mean(axis=1).tolist(), strict=True)
            )
        ]
        return Predictions(rows, task="t", graded=True)

    old, new = table(before), table(after)
    can = before.mean(axis=1) > 0
    stopping = Stopping.of(task_of(gate_of(0.1, confidence=0.9)), old)
    assert stopping.positions.tolist() == np.flatnonzero(can).tolist()
    _, stopped = play(stopping, new)
    asked = [row.id for row in stopped]
    wanted = draw_flips(before, after)[0]
    assert stopped.stop.flips == wanted[asked].sum() > 0
    assert stopped.stop.decision == "fails"
    assert compare(old, stopped).pairs.seen_negative.sum() == stopped.stop.flips


def test_by_a_metric_of_the_user_s_own_any_graded_score_can_fall():
    old = Predictions.from_scores(range(80), [0.0] * 80, task="t")
    stopping = Stopping.of(task_of(gate_of(0.5), metric="mine:score"), old)
    assert len(stopping.positions) == 80
    assert stopping.question.unasked == ()
    new = Predictions.from_scores(range(80), [-1.0] * 80, task="t")
    _, table = play(stopping, new)
    assert (table.stop.decision, table.stop.can_flip) == ("fails", 80)
    assert compare(old, table).stop is table.stop


def test_what_decides_is_part_of_what_the_table_is_made_of():
    old = Predictions.from_scores(range(80), [0.5] * 80, task="t")
    other = Predictions.from_scores(range(80), [0.6] * 80, task="t")
    made = [
        Stopping.of(task_of(gate, seed), table).made_of
        for gate, seed, table in [
            (gate_of(0.1), 0, old),
            (gate_of(0.2), 0, old),
            (gate_of(0.1, confidence=0.9), 0, old),
            (gate_of(0.1, confidence=0.9, interval="wilson"), 0, old),
            (gate_of(0.1), 1, old),
            (gate_of(0.1), 0, other),
            (gate_of(0.1), 0, replace(old, tolerance=0.1)),
        ]
    ]
    assert all(one != another for place, one in enumerate(made) for another in made[:place])


def test_a_stopped_table_and_other_old_predictions_do_not_go_together():
    old = old_table(2000, 900)
    new = Predictions.from_lists(range(2000), [1] * 2000, [1] * 2000, task="t")
    _, table = play(Stopping.of(task_of(gate_of(0.02)), old), new)
    compare(old, table)
    for other in (old_table(2000, 901), old_table(2000, 20)):
        with pytest.raises(ComparisonError, match="by other old predictions than these"):
            compare(other, table)
    with pytest.raises(ComparisonError, match="by other old predictions than these"):
        compare(
            old,
            replace(table, rows=table.columns[:-1], unasked=(*table.unasked, table.columns[-1].id)),
        )
