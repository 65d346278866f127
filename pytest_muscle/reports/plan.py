"""What `--muscle-plan` prints: a table of what gates can tell, and what there is to say of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pytest_muscle.reports.numbers import NONE, decimals_apart, percent
from pytest_muscle.reports.texts import shorten
from pytest_muscle.wording import counted, listed

if TYPE_CHECKING:
    from pytest_muscle.comparison.planning import GatePlan
    from pytest_muscle.plans import LimitPlan, TaskPlan
    from pytest_muscle.settings import GateSettings

LONGEST_NAME = 30
EXCESS = "smallest\nexcess"
OFTEN = 0.2
"""How probably twice the limit passes where that is said."""


def render_plan(plans: Sequence[TaskPlan], *, brief: bool = False) -> str:
    """Return a table of all tasks' limits on negative flips.

    Args:
        plans: Of each task.
        brief: Whether to leave out columns and the legend.
    """
    from tabulate import tabulate

    rows = [row for plan in plans for row in _rows(plan)]
    kept = ("task", "limit", "n", EXCESS, "verdict") if brief else tuple(rows[0])
    table = tabulate(
        [[row[name] for name in kept] for row in rows],
        kept,
        disable_numparse=True,
        colalign=["left" if name in _WORDS else "right" for name in kept],
    )
    limits = [limit for plan in plans for limit in plan.limits]
    return table if brief or not limits else f"{table}\n{_legend(limits)}"


def describe_never(plan: TaskPlan) -> list[str]:
    """Return a sentence for each limit of a task that fails whatever the new model answers."""
    return [_never(plan, limit) for limit in plan.limits if limit.never_passes]


def describe_plans(plans: Sequence[TaskPlan]) -> list[str]:
    """Return what else there is to say of the tasks' limits, a sentence each."""
    tasks: dict[str, list[str]] = {}
    for plan in plans:
        said = [sentence for limit in plan.limits for sentence in _remarks(limit)]
        for sentence in [*said, *_of_the_gate(plan.settings, planned=bool(plan.limits))]:
            tasks.setdefault(sentence, []).append(plan.task)
    return [
        f"{'task' if len(names) == 1 else 'tasks'} {listed(names)}: {sentence}"
        for sentence, names in tasks.items()
    ]


def describe_hopeless(plan: GatePlan) -> str:
    """Return why a gate cannot pass, and how many examples or which limit would do."""
    from pytest_muscle.comparison.intervals import upper_bound

    problem = (
        f"{counted(plan.n, 'example')} can never show an NFR of at most {_percent(plan.limit)}"
        f"{_at(plan.confidence)}"
    )
    if plan.limit == 0:
        return f"{problem}; no number can: set a limit above 0, or leave out confidence"
    enough = plan.examples_to_pass
    needed = "more than a billion" if enough is None else f"{enough:,}"
    assert plan.confidence is not None  # else a rate of 0 keeps any limit
    least = math.ceil(1e4 * upper_bound(0, plan.n, plan.confidence, plan.method)) / 1e4
    return f"{problem}; without a single flip it takes {needed}, or a limit of {percent(least)}"


_WORDS = ("task", "limit", "verdict")


def _rows(plan: TaskPlan) -> Iterator[dict[str, str]]:
    task = shorten(plan.task, LONGEST_NAME)
    if not plan.limits:
        yield _row(task, "none on NFR", plan.n)
    for limit in plan.limits:
        gate = limit.gate
        row = _row(task, _limit(limit), gate.n)
        if gate.confidence is not None:
            row["confidence"] = f"{100 * gate.confidence:g} %"
        if gate.most_flips is not None:
            row["most\nflips"] = f"{gate.most_flips:,}"
        if gate.passing_rate is not None:
            row["passes\nup to"] = _percent(gate.passing_rate)
        if gate.smallest_excess is not None:
            row[EXCESS] = _percent(gate.smallest_excess, " points")
        row["verdict"] = _verdict(limit)
        yield row


def _row(task: str, limit: str, n: int) -> dict[str, str]:
    return {
        "task": task,
        "limit": limit,
        "n": f"{n:,}",
        "confidence": NONE,
        "most\nflips": NONE,
        "passes\nup to": NONE,
        EXCESS: NONE,
        "verdict": "not planned",
    }


def _legend(limits: Sequence[LimitPlan]) -> str:
    power = min(limit.gate.power for limit in limits)
    sure = any(limit.gate.confidence is not None for limit in limits)
    unsure = any(limit.gate.confidence is None for limit in limits)
    ways = ["by an exact test at that confidence"] * sure + ["by the gate's failing"] * unsure
    how = f"{ways[0]}, without one {ways[1]}" if len(ways) > 1 else ways[0]
    lines = [
        "most flips: with so many the gate still passes",
        f"passes up to: the largest true NFR with which it passes with probability {power:g}",
        f"smallest excess: of the true NFR over the limit, noticed with probability {power:g}",
        f"  ({how})",
    ]
    if any(limit.smallest for limit in limits):
        lines.insert(0, "slices: the row is that of the smallest")
    return "\n".join(lines)


