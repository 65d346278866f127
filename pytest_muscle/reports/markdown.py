"""report.md: a run for a pull request's comment or a job's summary.

Whatever comes from data or models stands in code spans: no markup, no mention, no link of it works.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pytest_muscle.reports.data import MOST_FLIPS
from pytest_muscle.reports.numbers import NONE, known_percent, percent, score
from pytest_muscle.reports.slices import describe_worst
from pytest_muscle.reports.terminal import describe_row, has_compat
from pytest_muscle.reports.texts import excerpt, shorten
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.reports.data import FlippedExample, RunReport, TaskReport
    from pytest_muscle.reports.terminal import TaskSummary

MOST_FAILED = 5
LONGEST = 50_000
"""Characters after which examples are left out: a comment on GitHub has room for 65,536."""

NAME_WIDTH, MODEL_WIDTH, QUESTION_WIDTH, ANSWER_WIDTH, MESSAGE_WIDTH = 60, 100, 160, 60, 300


def render_markdown(run: RunReport) -> str:
    """Return a run as Markdown: the verdict in words, a table, the worst slices, a few flips."""
    parts = [_headline(run), *_table(run.tasks), *_findings(run.tasks)]
    for task in run.tasks:
        examples = _examples(task)
        if examples and sum(map(len, parts)) + len(examples) > LONGEST:
            parts.append("More examples stand in report.json.")
            break
        parts += [examples] if examples else []
    return "\n\n".join(parts) + "\n"


def code(text: str) -> str:
    """Return a text of one line as a code span, which no text ends and no table's cell splits."""
    text = text.replace("|", "¦" if "\\" in text else "\\|")
    if not text.strip():
        return NONE
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def _headline(run: RunReport) -> str:
    failed = sum(len(task.failed) for task in run.tasks)
    tests = sum(task.tests for task in run.tasks)
    words = {
        "passed": f"✅ **The model update passed**: {counted(tests, 'test')} of "
        f"{counted(len(run.tasks), 'task')}.",
        "failed": f"❌ **The model update failed**: {failed} of {counted(tests, 'test')}.",
        "none": "**The model update was not judged**: "
        + (f"{counted(tests, 'test')} passed by then." if tests else "no test was run to its end."),
    }
    lines = [words[run.verdict]]
    if run.interrupted:
        lines.append("The run was interrupted; this is what was known by then.")
    if run.limit is not None:
        lines.append(f"Only the first {counted(run.limit, 'example')} of each task.")
    models = [
        f"{name}: {code(shorten(model, MODEL_WIDTH))}"
        for name, model in (("old", run.old), ("new", run.new))
        if model
    ]
    if models:
        lines.append(", ".join(models))
    return "## Model update\n\n" + "\n\n".join(lines)


def _table(tasks: Sequence[TaskReport]) -> list[str]:
    compared = [task.summary for task in tasks if task.summary is not None]
    if not tasks:
        return []
    with_compat = any(map(has_compat, compared))
    headers = ["task", "n", "accuracy old → new"]
    headers += ["compat"] if with_compat else []
    headers += ["NFR old → new"]
    headers += ["NFR old → compat", "change"] if with_compat else []
    headers += ["PFR", "inconsistent", "verdict"]
    rows = [
        [
            code(shorten(task.name, NAME_WIDTH)),
            *(_figures(task.summary, with_compat) or [NONE] * (len(headers) - 2)),
            _verdict(task),
        ]
        for task in tasks
    ]
    alignment = ["---", *["---:"] * (len(headers) - 2), "---"]
    table = "\n".join(map(_row, [headers, alignment, *rows]))
    if not compared:
        return [table]
    change = " change: of NFR, old → compat relative to old → new." if with_compat else ""
    return [table, f"% of all examples; in brackets the exact 95 % interval of NFR.{change}"]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figures(summary: TaskSummary | None, with_compat: bool) -> list[str]:
    if summary is None:
        return []
    change = NONE if summary.nfr_change is None else percent(summary.nfr_change, 0)
    compat_rate = _rate(summary.compat_nfr, summary.compat_nfr_interval, summary.compat_least_nfr)
    return [
        f"{summary.n:,}",
        f"{known_percent(summary.old_accuracy, 1)} → {known_percent(summary.new_accuracy, 1)}",
        *([known_percent(summary.compat_accuracy, 1)] if with_compat else []),
        _rate(summary.nfr, summary.nfr_interval, summary.least_nfr),
        *([compat_rate, change] if with_compat else []),
        known_percent(summary.pfr, 2),
        known_percent(summary.inconsistency, 2),
    ]


