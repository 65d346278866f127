"""What `--muscle-show` prints of what is stored, what would be made, and what that costs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_muscle.reports.amounts import amount, duration
from pytest_muscle.reports.texts import shorten
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.overview.estimate import Estimate, Step
    from pytest_muscle.overview.look import Overview
    from pytest_muscle.overview.stock import Item, TaskStock

WIDTH = 80


def render_stock(overview: Overview, *, brief: bool) -> list[str]:
    """Return what each task needs, whether it is stored, and what would be made.

    Args:
        overview: What there is.
        brief: Whether to leave out what there is beside that.
    """
    from tabulate import tabulate

    rows = [row for stock in overview.stocks for row in _rows(stock)]
    cut = [
        (shorten(task, 16), what, shorten(said, 44) if brief else said) for task, what, said in rows
    ]
    wrapped = [
        (task, what, "\n".join(textwrap.wrap(said, 42, break_on_hyphens=False) or [""]))
        for task, what, said in cut
    ]
    table = tabulate(wrapped, ("task", "what", "state"), disable_numparse=True)
    lines = [line.rstrip() for line in table.splitlines()]
    if brief:
        return lines
    for stock in overview.stocks:
        name = stock.task.name
        for note in stock.notes:
            lines += fold(f"{name}: warning: {' '.join(note.split())}")
        if stock.task.settings.train and "compat" not in stock.answers:
            lines.append(f"{name}: a compat adapter is trained only where a test asks for one")
        if isinstance(stock.task.gate.max_nfr, str):
            lines.append(f"{name}: the builds of the noise floor are neither listed nor estimated")
    return lines


def render_estimate(overview: Overview, verbosity: int) -> list[str]:
    """Return what that costs which is to be made; with -q the sum alone.

    Args:
        overview: What there is.
        verbosity: pytest's.
    """
    estimate, brief = overview.estimate, verbosity < 0
    if not estimate.steps and not overview.stocks:
        return ["not known: see the errors below"]
    if not estimate.steps:
        if any(isinstance(stock.task.gate.max_nfr, str) for stock in overview.stocks):
            return ["nothing is to be made but builds of the noise floor that are not stored"]
        return ["nothing is to be made: a run reads what is stored, and loads no model"]
    lines = [] if brief else _steps(estimate)
    lines.append(_sum(estimate))
    peak = estimate.peak
    if peak is not None:
        lines.append(
            f"memory: about {amount(peak.size, 'B')} at its peak, while {_while(peak.moment)}"
        )
    if peak is not None and not brief:
        parts = sorted(peak.parts.items(), key=lambda part: -part[1])
        lines.append("  " + ", ".join(f"{name} {amount(size, 'B')}" for name, size in parts))
    unknown: dict[str, dict[str, None]] = {}
    for step in estimate.steps:
        if step.unknown is not None:
            unknown.setdefault(step.unknown, {})[step.what] = None
    lines += [f"not in it: {', '.join(steps)}: {why}" for why, steps in unknown.items()]
    if brief:
        return [piece for line in lines for piece in fold(line)]
    lines += [f"time rests on {text}" for text in estimate.basis]
    if estimate.pasts:
        lines.append(f"time rests on {counted(len(estimate.pasts), 'training')} measured before")
    for past in estimate.pasts if verbosity > 0 else ():
        lines.append(f"  {past.name}: {past.examples:,.0f} examples in {past.seconds:,.0f} s")
    lines.append("tokens are counted on up to 256 examples of each task; all figures are rough")
    return [piece for line in lines for piece in fold(line)]


def _rows(stock: TaskStock) -> list[tuple[str, str, str]]:
    rows = []
    for side in ("old", "new", "compat"):
        if side in stock.adapters:
            rows.append((f"{side} adapter", _adapter(stock.adapters[side])))
        if side == "compat":
            rows += [
                (f"{version} teacher", "kept" if not item.is_made else "runs over the train set")
                for version, item in stock.teachers.items()
            ]
        if side in stock.answers:
            rows.append((f"{side} answers", _answers(stock.answers[side])))
    return [(stock.task.name if not n else "", what, said) for n, (what, said) in enumerate(rows)]


def _adapter(item: Item) -> str:
    said = {
        "given": "given",
        "stored": "stored",
        "none": "none",
        "missing": f"would be trained on {item.n:,} examples",
        "begun": f"would go on being trained on {item.n:,} examples",
        "refused": "missing, and must not be trained",
        "not": "not to be had",
    }[item.state]
    return f"{said}: {item.detail}" if item.detail else said


def _answers(item: Item) -> str:
    most = "at most " if item.at_most else ""
    said = {
        "baseline": f"baseline of {item.n:,} examples",
        "read": f"{item.n:,} examples, read from a log",
        "stored": f"{item.n:,} examples stored",
        "begun": f"{item.done:,} of {most}{item.n:,} examples kept, the rest would be asked",
        "missing": f"{most}{item.n:,} examples would be asked",
        "refused": f"{item.n:,} examples cannot be asked",
        "not": "not to be had",
    }[item.state]
    return f"{said}: {item.detail}" if item.detail else said


def _steps(estimate: Estimate) -> list[str]:
    from tabulate import tabulate

    headers = ("task", "what", "examples", "tokens", "FLOP", "time")
    rows = [_step(step) for step in estimate.steps]
    align = ("left", "left", "right", "right", "right", "right")
    table = tabulate(rows, headers, disable_numparse=True, colalign=align)
    return [line.rstrip() for line in table.splitlines()]


def _step(step: Step) -> tuple[str, ...]:
    head = (shorten(step.task, 16), step.what, f"{step.examples:,.0f}")
    if step.unknown is not None:
        return (*head, "?", "?", "not known")
    time = duration(step.seconds)
    most = "≤ " if step.at_most and not time.startswith("under") else ""
    return (*head, amount(step.tokens), amount(step.operations), f"{most}{time}")


def _sum(estimate: Estimate) -> str:
    if all(step.unknown for step in estimate.steps):
        return "time: not known"
    some = "at most about" if any(step.at_most for step in estimate.steps) else "about"
    time = duration(estimate.seconds)
    about = f"{time}" if time.startswith("under") else f"{some} {time}"
    return (
        f"time: {about} ({amount(estimate.operations, 'FLOP')}), beside the seconds that loading "
        "takes"
    )


def _while(moment: str) -> str:
    if moment.endswith("adapter"):
        return f"the {moment} is trained"
    subject, _, verb = moment.rpartition(" ")
    return f"the {subject} {verb}"


def fold(line: str) -> Sequence[str]:
    """Return a sentence in lines that fit; a row of a table stays one."""
    if len(line) <= WIDTH or "  " in line.strip():
        return [line]
    return textwrap.wrap(
        line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
