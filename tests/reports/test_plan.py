"""The table of plans and what is said below it."""

from __future__ import annotations

import pytest
from scipy.stats import beta, binom

from pytest_muscle.comparison.planning import plan_gate
from pytest_muscle.plans import TaskPlan, plan_task
from pytest_muscle.reports.plan import (
    describe_hopeless,
    describe_never,
    describe_plans,
    render_plan,
)
from pytest_muscle.settings import GateSettings, TaskSettings
from pytest_muscle.tasks import Example


def plan(task: str = "support", n: int = 100, places: int = 1, **gate: object) -> TaskPlan:
    """Plan a task of n examples, which lie in so many places, one after the other."""
    examples = [
        Example(id=f"q{i}", prompt="", options=(), gold=0, fields={"place": f"p{i % places}"})
        for i in range(n)
    ]
    settings = TaskSettings(
        kind="generation",
        eval="eval.jsonl",
        gold="0",
        slices=("place",),
        gate=GateSettings(**gate),
    )
    return plan_task(task, settings, examples)


SURE = {"max_nfr": 0.01, "confidence": 0.95}


def cells(plan: TaskPlan) -> list[str]:
    """A task's row, cell by cell."""
    row = render_plan([plan]).splitlines()[3]
    return [cell.strip() for cell in row.split("  ") if cell.strip()]


def test_the_table():
    text = render_plan([plan(**SURE), plan("small", 299, **SURE), plan("cities", 2000, **SURE)])
    assert text.splitlines() == [
        "task     limit             n    confidence     most    passes     smallest  verdict",
        "                                              flips     up to       excess",
        "-------  ------------  -----  ------------  -------  --------  -----------  "
        "-------------------",
        "support  NFR ≤ 1.00 %    100          95 %        –         –  4.45 points  NEVER PASSES",
        "small    NFR ≤ 1.00 %    299          95 %        0    0.07 %  2.02 points  "
        "only without a flip",
        "cities   NFR ≤ 1.00 %  2,000          95 %       12    0.50 %  0.67 points  can pass",
        "most flips: with so many the gate still passes",
        "passes up to: the largest true NFR with which it passes with probability 0.8",
        "smallest excess: of the true NFR over the limit, noticed with probability 0.8",
        "  (by an exact test at that confidence)",
    ]
    # The figures by SciPy: 4 of 100 are above 1 % for sure, P(4 or more | 1 %) = 0.018.
    assert binom.sf(3, 100, 0.01) < 0.05 < binom.sf(2, 100, 0.01)
    assert binom.sf(3, 100, 0.0545) == pytest.approx(0.8, abs=0.002)
    assert binom.pmf(0, 299, 0.00075) == pytest.approx(0.8, abs=0.001)
    assert beta.ppf(0.95, 13, 1988) <= 0.01 < beta.ppf(0.95, 14, 1987)


def test_a_brief_table_has_no_legend():
    text = render_plan([plan(**SURE)], brief=True)
    assert text.splitlines()[0].split() == ["task", "limit", "n", "smallest", "verdict"]
    assert text.splitlines()[-1].split() == [
        *("support", "NFR", "≤", "1.00", "%", "100", "4.45", "points", "NEVER", "PASSES")
    ]


@pytest.mark.parametrize(
    ("gate", "verdict"),
    [
        (SURE, "NEVER PASSES"),
        (SURE | {"max_nfr": 0.03}, "only without a flip"),
        (SURE | {"max_nfr": 0.1}, "can pass"),
        (SURE | {"max_nfr": 1.0}, "always passes"),
        ({"max_nfr": 0.0}, "only without a flip"),
        (SURE | {"max_nfr": "floor + 0.01"}, "only below the floor"),
        (SURE | {"max_nfr": "floor + 0.1"}, "can pass, at best"),
        ({"max_inconsistency": 0.1}, "not planned"),
        ({}, "not planned"),
    ],
)
def test_verdicts(gate, verdict):
    assert cells(plan(**gate))[-1] == verdict


def test_limits_are_named():
    assert cells(plan(**SURE))[1] == "NFR ≤ 1.00 %"
    assert cells(plan(max_nfr="floor+0.02"))[1] == "NFR ≤ floor + 2.00 %"
    assert cells(plan(max_slice_nfr=0.2))[1] == "slices ≤ 20.00 %"
    assert cells(plan())[1] == "none on NFR"
    assert cells(plan(max_nfr=0.00001))[1] == "NFR ≤ 0.001 %"


def test_the_legend_says_how_an_excess_is_noticed():
    point, sure = plan(max_nfr=0.02), plan(**SURE)
    assert render_plan([point]).endswith("(by the gate's failing)")
    assert render_plan([point, sure]).endswith(
        "(by an exact test at that confidence, without one by the gate's failing)"
    )
    assert "slices: the row is that of the smallest" in render_plan([plan(max_slice_nfr=0.2)])
    assert "noticed" not in render_plan([plan()])


