"""The table at the end of a pytest run: one row for each task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from pytest_muscle.reports.noise import NoiseSummary, describe_noise
from pytest_muscle.reports.numbers import NONE, known_percent, percent, score
from pytest_muscle.reports.slices import SliceSummary
from pytest_muscle.reports.texts import shorten

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport

NARROWEST_TASK = 8
LEGEND = "NFR, PFR, inconsistent: % of all examples; under NFR its exact 95 % interval"
LEGEND_COMPAT = f"{LEGEND}\nchange: NFR old→compat relative to NFR old→new"
LEGEND_STOPPED = "≥: seen when the gate was decided, [gate] sequential = true; –: not known"
LEGEND_NEEDED = '–: not known with [run] score = "needed" or [gate] sequential = true'


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """What one task's comparison came to, in plain values that travel between processes.

    What is none was not compared, which another process may have done, see `merge`; or it is not
    known, because the new model was asked only what the old one has right.

    Attributes:
        task: Name of the task.
        n: Number of examples.
        old_accuracy: A fraction 0-1, as all rates here.
        new_accuracy: Of the new model.
        compat_accuracy: Of the new model with the compat adapter.
        nfr: Negative flip rate, old to new.
        nfr_interval: Its exact two-sided 95 % interval.
        compat_nfr: Negative flip rate, old to compat.
        compat_nfr_interval: Its exact two-sided 95 % interval.
        pfr: Positive flip rate, old to new.
        inconsistency: Inconsistency rate, old to new.
        least_nfr: Negative flips seen, old to new, as a share of all examples, where a gate was
            decided before all were known.
        compat_least_nfr: The same, old to compat.
        stopped: How it was decided, old to new, in words.
        compat_stopped: The same, old to compat.
        verdict: "passed", "FAILED" or empty.
        tolerance: Of graded scores: the largest change that is no flip; none of right and wrong
            answers. Accuracies are mean scores then.
        mean_gain: Of graded scores, mean rise of those that rise, old to new.
        mean_regress: Of graded scores, mean fall of those that fall, old to new.
        slices: Groups of examples by the columns that `slices` names, old to new.
        compat_slices: The same, old to compat.
        found: Lines about slices that were searched for and found.
        noise: The noise floor of the examples that were compared.
    """

    task: str
    n: int
    old_accuracy: float
    new_accuracy: float | None = None
    compat_accuracy: float | None = None
    nfr: float | None = None
    nfr_interval: tuple[float, float] | None = None
    compat_nfr: float | None = None
    compat_nfr_interval: tuple[float, float] | None = None
    pfr: float | None = None
    inconsistency: float | None = None
    least_nfr: float | None = None
    compat_least_nfr: float | None = None
    stopped: str | None = None
    compat_stopped: str | None = None
    verdict: str = ""
    tolerance: float | None = None
    mean_gain: float | None = None
    mean_regress: float | None = None
    slices: tuple[SliceSummary, ...] = ()
    compat_slices: tuple[SliceSummary, ...] = ()
    found: tuple[str, ...] = ()
    noise: NoiseSummary | None = None

    @property
    def nfr_change(self) -> float | None:
        """Relative change of NFR that the compat adapter brings, −0.12 where it wins back 12 %."""
        if self.compat_nfr is None or self.nfr is None or self.nfr == 0:
            return None
        return (self.compat_nfr - self.nfr) / self.nfr

    def to_json(self) -> dict[str, Any]:
        """Return the summary as a dictionary of JSON values."""
        values = dataclasses.asdict(self)
        for name in ("slices", "compat_slices"):
            values[name] = [list(group) for group in values[name]]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TaskSummary:
        """Return the summary that `to_json` wrote."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        for name in ("slices", "compat_slices"):
            fields[name] = tuple(SliceSummary(*group) for group in fields.get(name, ()))
        if fields.get("noise") is not None:
            fields["noise"] = NoiseSummary(*fields["noise"])
        return cls(**fields)

    def merge(self, other: TaskSummary) -> TaskSummary:
        """Return this summary with what only the other one knows of the same task."""
        mine, others = (
            {field.name: getattr(summary, field.name) for field in dataclasses.fields(summary)}
            for summary in (self, other)
        )
        return TaskSummary(
            **{
                name: others[name] if value is None or value == () else value
                for name, value in mine.items()
            }
        )


def summarise(
    task: str,
    report: FlipReport | None,
    compat_report: FlipReport | None = None,
    verdict: str = "",
) -> TaskSummary:
    """Return what a task's comparison came to.

    Args:
        task: Name of the task.
        report: Old against new, where they were compared.
        compat_report: Old against compat, where they were compared; one of both must be.
        verdict: In a word.
    """
    either = report or compat_report
    assert either is not None
    graded = either.pairs.graded
    summary = TaskSummary(
        task=task,
        n=either.n,
        old_accuracy=either.old_accuracy,
        verdict=verdict,
        tolerance=either.pairs.tolerance if graded else None,
    )
    if report is not None and report.stop is not None:
        stop = report.stop
        summary = dataclasses.replace(
            summary, least_nfr=stop.flips / stop.population, stopped=stop.describe()
        )
    elif report is not None:
        summary = dataclasses.replace(
            summary,
            nfr=report.negative_flip_rate,
            nfr_interval=report.negative_flip_interval(),
        )
        if report.pairs.unasked is None:
            summary = dataclasses.replace(
                summary,
                new_accuracy=report.new_accuracy,
                pfr=report.positive_flip_rate,
                inconsistency=None if graded else report.inconsistency_rate,
                mean_gain=report.mean_gain if graded else None,
                mean_regress=report.mean_regress if graded else None,
            )
    if compat_report is not None and compat_report.stop is not None:
        stop = compat_report.stop
        summary = dataclasses.replace(
            summary, compat_least_nfr=stop.flips / stop.population, compat_stopped=stop.describe()
        )
    elif compat_report is not None:
        summary = dataclasses.replace(
            summary,
            compat_nfr=compat_report.negative_flip_rate,
            compat_nfr_interval=compat_report.negative_flip_interval(),
        )
        if compat_report.pairs.unasked is None:
            summary = dataclasses.replace(summary, compat_accuracy=compat_report.new_accuracy)
    return summary