def _limit(limit: LimitPlan) -> str:
    value = _percent(limit.gate.limit)
    if limit.above_floor:
        return f"NFR ≤ floor + {value}"
    return f"slices ≤ {value}" if limit.smallest else f"NFR ≤ {value}"


def _verdict(limit: LimitPlan) -> str:
    most = limit.gate.most_flips
    if limit.never_passes:
        return "NEVER PASSES"
    if limit.above_floor:
        return "only below the floor" if most is None else "can pass, at best"
    if most == limit.gate.n:
        return "always passes"
    return "only without a flip" if most == 0 else "can pass"


def _never(plan: TaskPlan, limit: LimitPlan) -> str:
    why = describe_hopeless(limit.gate)
    if limit.smallest is None:
        return f"task {plan.task!r}: {why}"
    few = f"{limit.too_small} of {counted(limit.slices, 'slice')} are too small"
    return f"task {plan.task!r}: {few}, the smallest is {_slice(limit)}: {why}"


def _remarks(limit: LimitPlan) -> Iterator[str]:
    gate = limit.gate
    if limit.smallest and not limit.never_passes:
        yield (
            f"each of {counted(limit.slices, 'slice')} is judged, the smallest is {_slice(limit)}; "
            "that all pass is less likely than that it does"
        )
    if limit.above_floor:
        yield (
            "planned for a noise floor of 0, the best case: flips and rates are those above the "
            "floor, and the floor's own noise comes on top"
        )
        if not gate.can_pass:
            why = describe_hopeless(gate)
            yield f"passes only with fewer flips than the floor has; with a floor of 0, {why}"
    elif gate.most_flips == 0 and gate.limit > 0:
        yield f"passes only without a flip of {counted(gate.n, 'example')}; {_with_one(gate)}"
    if gate.confidence is None and not limit.smallest and 0 < gate.limit <= 0.5:
        passes = gate.passing_probability(2 * gate.limit)
        if passes >= OFTEN:
            yield (
                "no confidence is set, so the rate seen is judged: a true NFR of "
                f"{_percent(2 * gate.limit)}, twice the limit, passes with probability {passes:.2f}"
            )
    if gate.method != "exact" and gate.confidence is not None:
        yield from _beyond_exact(gate)


def _of_the_gate(gate: GateSettings, *, planned: bool) -> Iterator[str]:
    if not planned:
        others = (gate.max_accuracy_drop, gate.max_inconsistency, gate.max_mean_regress)
        if any(limit is not None for limit in others):
            yield "max_nfr is not set; other limits are not planned"
        else:
            yield "there is no limit, and assert_gate refuses such a gate: set max_nfr in [gate]"
        return
    confidence, judged = gate.confidence, gate.judged_confidence
    if confidence is not None and judged is not None and judged != confidence:
        yield (
            f"{100 * confidence:g} % for {gate.family} limits at once (family_wise) is "
            f"{100 * judged:g} % for each"
        )
    if gate.sequential:
        yield "sequential stops when the verdict of all examples shows; the plan is of all"


def _with_one(gate: GatePlan) -> str:
    from pytest_muscle.comparison.intervals import MOST_EXAMPLES, first, upper_bound

    def passes(n: int) -> bool:
        rate = 1 / n
        if gate.confidence is not None:
            rate = upper_bound(1, n, gate.confidence, gate.method)
        return rate <= gate.limit

    needed = first(passes, gate.n, MOST_EXAMPLES)
    return f"with one it takes {'more than a billion' if needed is None else f'{needed:,}'}"


def _beyond_exact(gate: GatePlan) -> Iterator[str]:
    from pytest_muscle.comparison.planning import plan_gate

    most, exact = gate.most_flips, plan_gate(gate.n, gate.limit, confidence=gate.confidence)
    if most is None or (exact.most_flips is not None and exact.most_flips >= most):
        return
    instead = "not even 0 would pass"
    if exact.most_flips is not None:
        instead = f"at most {exact.most_flips:,} would pass, not {most:,}"
    yield (
        f"the {gate.method} bound holds its confidence on average, not at each rate; by the exact "
        f"bound {instead}"
    )


def _slice(limit: LimitPlan) -> str:
    assert limit.smallest is not None
    return f"{shorten(' = '.join(limit.smallest), LONGEST_NAME)} (n = {limit.gate.n:,})"


def _at(confidence: float | None) -> str:
    return "" if confidence is None else f" at {100 * confidence:g} % confidence"


def _percent(rate: float, unit: str = " %") -> str:
    return percent(rate, decimals_apart(rate, 0.0), unit)
