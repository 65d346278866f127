"""What GitHub Actions reads: a job's summary, and an error at each test that failed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_muscle.reports.texts import shorten

if TYPE_CHECKING:
    from pytest_muscle.reports.data import RunReport

MESSAGE_WIDTH = 500
_IN_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY = _IN_DATA | str.maketrans({":": "%3A", ",": "%2C"})


def in_actions(environment: Mapping[str, str]) -> bool:
    """Return whether this process runs in GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def job_summary(environment: Mapping[str, str]) -> Path | None:
    """Return the file that GitHub Actions shows as the job's summary, where there is one."""
    name = environment.get("GITHUB_STEP_SUMMARY")
    return Path(name) if name and in_actions(environment) else None


def append_summary(path: Path, markdown: str) -> None:
    """Append a run's Markdown to a job's summary.

    Raises:
        OSError: If it cannot be written.
    """
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(f"{markdown}\n")


def render_annotations(run: RunReport, root: Path, workspace: str | None) -> list[str]:
    """Return an `::error` command for each test that failed, at its file and line.

    Args:
        run: The run.
        root: pytest's root directory.
        workspace: The repository's directory, which the files are relative to.
    """
    return [
        _command(
            {
                "file": _relative(root / failed.file, workspace),
                "line": "" if failed.line is None else str(failed.line),
                "title": f"pytest-muscle: {task.name}",
            },
            failed.message,
        )
        for task in run.tasks
        for failed in task.failed
    ]


def _relative(path: Path, workspace: str | None) -> str:
    path = Path(os.path.normpath(path))
    if workspace and path.is_relative_to(workspace):
        path = path.relative_to(workspace)
    return path.as_posix()


def _command(properties: Mapping[str, str], message: str) -> str:
    """Return a workflow command: what is in it ends neither a property nor the command."""
    said = ",".join(
        f"{name}={value.translate(_IN_PROPERTY)}" for name, value in properties.items() if value
    )
    return f"::error {said}::{shorten(message, MESSAGE_WIDTH).translate(_IN_DATA)}"
