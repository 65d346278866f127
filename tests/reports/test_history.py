"""A history gets one whole line per run, whatever stands in it, and gives its last runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_muscle.reports.history import (
    History,
    PastRun,
    append_line,
    read_history,
    read_run,
)
from pytest_muscle.reports.json_report import render_line
from pytest_muscle.reports.trend import figures_of


def test_lines_are_appended_and_folders_made(tmp_path):
    path = tmp_path / "a" / "b" / "runs.jsonl"
    append_line(path, '{"é": 1}\n')
    append_line(path, '{"n": 2}\n')
    assert path.read_text(encoding="utf-8") == '{"é": 1}\n{"n": 2}\n'


@pytest.mark.parametrize(
    ("before", "kept"),
    [(b"no JSON\n", b"no JSON\n"), (b'{"cut', b'{"cut\n'), (b"\xff\n\n", b"\xff\n\n")],
)
def test_a_bad_line_stays_as_it_is(tmp_path, before, kept):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(before)
    append_line(path, "{}\n")
    assert path.read_bytes() == kept + b"{}\n"


def test_a_line_that_does_not_fit_leaves_the_file_as_it_was(tmp_path, full_disk):
    path = tmp_path / "runs.jsonl"
    append_line(path, "{}\n")
    full_disk(100)
    with pytest.raises(OSError, match="File too large"):
        append_line(path, "x" * 200 + "\n")
    full_disk(None)
    assert path.read_text() == "{}\n"


def test_lines_of_two_processes_do_not_mix(race, tmp_path):
    race(
        """
        import sys
        from pathlib import Path
        from pytest_muscle.reports.history import append_line

        for _ in range(50):
            append_line(Path(sys.argv[1]) / "runs.jsonl", sys.argv[2] * 20_000 + "\\n")
        """
    )
    lines = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert sorted(lines) == ["0" * 20_000] * 50 + ["1" * 20_000] * 50


def line(number: int = 0, **changes: Any) -> str:
    """A line of a run whose NFR is so many per cent."""
    task = {
        "name": "support",
        "passed": True,
        "n": 100,
        "nfr": number / 100,
        "nfr_interval": [0.0, 1.0],
        "old_accuracy": 0.5,
    }
    run = {"version": 1, "written": f"2026-01-{number + 1:02d}T08:00:00+00:00", "tasks": [task]}
    return json.dumps(run | changes) + "\n"


BAD = [
    "{",
    "[]",
    "3",
    "null",
    '"text"',
    "[" * 100_000,
    line(version=2),
    line(version=None),
    line(written="yesterday"),
    line(written=3),
    line(tasks=None),
    line(tasks=["n"]),
    line(tasks=[{"n": 1}]),
    line(tasks=[{"n": 1, "name": 3}]),
    line(tasks=[{"n": "1", "name": "t"}]),
    line(tasks=[{"n": 1, "name": "t", "nfr": 2}]),
    line(tasks=[{"n": 1, "name": "t", "nfr": "0.1"}]),
    line(tasks=[{"n": 1, "name": "t", "nfr": float("nan")}]),
    line(tasks=[{"n": 1, "name": "t", "old_accuracy": 10**400}]),
    line(tasks=[{"n": 1, "name": "t", "nfr_interval": [0.1]}]),
    line(tasks=[{"n": 1, "name": "t", "nfr_interval": [0.2, 0.1]}]),
    line(tasks=[{"n": 1, "name": "t", "passed": "yes"}]),
    line(commit=["c"]),
]


def test_the_last_runs_are_read_the_oldest_first(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text("damaged\n" + "".join(line(number) for number in range(6)))
    history = read_history(path, most=4)
    assert [run.tasks["support"].nfr for run in history.runs] == [0.02, 0.03, 0.04, 0.05]
    assert history.runs[0].tasks["support"].nfr_interval == (0, 1)
    assert history.skipped == 0  # what is before them is not looked at


@pytest.mark.parametrize("bad", BAD, ids=[f"{text[:60]}" for text in BAD])
def test_damaged_and_foreign_lines_are_left_out_and_counted(tmp_path, bad):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(f"{line(1)}{bad.strip()}\n\n".encode() + b"\xff\xfe\n" + line(2).encode())
    history = read_history(path)
    assert [run.tasks["support"].nfr for run in history.runs] == [0.01, 0.02]
    assert history.skipped == 2


def test_a_task_that_was_not_compared_is_no_mistake(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(line(tasks=[{"name": "support", "passed": False, "tests": 1, "failed": 1}]))
    (run,) = read_history(path).runs
    assert run.tasks == {}


def test_a_history_that_is_not_there_has_no_runs(tmp_path):
    for path in (None, tmp_path / "runs.jsonl"):
        assert read_history(path) == History()


def test_a_history_that_cannot_be_read_has_no_runs(tmp_path):
    assert read_history(tmp_path) == History()


def test_a_large_history_is_read_from_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("pytest_muscle.reports.history.LARGEST_TAIL", 3 * len(line(9)) + 20)
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(line(number) for number in range(9)))
    history = read_history(path)
    assert [run.tasks["support"].nfr for run in history.runs] == [0.06, 0.07, 0.08]
    assert history.skipped == 0


def test_a_run_reads_its_own_line(make_run):
    run = make_run(commit="c0ffee1")
    (task,) = run.tasks
    past = read_run(render_line(run).encode())
    assert past == PastRun(
        written=run.written,
        commit="c0ffee1",
        new=run.new,
        tasks={"support": figures_of(task.summary, task.passed)},
    )
