"""Where a run's report goes, and what became of it; imports nothing that costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Destinations(NamedTuple):
    """Where a run's report goes; nowhere where all are none.

    Attributes:
        directory: Folder of the report files.
        history: File that gets a line.
        summary: GitHub's summary of the job.
    """

    directory: Path | None = None
    history: Path | None = None
    summary: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of a run's report.

    Attributes:
        lines: What was written, in words.
        warnings: What could not be written though nobody asked for it.
        errors: What could not be written and was asked for.
    """

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    def __add__(self, other: Written) -> Written:
        return Written(
            lines=self.lines + other.lines,
            warnings=self.warnings + other.warnings,
            errors=self.errors + other.errors,
        )
