"""A history gets one whole line per run, whatever stands in it."""

from __future__ import annotations

import pytest

from pytest_muscle.reports.history import append_line


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
