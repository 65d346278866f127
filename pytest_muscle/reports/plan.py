"""What `--muscle-plan` prints: a table of what gates can tell, and what there is to say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pytest_muscle.reports.numbers import decimals_apart, percent
from pytest_muscle.reports.texts import shorten
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.comparison.planning import GatePlan
    from pytest_muscle.plans import LimitPlan, TaskPlan

LONGEST_NAME = 30
NONE = "–"
CLOSE = 0.2
"""How probably twice the limit may pass before that is said."""


def render_plan(plans: Sequence[TaskPlan], *, brief: bool = False) -> str:
    """Return a table of all tasks' limits on negative flips.

    Args:
        plans: Of each task.
        brief: Whether to leave out columns and the legend.
    """
    from tabulate import tabulate

    rows = [row for plan in plans for row in _rows(plan)]
    kept = ("task", "limit", "n", "smallest\nexcess seen", "verdict") if brief else tuple(rows[0])
    table = tabulate(
        [[row[name] for name in kept] for row in rows],
        kept,
        disable_numparse=True,
        colalign=["left" if name in _WORDS else "right" for name in kept],
    )
    powers = {limit.gate.power for plan in plans for limit in plan.limits}
    if brief or not powers:
        return table
    return f"{table}\n{_legend(min(powers))}"


def describe_never(plan: TaskPlan) -> list[str]:
    """Return a sentence for each limit of a task that fails whatever the new model answers."""
    return [_never(plan, limit) for limit in plan.limits if limit.never_passes]


def describe_plan(plan: TaskPlan) -> list[str]:
    """Return what else there is to say of a task's limits, a sentence each."""
    said = [sentence for limit in plan.limits for sentence in _remarks(plan, limit)]
    return [f"task {plan.task!r}: {sentence}" for sentence in [*said, *_of_the_gate(plan)]]


def describe_hopeless(plan: GatePlan) -> str:
    """Return why a gate cannot pass, and how many examples would do."""
    enough = plan.examples_to_pass
    if enough is not None:
        end = f"without a single flip it takes {enough:,}"
    elif plan.limit == 0:
        end = "no number of examples can: set a limit above 0, or leave out confidence"
    else:
        end = "not even a billion without a single flip can"
    return (
        f"{counted(plan.n, 'example')} can never show an NFR of at most {_percent(plan.limit)}"
        f"{_at(plan)}; {end}"
    )


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
        row["most\nflips"] = NONE if gate.most_flips is None else f"{gate.most_flips:,}"
        row["passes\nup to"] = NONE if gate.passing_rate is None else _percent(gate.passing_rate)
        if gate.smallest_excess is not None:
            row["smallest\nexcess seen"] = f"{_percent(gate.smallest_excess, ' points')}"
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
        "smallest\nexcess seen": NONE,
        "verdict": NONE,
    }


def _legend(power: float) -> str:
    return (
        "most flips: with so many the gate still passes\n"
        f"passes up to: the largest true NFR that passes with probability {power:g}\n"
        f"smallest excess seen: how far above the limit the true NFR must be to be found so with\n"
        f"  probability {power:g}: by an exact test at that confidence; without one, by a red gate"
    )


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
        return "only below the floor" if most is None else "at best"
    if most == limit.gate.n:
        return "always passes"
    return "only without a flip" if most == 0 else "can pass"


def _never(plan: TaskPlan, limit: LimitPlan) -> str:
    why = describe_hopeless(limit.gate)
    if not limit.smallest:
        return f"task {plan.task!r}: {why}"
    few = f"{limit.too_small} of {limit.slices} slices are too small"
    return f"task {plan.task!r}: {few}; the smallest is {_slice(limit)}: {why}"


def _remarks(plan: TaskPlan, limit: LimitPlan) -> Iterator[str]:
    gate = limit.gate
    if limit.smallest and not limit.never_passes:
        yield (
            f"each of {counted(limit.slices, 'slice')} is judged; the table has the smallest, "
            f"{_slice(limit)}, and all of them together pass less often"
        )
    if limit.above_floor:
        yield (
            f"the limit is planned for a noise floor of 0, the best case: {plan.n:,} examples; "
            f"flips are those above the floor, whose own noise comes on top"
        )
        if not gate.can_pass:
            yield f"unless there are fewer flips than the floor has, {describe_hopeless(gate)}"
    elif gate.most_flips == 0 and gate.limit > 0:
        yield f"{counted(gate.n, 'example')} pass only without a flip; {_with_one(gate)}"
    if gate.confidence is None and 0 < gate.limit <= 0.5:
        passes = gate.passing_probability(2 * gate.limit)
        if passes >= CLOSE:
            yield (
                f"no confidence is set, so the rate seen is judged: a true NFR of "
                f"{_percent(2 * gate.limit)}, twice the limit, passes with probability "
                f"{passes:.2f}"
            )
    if gate.method != "exact" and gate.confidence is not None:
        yield (
            f"{gate.method} bounds hold their confidence on average over rates, not at each; "
            f"{_by_exact(gate)}"
        )


def _of_the_gate(plan: TaskPlan) -> Iterator[str]:
    settings = plan.settings
    if not plan.limits:
        others = (settings.max_accuracy_drop, settings.max_inconsistency, settings.max_mean_regress)
        if any(limit is not None for limit in others):
            yield "max_nfr is not set, and no other limit is planned"
        else:
            yield "it has no limit, so assert_gate judges nothing: set max_nfr in [gate]"
    confidence, judged = settings.confidence, settings.judged_confidence
    if confidence is not None and judged is not None and judged != confidence:
        yield (
            f"{100 * confidence:g} % for {settings.family} limits at once (family_wise) is "
            f"{100 * judged:g} % for each"
        )
    if settings.sequential:
        yield (
            f"sequential asks only until the verdict of all {plan.n:,} examples shows; "
            "this is their plan"
        )


def _with_one(gate: GatePlan) -> str:
    from pytest_muscle.comparison.intervals import MOST_EXAMPLES, find_bounds, first

    confidence, bounds = gate.confidence, find_bounds(gate.method)

    def passes(n: int) -> bool:
        rate = 1 / n if confidence is None else bounds(1, n, confidence)[1]
        return rate <= gate.limit

    needed = first(passes, gate.n, MOST_EXAMPLES)
    return "one flip takes more than a billion" if needed is None else f"one takes {needed:,}"


def _by_exact(gate: GatePlan) -> str:
    from pytest_muscle.comparison.planning import plan_gate

    exact = plan_gate(gate.n, gate.limit, confidence=gate.confidence).most_flips
    if exact is None:
        return "by the exact one this gate could never pass"
    return f"by the exact one at most {counted(exact, 'flip')} would pass"


def _slice(limit: LimitPlan) -> str:
    assert limit.smallest is not None
    return shorten(" = ".join(limit.smallest), LONGEST_NAME)


def _at(plan: GatePlan) -> str:
    return "" if plan.confidence is None else f" at {100 * plan.confidence:g} % confidence"


def _percent(rate: float, unit: str = " %") -> str:
    return percent(rate, decimals_apart(rate, 0.0), unit)