def _verdict(task: TaskReport) -> str:
    if task.passed is None:
        return NONE
    return "passed" if task.passed else f"**FAILED** {len(task.failed)} of {task.tests}"


def _findings(tasks: Sequence[TaskReport]) -> list[str]:
    """Return what failed, and where flips concentrate, as one list."""
    lines = []
    for task in tasks:
        name = code(shorten(task.name, NAME_WIDTH))
        for failed in task.failed[:MOST_FAILED]:
            test = code(shorten(failed.nodeid, 2 * NAME_WIDTH))
            lines.append(f"- {test} failed: {code(shorten(failed.message, MESSAGE_WIDTH))}")
        if (left := len(task.failed) - MOST_FAILED) > 0:
            lines.append(f"- … and {counted(left, 'more failed test')} of {name}")
        if task.summary is not None:
            found = [*describe_worst(task.summary.slices), *task.summary.found]
            more = [line.removeprefix(f"{task.name}: ") for line in describe_row(task.summary)]
            said = [shorten(line, MESSAGE_WIDTH) for line in (*more, *found)]
            lines += [f"- {name}: {code(line)}" for line in said]
    return ["\n".join(lines)] if lines else []


def _examples(task: TaskReport) -> str:
    """Return a task's first negative flips, folded."""
    flips = task.negative_flips
    if not flips or task.details is None or task.summary is None:
        return ""
    counts = task.details.counts
    side = "new" if "new" in counts else "compat"
    total, shown = counts[side].negative, flips[:MOST_FLIPS]
    sides = ["old", *(side for side in ("new", "compat") if side in counts)]
    known = [name for name in ("question", "gold") if any(getattr(flip, name) for flip in shown)]
    rows = [_cells(flip, known, sides) for flip in shown]
    table = "\n".join(map(_row, [["id", *known, *sides], ["---"] * len(rows[0]), *rows]))
    first = f"the first {len(shown)} of " if len(shown) < total else ""
    least = task.summary.least_nfr if side == "new" else task.summary.compat_least_nfr
    seen = "" if least is None else ", seen until the gate was decided"
    said = f"{first}{counted(total, 'negative flip')}, old → {side}{seen}"
    name = code(shorten(task.name, NAME_WIDTH))
    return f"**{name}**\n\n<details><summary>{said}</summary>\n\n{table}\n\n</details>"


def _cells(flip: FlippedExample, known: Sequence[str], sides: Sequence[str]) -> list[str]:
    cells = [code(shorten(str(flip.id), NAME_WIDTH))]
    if "question" in known:
        cells.append(code(excerpt(flip.question or "", QUESTION_WIDTH)))
    if "gold" in known:
        cells.append(code(shorten(flip.gold or "", ANSWER_WIDTH)))
    for side in sides:
        answer, mark = getattr(flip, side), getattr(flip, f"{side}_score")
        marked = "" if mark is None else f" {score(mark)}"
        cells.append(f"{code(shorten(answer or '', ANSWER_WIDTH))}{marked}")
    return cells


def _rate(rate: float | None, interval: tuple[float, float] | None, least: float | None) -> str:
    if least is not None:
        return f"≥ {percent(least, 2, '')}"
    if rate is None or interval is None:
        return NONE
    low, high = interval
    return f"{percent(rate, 2, '')} ({percent(low, 2, '')}–{percent(high, 2, '')})"