def test_why_a_gate_can_never_pass():
    # The bound of none of 100 is 1 - 0.05^(1/100) = 2.95 %: 2.951 to three places.
    assert describe_never(plan(**SURE)) == [
        "task 'support': 100 examples can never show an NFR of at most 1.00 % at 95 % confidence; "
        "without a single flip it takes 299, or a limit of 2.96 %"
    ]
    assert describe_never(plan(n=299, **SURE)) == []


def test_the_limit_that_is_named_can_be_kept():
    for n in (1, 7, 100, 2000):
        text = describe_hopeless(plan_gate(n, 1e-9, confidence=0.95))
        limit = float(text.rpartition("a limit of ")[2].removesuffix(" %")) / 100
        assert plan_gate(n, limit, confidence=0.95).can_pass
        assert not plan_gate(n, limit - 0.0001, confidence=0.95).can_pass
        assert text.startswith("1 example can" if n == 1 else f"{n} examples can")


def test_no_number_of_examples_shows_that_nothing_flips():
    assert describe_hopeless(plan_gate(100, 0.0, confidence=0.95)).endswith(
        "no number can: set a limit above 0, or leave out confidence"
    )
    assert "it takes more than a billion" in describe_hopeless(
        plan_gate(100, 1e-10, confidence=0.95)
    )


def test_slices_that_are_too_small():
    (said,) = describe_never(plan(n=100, places=3, max_slice_nfr=0.085, confidence=0.95))
    # 34, 33 and 33 examples; 0.915^33 = 0.0533 and 0.915^34 = 0.0488.
    assert said.startswith(
        "task 'support': 2 of 3 slices are too small, the smallest is place = p1 (n = 33): "
        "33 examples can never show an NFR of at most 8.50 %"
    )
    (said,) = describe_plans([plan(n=100, places=3, max_slice_nfr=0.2, confidence=0.95)])
    assert said.startswith("task 'support': each of 3 slices is judged, the smallest is place = p1")


def test_a_gate_that_passes_only_without_a_flip():
    # With one of 473 the bound is 1.00 %, with one of 472 above.
    assert beta.ppf(0.95, 2, 472) <= 0.01 < beta.ppf(0.95, 2, 471)
    assert describe_plans([plan(n=299, **SURE)]) == [
        "task 'support': passes only without a flip of 299 examples; with one it takes 473"
    ]
    assert describe_plans([plan(n=10, max_nfr=0.05)])[0] == (
        "task 'support': passes only without a flip of 10 examples; with one it takes 20"
    )


def test_what_the_rate_seen_lets_pass():
    said = describe_plans([plan(max_nfr=0.02)])
    assert binom.cdf(2, 100, 0.04) == pytest.approx(0.23, abs=0.005)
    assert said == [
        "task 'support': no confidence is set, so the rate seen is judged: a true NFR of 4.00 %, "
        "twice the limit, passes with probability 0.23"
    ]
    assert describe_plans([plan(n=2000, max_nfr=0.02)]) == []


def test_limits_above_the_noise_floor():
    can, cannot = (
        plan(task, confidence=0.95, max_nfr=limit)
        for task, limit in (("a", "floor + 0.1"), ("b", "floor + 0.01"))
    )
    both, only = describe_plans([can, cannot])
    assert both.startswith("tasks 'a', 'b': planned for a noise floor of 0, the best case")
    assert only.startswith(
        "task 'b': passes only with fewer flips than the floor has; with a floor of 0, 100 examples"
    )
    assert describe_never(cannot) == []


def test_family_and_sequential_are_said_once_for_tasks_alike():
    gate = {"max_nfr": 0.1, "confidence": 0.95, "family_wise": True, "family": 2}
    assert describe_plans([plan("a", **gate), plan("b", sequential=True, **gate)]) == [
        "tasks 'a', 'b': 95 % for 2 limits at once (family_wise) is 97.5 % for each",
        "task 'b': sequential stops when the verdict of all examples shows; the plan is of all",
    ]


def test_wilson_is_said_to_pass_more_only_where_it_does():
    said = describe_plans([plan(n=300, max_nfr=0.03, confidence=0.95, interval="wilson")])
    # 4 of 300: exact 3.03 %, Wilson 2.94 %; 3 of 300: exact 2.57 %.
    assert beta.ppf(0.95, 4, 297) <= 0.03 < beta.ppf(0.95, 5, 296)
    assert said == [
        "task 'support': the wilson bound holds its confidence on average, not at each rate; by "
        "the exact bound at most 3 would pass, not 4"
    ]
    (few, bound) = describe_plans([plan(n=268, interval="wilson", **SURE)])
    assert "passes only without a flip" in few
    assert bound.endswith("by the exact bound not even 0 would pass")


def test_tasks_without_limits():
    nothing, other = describe_plans([plan("a"), plan("b", max_accuracy_drop=0.01)])
    assert nothing.startswith("task 'a': there is no limit, and assert_gate refuses such a gate")
    assert other == "task 'b': max_nfr is not set; other limits are not planned"
