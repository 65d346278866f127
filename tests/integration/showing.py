"""Showing a project inside pytest: what the tests of `--muscle-show` have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = """
    def test_update(old_predictions, new_predictions):
        raise AssertionError("run")

    def test_compat(compat_predictions):
        raise AssertionError("run")
"""


def listing(directory: Path) -> dict[str, tuple[int, int]]:
    """What stands in a folder: names, sizes and times of change."""
    return {
        str(path.relative_to(directory)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(directory.rglob("*"))
        if "__pycache__" not in path.parts
    }


def show(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Show, and see that nothing was run or written."""
    before = listing(project.path)
    result = project.runpytest_inprocess("-p", "no:cacheprovider", "--muscle-show", *options)
    assert listing(project.path) == before
    assert result.ret == pytest.ExitCode.OK, result.stderr.str()
    result.assert_outcomes()
    result.stdout.no_fnmatch_line("*Traceback*")
    return result


def add(project: pytest.Pytester, text: str) -> None:
    with (project.path / "muscle.toml").open("a") as file:
        file.write(text)
