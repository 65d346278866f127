"""Notes in a file: kept by several processes, and never in the way when they cannot be."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from pytest_muscle.notebook import Notebook


def is_text(note: object) -> bool:
    return isinstance(note, str)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "notes.json"


def test_notes_are_remembered(path):
    Notebook(path, is_text).write({"a": "1"})
    Notebook(path, is_text).write({"b": "ä"})

    assert Notebook(path, is_text).read() == {"a": "1", "b": "ä"}


def test_a_note_takes_the_place_of_outdated_ones(path):
    notebook = Notebook(path, is_text)
    notebook.write({"x:1": "old", "y:1": "other"})
    notebook.write({"x:2": "new"}, instead_of=["x:"])

    assert notebook.read() == {"x:2": "new", "y:1": "other"}


def test_the_latest_notes_are_kept(path):
    notebook = Notebook(path, is_text, most=3)
    for key in "abcad":
        notebook.write({key: "note"})

    assert list(notebook.read()) == ["c", "a", "d"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"7"])
def test_a_damaged_file_is_an_empty_one(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    notebook = Notebook(path, is_text)
    assert notebook.read() == {}

    notebook.write({"a": "1"})

    assert notebook.read() == {"a": "1"}


def test_what_is_no_note_of_ours_is_passed_over_and_goes_away(path):
    path.parent.mkdir()
    path.write_text('{"a": 7, "b": "text"}')
    notebook = Notebook(path, is_text)
    assert notebook.read() == {"b": "text"}

    notebook.write({"c": "more"})

    assert "7" not in path.read_text()


def test_a_file_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    notebook = Notebook(tmp_path / "file" / "notes.json", is_text)

    notebook.write({"a": "1"})

    assert notebook.read() == {}


def test_nothing_to_write_makes_no_file(path):
    Notebook(path, is_text).write({})

    assert not path.parent.exists()


WRITER = """
    import sys
    from pathlib import Path

    from pytest_muscle.notebook import Notebook

    notebook = Notebook(Path(sys.argv[1]), lambda note: True)
    for number in range(40):
        notebook.write({f"{sys.argv[2]}-{number}": number})
"""


def test_processes_that_write_at_the_same_time_keep_each_other_s_notes(path):
    writers = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), str(path), name])
        for name in "abc"
    ]

    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert len(Notebook(path, lambda _: True).read()) == 120


def test_one_that_does_not_write_remembers_in_this_process_alone(path):
    Notebook(path, is_text).write({"a": "1"})
    before = path.read_bytes()
    looking = Notebook(path, is_text, writes=False)
    looking.write({"b": "2"}, instead_of=["a"])

    assert looking.read() == {"a": "1", "b": "2"}
    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == [path.with_name(".notes.json.lock"), path]


def test_one_that_does_not_write_makes_no_folder(path):
    Notebook(path, is_text, writes=False).write({"a": "1"})
    assert not path.parent.exists()