def render_summary(rows: Sequence[TaskSummary], width: int) -> str:
    """Return one table of all tasks, at most `width` columns wide where names can be shortened.

    The columns of the compat adapter are left out where no task has one.
    """
    if not rows:
        return ""
    names = [shorten(row.task, width) for row in rows]
    table = _render(rows, names)
    too_wide = max(map(len, table.splitlines())) - width
    if too_wide > 0:
        longest = max(NARROWEST_TASK, max(map(len, names)) - too_wide)
        table = _render(rows, [shorten(name, longest) for name in names])
    legend = [LEGEND_COMPAT if any(map(has_compat, rows)) else LEGEND]
    if any(map(_is_partial, rows)):
        legend.append(LEGEND_NEEDED)
    if any(row.stopped or row.compat_stopped for row in rows):
        legend.append(LEGEND_STOPPED)
    legend += [line for row in rows for line in describe_row(row)]
    return "\n".join([table, *legend])


def describe_row(row: TaskSummary) -> list[str]:
    """Return what the table has no room for: early decisions, graded scores, the noise floor."""
    lines = [*_describe_stops(row), *_describe_graded(row)]
    if row.noise is not None:
        lines.append(describe_noise(row.task, row.noise, nfr=row.nfr, compat_nfr=row.compat_nfr))
    return lines


def _render(rows: Sequence[TaskSummary], names: Sequence[str]) -> str:
    from tabulate import SEPARATING_LINE, DataRow, Line, TableFormat, tabulate

    with_compat = any(map(has_compat, rows))
    cells = [_cells(row, name, with_compat) for row, name in zip(rows, names, strict=True)]
    # Headers go in as rows, because tabulate makes a column two wider than its header.
    table: list[Sequence[str]] = [*_lines(cells[0]), SEPARATING_LINE]
    for values in cells:
        table += _lines(values.values())
    row, line = DataRow("", "  ", ""), Line("", "-", "  ", "")
    layout = TableFormat(None, line, None, None, row, row, padding=0, with_header_hide=None)
    return tabulate(table, tablefmt=layout, disable_numparse=True)


def _describe_graded(row: TaskSummary) -> list[str]:
    """Return what else there is to say of graded scores."""
    if row.tolerance is None:
        return []
    beyond = f" by more than {row.tolerance:g}" if row.tolerance else ""
    said = f"{row.task}: graded scores; accuracy is their mean, NFR and PFR fall and rise{beyond}"
    if row.mean_regress is None or row.mean_gain is None:
        return [said]
    changes = f"mean regress {score(row.mean_regress)}, mean gain {score(row.mean_gain)}"
    return [said, f"{row.task}: {changes}"]


def _describe_stops(row: TaskSummary) -> list[str]:
    """Return where the new and the compat model were stopped."""
    stops = (("new", row.stopped), ("compat", row.compat_stopped))
    return [f"{row.task}: {side} {stop}" for side, stop in stops if stop is not None]


def _lines(cells: Iterable[str]) -> list[tuple[str, ...]]:
    return list(zip_longest(*(cell.split("\n") for cell in cells), fillvalue=""))


def _cells(row: TaskSummary, name: str, with_compat: bool) -> dict[str, str]:
    """Return a row's cells by their headers; with a compat adapter some hold two figures."""
    accuracy = f"{known_percent(row.old_accuracy, 1)}→{known_percent(row.new_accuracy, 1)}"
    pfr, inconsistency = known_percent(row.pfr, 2), known_percent(row.inconsistency, 2)
    cells = {"task": name, "n": str(row.n)}
    if not with_compat:
        cells["accuracy\nold→new"] = accuracy
        cells["NFR\nold→new"] = _rate(row.nfr, row.nfr_interval, row.least_nfr)
        cells["PFR"] = pfr
        cells["inconsistent"] = inconsistency
    else:
        cells["accuracy\nold→new\ncompat"] = f"{accuracy}\n{known_percent(row.compat_accuracy, 1)}"
        cells["NFR\nold→new"] = _rate(row.nfr, row.nfr_interval, row.least_nfr)
        cells["NFR\nold→compat"] = _rate(
            row.compat_nfr, row.compat_nfr_interval, row.compat_least_nfr
        )
        cells["change"] = NONE if row.nfr_change is None else percent(row.nfr_change, 0)
        cells["PFR\nincon-\nsistent"] = f"{pfr}\n{inconsistency}"
    cells["verdict"] = row.verdict
    return cells


def has_compat(row: TaskSummary) -> bool:
    """Return whether the old model was compared with the compat one."""
    return row.compat_nfr is not None or row.compat_least_nfr is not None


def _is_partial(row: TaskSummary) -> bool:
    """Whether flips are known and the accuracy after them is not."""
    return (row.nfr is not None and row.new_accuracy is None) or (
        row.compat_nfr is not None and row.compat_accuracy is None
    )


def _rate(
    rate: float | None, interval: tuple[float, float] | None, least: float | None = None
) -> str:
    if least is not None:
        return f"≥{percent(least, 2, '')}"
    if rate is None or interval is None:
        return NONE
    low, high = interval
    return f"{percent(rate, 2, '')}\n{percent(low, 2, '')}–{percent(high, 2, '')}"
