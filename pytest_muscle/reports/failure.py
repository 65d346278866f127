"""Why an assertion failed: a sentence, a table of what was checked, the flipped examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_muscle.checks import LIKELY, Check
from pytest_muscle.reports.flips import render_flips
from pytest_muscle.reports.numbers import decimals_apart, percent, score
from pytest_muscle.reports.plan import describe_hopeless
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport

MOST_HOPELESS = 3
"""Most limits that are said to be beyond reach."""

UNITS = {"rate": " %", "points": " points"}


def render_failure(
    report: FlipReport,
    checks: Sequence[Check],
    *,
    before: FlipReport | None = None,
    newer: str = "new",
    flips_shown: int | None = 10,
) -> str:
    """Return the text of a failed assertion: a sentence, a table, the flipped examples.

    Args:
        report: What was judged; its negative flips are shown.
        checks: Everything that was checked, at least one of them exceeded.
        before: Old against new, where `report` is old against compat and both are judged.
        newer: What was held against the old model: "new" or "compat".
        flips_shown: How many flips to show at most; none shows all of them, with full ids.
    """
    newer = newer if before is None else "compat"
    task = f"task {report.task!r}: " if report.task else ""
    sentences = "; ".join(_sentence(check) for check in checks if check.exceeded)
    parts = [
        "\n".join([f"{task}{sentences}.", *_outlook(checks), *_chance(report)]),
        _table(report, checks, before, newer),
    ]
    if report.stop is not None:
        stop = report.stop
        parts.append(
            f"Asked were {stop.asked:,} of the {stop.can_flip:,} examples that can "
            f"flip, in a random order, of {stop.population:,} in all ([gate] sequential = true)."
        )
    elif report.pairs.unasked is not None:
        parts.append(
            f"{len(report.unasked)} of {report.n} examples, which the old model has wrong, were "
            "not asked."
        )
    return "\n\n".join([*parts, render_flips(report, newer, flips_shown)])


def _sentence(check: Check) -> str:
    if check.stop is not None:
        limit = _number(check, check.limit, 2)
        return f"{check.measure} is more than the allowed {limit}; {check.stop.why}"
    decimals = decimals_apart(check.judged, check.limit)
    value, limit = _value(check, decimals), _number(check, check.limit, decimals)
    if check.at_least:
        return f"{check.measure} is {value}, less than the required {limit}"
    if check.bound is None:
        return f"{check.measure} is {value}, more than the allowed {limit}"
    bound, confidence = _number(check, check.bound, decimals), _confidence(check)
    return (
        f"{check.measure} is {value} and may be as high as {bound} "
        f"({confidence} upper bound), more than the allowed {limit}"
    )


def _outlook(checks: Sequence[Check]) -> list[str]:
    """Return which limits cannot be kept with so few examples, and what is undecided."""
    hopeless, doubts = [], []
    for check in (check for check in checks if check.exceeded):
        plan = None if check.plan is None else check.plan()
        if plan is not None and not plan.can_pass:
            hopeless.append(f"{check.measure}: {describe_hopeless(plan)}.")
        elif doubt := _doubt(check):
            doubts.append(doubt)
    if len(hopeless) > MOST_HOPELESS:
        left = len(hopeless) - MOST_HOPELESS
        hopeless[MOST_HOPELESS:] = [
            f"… and {counted(left, 'more limit')} that cannot be kept with so few examples"
        ]
    return [*hopeless, *doubts]


def _chance(report: FlipReport) -> list[str]:
    """Return in words how many flips of drawn answers may be none."""
    expected = report.expected_false_flips
    if expected is None:
        return []
    return [
        f"Answers are sampled: were both models the same, sampling again would show {expected:.1f} "
        "negative flips."
    ]


def _doubt(check: Check) -> str | None:
    """Return in words that a failed check is undecided, and what would decide it."""
    if not check.exceeded or check.examples_to_decide is None:
        return None
    needed, confidence = check.examples_to_decide(), check.confidence or LIKELY
    if needed is None:
        return None
    return (
        f"Undecided at {100 * confidence:g} % confidence: at the rate seen, {needed:,} examples "
        "would decide."
    )


def _table(
    report: FlipReport, checks: Sequence[Check], before: FlipReport | None, newer: str
) -> str:
    from tabulate import tabulate

    rows = []
    for check in checks:
        decimals = decimals_apart(check.judged, check.limit)
        sign, passed = ("≥", "not reached") if check.at_least else ("≤", "exceeded")
        limit = f"{sign} {_number(check, check.limit, decimals)}"
        verdict = passed if check.exceeded else "kept"
        value, interval = _value(check, decimals), _interval(check, decimals)
        rows.append([check.measure, value, interval, f"{limit}  {verdict}"])
    show = score if report.pairs.graded else percent
    accuracies = [("old", show(report.old_accuracy)), (newer, _accuracy(report))]
    if before is not None:
        accuracies.insert(1, ("new", _accuracy(before)))
    names, values = zip(*accuracies, strict=True)
    name = "mean score" if report.pairs.graded else "accuracy"
    rows.append([f"{name} {' → '.join(names)}", " → ".join(values), "", ""])
    headers = ["measure", "value", "interval", "limit"]
    return tabulate(rows, headers=headers, disable_numparse=True)


def _accuracy(report: FlipReport) -> str:
    if report.pairs.unasked is not None:
        return "–"
    return (score if report.pairs.graded else percent)(report.new_accuracy)


def _number(check: Check, value: float, decimals: int) -> str:
    return score(value) if check.unit == "score" else percent(value, decimals, UNITS[check.unit])


def _value(check: Check, decimals: int) -> str:
    note = "" if check.note is None else f" ({check.note})"
    least = "" if check.stop is None else "≥ "
    return least + _number(check, check.value, decimals) + note


def _confidence(check: Check) -> str:
    return "" if check.confidence is None else f"{100 * check.confidence:g} %"


def _interval(check: Check, decimals: int) -> str:
    if check.bound is not None:
        return f"≤ {_number(check, check.bound, decimals)} ({_confidence(check)} upper bound)"
    if check.interval is not None:
        low, high = check.interval()
        if check.unit == "score":
            return f"{score(low)} to {score(high)} (95 %)"
        return f"{percent(low, decimals, '')} to {percent(high, decimals)} (95 %)"
    return ""
