"""What pytest's own `--junitxml` says of a test case: the figures of its task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pytest_muscle.reports.terminal import TaskSummary

PREFIX = "muscle."


def describe_properties(
    summary: TaskSummary, negative_flips: Mapping[Literal["new", "compat"], int]
) -> list[tuple[str, object]]:
    """Return the figures that are known of a task, by their names.

    Args:
        summary: Of the task.
        negative_flips: Their numbers by "new" and "compat".
    """
    low, high = summary.nfr_interval or (None, None)
    compat_low, compat_high = summary.compat_nfr_interval or (None, None)
    figures = {
        "n": summary.n,
        "nfr": summary.nfr,
        "nfr_low": low,
        "nfr_high": high,
        "negative_flips": negative_flips.get("new") if summary.nfr is not None else None,
        "accuracy_old": summary.old_accuracy,
        "accuracy_new": summary.new_accuracy,
        "compat_nfr": summary.compat_nfr,
        "compat_nfr_low": compat_low,
        "compat_nfr_high": compat_high,
        "compat_negative_flips": (
            negative_flips.get("compat") if summary.compat_nfr is not None else None
        ),
        "accuracy_compat": summary.compat_accuracy,
    }
    return [(f"{PREFIX}{name}", value) for name, value in figures.items() if value is not None]
