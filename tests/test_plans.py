"""Plans of a task's limits: which examples count, which limits, and what never passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import beta, binom, binomtest

from pytest_muscle import ModelUpdate, Predictions, read_settings
from pytest_muscle.comparison.noise import excess_upper_bound, noise_floor
from pytest_muscle.errors import ConfigurationError
from pytest_muscle.plans import LimitPlan, plan_flips, plan_task
from pytest_muscle.settings import GateSettings, TaskSettings
from pytest_muscle.settings.flags import Flags
from pytest_muscle.tasks import Example
from tests.conftest import write_jsonl

NEW = '[new]\nmodel = "org/name"\nrevision = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"\n'
TASK = """
[tasks.{name}]
kind = "multiple_choice"
eval = "{name}.jsonl"
prompt = "{{{{ question }}}}"
choices = ["yes", "no"]
gold = "{{{{ label }}}}"
slices = ["place"]
"""


def examples(places: dict[str, int]) -> list[Example]:
    """So many examples of each place."""
    every = [place for place, size in places.items() for _ in range(size)]
    return [
        Example(id=f"q{i}", prompt="", options=("yes", "no"), gold=0, fields={"place": place})
        for i, place in enumerate(every)
    ]


def task_settings(**gate: object) -> TaskSettings:
    return TaskSettings(
        kind="multiple_choice",
        eval="eval.jsonl",
        gold="0",
        slices=("place",),
        gate=GateSettings(**gate),
    )


def plan_of(gate: dict[str, object], places: dict[str, int]) -> list[LimitPlan]:
    return list(plan_task("support", task_settings(**gate), examples(places)).limits)


def project(folder: Path, gate: str, **tasks: int) -> Path:
    """Write a project with so many examples of each task, and no model."""
    for name, n in tasks.items():
        rows = [{"id": i, "question": "?", "label": 0, "place": "north"} for i in range(n)]
        write_jsonl(folder / f"{name}.jsonl", rows)
    text = NEW + gate + "".join(TASK.format(name=name) for name in tasks)
    (folder / "muscle.toml").write_text(text, encoding="utf-8")
    return folder / "muscle.toml"


def update_of(path: Path, **flags: object) -> ModelUpdate:
    return ModelUpdate(read_settings(path, Flags(**flags), invocation_dir=path.parent))


def test_the_largest_count_that_passes_and_the_rates_are_those_of_scipy():
    (plan,) = plan_of({"max_nfr": 0.02, "confidence": 0.95}, {"north": 2000})
    # Clopper and Pearson's bound: 29 of 2,000 keep 2 %, 30 do not.
    assert beta.ppf(0.95, 29 + 1, 2000 - 29) <= 0.02 < beta.ppf(0.95, 30 + 1, 2000 - 30)
    assert plan.gate.most_flips == 29
    assert binom.cdf(29, 2000, plan.gate.passing_rate) == pytest.approx(0.8)
    noticed = next(
        k for k in range(2001) if binomtest(k, 2000, 0.02, alternative="greater").pvalue <= 0.05
    )
    assert binom.sf(noticed - 1, 2000, 0.02 + plan.gate.smallest_excess) == pytest.approx(0.8)
    assert not plan.never_passes


def test_a_hundred_examples_never_show_one_per_cent():
    # 0.99^298 > 0.05 > 0.99^299.
    for n, never in ((100, True), (298, True), (299, False)):
        plan = plan_flips(GateSettings(max_nfr=0.01, confidence=0.95), n)
        assert plan.never_passes is never
        assert plan.gate.examples_to_pass == 299
    assert plan.gate.most_flips == 0


def test_without_confidence_a_gate_can_always_pass():
    plan = plan_flips(GateSettings(max_nfr=0.0), 5)
    assert not plan.never_passes
    assert plan.gate.most_flips == 0


def test_a_gate_without_max_nfr_has_no_plan():
    gate = GateSettings(max_accuracy_drop=0.01, confidence=0.95)
    assert plan_flips(gate, 100) is None
    plan = plan_task("support", task_settings(max_accuracy_drop=0.01), examples({"north": 3}))
    assert (plan.limits, plan.n, plan.never_passes) == ((), 3, False)


def test_a_limit_above_the_floor_is_planned_by_its_margin_and_may_always_pass():
    gate = GateSettings(max_nfr="floor + 0.01", confidence=0.95)
    plan = plan_flips(gate, 100)
    assert (plan.gate.limit, plan.gate.can_pass) == (0.01, False)
    assert plan.above_floor
    assert not plan.never_passes
    # So it is: with a floor of 10 %, a new model without a flip keeps it.
    builds = np.ones((2, 100), dtype=bool)
    builds[0, :20] = False
    floor = noise_floor(builds)
    assert excess_upper_bound(np.zeros(100, dtype=bool), floor, 0.95) < 0.01


def test_the_judged_confidence_counts_with_family_wise():
    gate = GateSettings(max_nfr=0.02, confidence=0.95, family_wise=True, family=4)
    plan = plan_flips(gate, 100).gate
    assert plan.confidence == pytest.approx(0.9875)
    # 0.98^216 > 0.0125 > 0.98^217.
    assert plan.examples_to_pass == 217


def test_the_interval_counts():
    gate = GateSettings(max_nfr=0.01, confidence=0.95, interval="wilson")
    # Without a flip Wilson's bound is z^2 / (n + z^2): 0.01 from z^2 * 99 = 267.8 on.
    assert plan_flips(gate, 267).never_passes
    assert not plan_flips(gate, 268).never_passes


def test_slices_are_planned_for_the_smallest():
    # 0.95^58 > 0.05 > 0.95^59: of three slices one can keep 5 %.
    (plan,) = plan_of(
        {"max_slice_nfr": 0.05, "confidence": 0.95}, {"north": 59, "south": 58, "east": 7}
    )
    assert (plan.key, plan.smallest, plan.gate.n) == ("max_slice_nfr", ("place", "east"), 7)
    assert (plan.slices, plan.too_small, plan.never_passes) == (3, 2, True)
    (plan,) = plan_of({"max_slice_nfr": 0.05}, {"north": 59, "south": 7})
    assert (plan.too_small, plan.never_passes) == (0, False)


def test_slices_of_a_family_are_planned_at_what_each_is_judged_at():
    gate = {"max_slice_nfr": 0.05, "confidence": 0.95, "family_wise": True}
    (plan,) = plan_of(gate, {"north": 72, "south": 71})
    # 97.5 % for each of two: 0.95^71 > 0.025 > 0.95^72.
    assert plan.gate.confidence == pytest.approx(0.975)
    assert (plan.gate.examples_to_pass, plan.too_small) == (72, 1)


def test_an_update_plans_its_tasks_without_models(tmp_path):
    path = project(tmp_path, "[gate]\nmax_nfr = 0.01\nconfidence = 0.95\n", small=100, large=299)
    small, large = update_of(path).plan()
    assert (small.task, small.n, small.never_passes) == ("small", 100, True)
    assert (large.task, large.n, large.never_passes) == ("large", 299, False)
    assert [plan.n for plan in update_of(path, limit=50).plan()] == [50, 50]
    (surer,) = update_of(path).plan(power=0.9)[1].limits
    # With 0 flips of 299 allowed, a rate passes with 0.9 if (1 - rate)^299 = 0.9.
    assert surer.gate.passing_rate == pytest.approx(1 - 0.9 ** (1 / 299))


def test_with_accepted_changes_the_examples_of_the_baseline_count(tmp_path):
    path = project(tmp_path, "[gate]\nmax_nfr = 0.01\nconfidence = 0.95\n", support=300)
    update = update_of(path)
    ids = [str(i) for i in range(200)]
    table = Predictions.from_lists(ids, [0] * 200, [0] * 200)
    update.baselines.write(update.task("support"), table)

    (plan,) = update_of(path, accept_changes=True).plan()

    assert (plan.n, plan.never_passes) == (200, True)
    assert update_of(path).plan()[0].n == 300


@pytest.mark.parametrize("keys", ['metric = "f1"', "temperature = 1.0\nrepeats = 3"])
def test_a_limit_that_graded_scores_cannot_have_is_refused_before_data_are_read(tmp_path, keys):
    path = project(tmp_path, "[gate]\nmax_inconsistency = 0.1\n", support=1)
    text = path.read_text().replace('choices = ["yes", "no"]\n', f"{keys}\n")
    path.write_text(text.replace("multiple_choice", "generation"))
    with pytest.raises(ConfigurationError, match=r"tasks.support.gate.max_inconsistency: is known"):
        update_of(path).check()
    path.write_text(text.replace("multiple_choice", "generation").replace(keys, ""))
    update_of(path).check()
