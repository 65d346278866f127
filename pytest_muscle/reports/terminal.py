"""The table at the end of a pytest run: one row for each task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from pytest_muscle.reports.flips import shorten
from pytest_muscle.reports.numbers import percent
from pytest_muscle.reports.slices import SliceSummary

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport

NARROWEST_TASK = 8
NONE = "–"
LEGEND = "NFR, PFR, inconsistent: % of all examples; under NFR its exact 95 % interval"
LEGEND_COMPAT = f"{LEGEND}\nchange: NFR old→compat relative to NFR old→new"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """What one task's comparison came to, in plain values that travel between processes.

    Attributes:
        task: Name of the task.
        n: Number of examples.
        old_accuracy: A fraction 0-1, as all rates here.
        new_accuracy: Of the new model.
        compat_accuracy: Of the new model with the compat adapter, if there is one.
        nfr: Negative flip rate, old to new.
        nfr_interval: Its exact two-sided 95 % interval.
        compat_nfr: Negative flip rate, old to compat.
        compat_nfr_interval: Its exact two-sided 95 % interval.
        pfr: Positive flip rate, old to new.
        inconsistency: Inconsistency rate, old to new.
        mcnemar_p: Exact McNemar test of negative against positive flips, old to new.
        verdict: "passed", "FAILED" or empty.
        slices: Groups of examples by the columns that `slices` names.
    """

    task: str
    n: int
    old_accuracy: float
    new_accuracy: float
    compat_accuracy: float | None
    nfr: float
    nfr_interval: tuple[float, float]
    compat_nfr: float | None
    compat_nfr_interval: tuple[float, float] | None
    pfr: float
    inconsistency: float
    mcnemar_p: float
    verdict: str = ""
    slices: tuple[SliceSummary, ...] = ()

    @property
    def nfr_change(self) -> float | None:
        """Relative change of NFR that the compat adapter brings, −0.12 where it wins back 12 %."""
        if self.compat_nfr is None or not self.nfr:
            return None
        return (self.compat_nfr - self.nfr) / self.nfr

    def to_json(self) -> dict[str, Any]:
        """Return the summary as a dictionary of JSON values."""
        values = dataclasses.asdict(self)
        values["slices"] = [list(group) for group in self.slices]
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
        fields["slices"] = tuple(SliceSummary(*group) for group in values.get("slices", ()))
        return cls(**fields)


def summarise(
    task: str,
    report: FlipReport,
    compat_report: FlipReport | None = None,
    verdict: str = "",
    slices: tuple[SliceSummary, ...] = (),
) -> TaskSummary:
    """Return what a task's comparison came to.

    Args:
        task: Name of the task.
        report: Old against new.
        compat_report: Old against compat, where there is a compat adapter.
        verdict: In a word.
        slices: Groups of examples.
    """
    compat = compat_report
    return TaskSummary(
        task=task,
        n=report.n,
        old_accuracy=report.old_accuracy,
        new_accuracy=report.new_accuracy,
        compat_accuracy=None if compat is None else compat.new_accuracy,
        nfr=report.negative_flip_rate,
        nfr_interval=report.negative_flip_interval(),
        compat_nfr=None if compat is None else compat.negative_flip_rate,
        compat_nfr_interval=None if compat is None else compat.negative_flip_interval(),
        pfr=report.positive_flip_rate,
        inconsistency=report.inconsistency_rate,
        mcnemar_p=report.mcnemar_p,
        verdict=verdict,
        slices=slices,
    )


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
    return f"{table}\n{LEGEND_COMPAT if any(map(_has_compat, rows)) else LEGEND}"


def _render(rows: Sequence[TaskSummary], names: Sequence[str]) -> str:
    from tabulate import SEPARATING_LINE, DataRow, Line, TableFormat, tabulate

    with_compat = any(map(_has_compat, rows))
    cells = [_cells(row, name, with_compat) for row, name in zip(rows, names, strict=True)]
    # Headers go in as rows, because tabulate makes a column two wider than its header.
    table: list[Sequence[str]] = [*_lines(cells[0]), SEPARATING_LINE]
    for values in cells:
        table += _lines(values.values())
    row, line = DataRow("", "  ", ""), Line("", "-", "  ", "")
    layout = TableFormat(None, line, None, None, row, row, padding=0, with_header_hide=None)
    return tabulate(table, tablefmt=layout, disable_numparse=True)


def _lines(cells: Iterable[str]) -> list[tuple[str, ...]]:
    return list(zip_longest(*(cell.split("\n") for cell in cells), fillvalue=""))


def _cells(row: TaskSummary, name: str, with_compat: bool) -> dict[str, str]:
    """Return a row's cells by their headers; with a compat adapter some hold two figures."""
    accuracy = f"{percent(row.old_accuracy, 1, '')}→{percent(row.new_accuracy, 1, '')}"
    pfr, inconsistency = percent(row.pfr, 2, ""), percent(row.inconsistency, 2, "")
    cells = {"task": name, "n": str(row.n)}
    if not with_compat:
        cells["accuracy\nold→new"] = accuracy
        cells["NFR\nold→new"] = _rate(row.nfr, row.nfr_interval)
        cells["PFR"] = pfr
        cells["inconsistent"] = inconsistency
    else:
        compat = row.compat_accuracy
        cells["accuracy\nold→new\ncompat"] = (
            f"{accuracy}\n{NONE if compat is None else percent(compat, 1, '')}"
        )
        cells["NFR\nold→new"] = _rate(row.nfr, row.nfr_interval)
        cells["NFR\nold→compat"] = _rate(row.compat_nfr, row.compat_nfr_interval)
        cells["change"] = NONE if row.nfr_change is None else percent(row.nfr_change, 0)
        cells["PFR\nincon-\nsistent"] = f"{pfr}\n{inconsistency}"
    cells["verdict"] = row.verdict
    return cells


def _has_compat(row: TaskSummary) -> bool:
    return row.compat_nfr is not None


def _rate(rate: float | None, interval: tuple[float, float] | None) -> str:
    if rate is None or interval is None:
        return NONE
    low, high = interval
    return f"{percent(rate, 2, '')}\n{percent(low, 2, '')}–{percent(high, 2, '')}"
