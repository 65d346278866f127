"""A journal: what was written whole is read back exactly, what was not is cut off."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_muscle.predictions.journal import Batch, Journal
from pytest_muscle.progress import Progress

CONDITIONS = {"layout": "tree"}
BATCHES = [
    Batch(0, [0, 1, 2], [-1 / 3, -0.1, -1e-300], 1, "auto", 512),
    Batch(0, [3], [float("-inf")], 1, "auto", 256),
    Batch(2, [1, 0], [-12345.678901234567, 0.0], 3, "auto", 256),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def opened(path: Path, fingerprint: str = "f", **conditions: object) -> Journal:
    journal = Journal(path, fingerprint, Progress())
    journal.open(CONDITIONS | conditions)
    return journal


def read(journal: Journal, windows: int = 4) -> list[Batch]:
    return [batch for number in range(windows) for batch in journal.window(number)]


@pytest.fixture
def written(path: Path) -> Path:
    """The journal of a process that ended after three batches."""
    journal = opened(path)
    for batch in BATCHES:
        journal.append(batch)
    journal.close()
    return path


def test_texts_are_kept_as_they_are(path):
    batch = Batch(0, [0, 2], ["a\nb \x00 ü 🙂 \u2028 \r\n", ""], 2, "auto", 512)
    journal = opened(path)
    journal.append(batch)
    journal.close()

    assert read(opened(path)) == [batch]


def test_a_new_journal_knows_nothing(path):
    journal = opened(path)

    assert (journal.examples, journal.last, read(journal)) == (0, None, [])


def test_what_was_answered_before_is_read_window_by_window(written):
    journal = opened(written)

    assert journal.examples == 5
    assert journal.last == BATCHES[-1]
    assert [list(journal.window(number)) for number in range(3)] == [BATCHES[:2], [], BATCHES[2:]]


@given(st.lists(st.floats(allow_nan=False)), st.integers(0, 2**53))
def test_numbers_come_back_to_the_last_bit(tmp_path_factory, values, number):
    path = tmp_path_factory.mktemp("journal") / "journal"
    batch = Batch(number, list(range(len(values))), values, 0, number, number)
    first = opened(path)
    first.append(batch)

    (found,) = opened(path).window(number)

    assert found == batch
    signs = [math.copysign(1, value) for value in found.values]
    assert signs == [math.copysign(1, value) for value in values]


def test_each_batch_is_there_when_append_returns(path):
    journal = opened(path)

    for number, batch in enumerate(BATCHES, start=1):
        journal.append(batch)
        assert len(read(opened_copy(path))) == number


def opened_copy(path: Path) -> Journal:
    """What a process finds that comes after one which was killed now."""
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    return opened(copy)


def test_it_is_on_disk_before_the_next_batch_is_run(path, monkeypatch):
    sizes = []
    sync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda number: sizes.append(os.fstat(number).st_size) or sync(number)
    )
    journal = opened(path)
    expected = [path.stat().st_size]

    for batch in BATCHES:
        journal.append(batch)
        expected.append(path.stat().st_size)

    assert sizes == expected
    assert len(set(sizes)) == 4


def test_wherever_a_write_was_cut_short_whole_lines_are_kept_and_the_file_goes_on(written):
    whole = written.read_bytes()
    ends = [number + 1 for number, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        written.write_bytes(whole[:size])
        known = max(0, sum(end <= size for end in ends) - 1)

        journal = opened(written)

        assert read(journal) == BATCHES[:known]
        for batch in BATCHES[known:]:
            journal.append(batch)
        journal.close()
        assert written.read_bytes() == whole


@pytest.mark.parametrize("line", [1, 2, 3])
def test_from_an_edited_line_on_nothing_is_taken(written, line):
    lines = written.read_text().splitlines(keepends=True)
    lines[line] = lines[line].replace("0", "1", 1)
    written.write_text("".join(lines))

    journal = opened(written)

    assert read(journal) == BATCHES[: line - 1]
    assert written.read_text() == "".join(lines[:line])


def garbage(path: Path) -> Journal:
    path.write_bytes(b"\x00\xff\n\n" + path.read_bytes())
    return opened(path)


OTHERS: dict[str, Callable[[Path], Journal]] = {
    "of another model": lambda path: opened(path, "g"),
    "in another layout": lambda path: opened(path, layout="plain rows"),
    "with one more condition": lambda path: opened(path, window=3),
    "behind garbage": garbage,
}


@pytest.mark.parametrize("how", OTHERS)
def test_what_was_made_otherwise_is_not_taken(written, how):
    journal = OTHERS[how](written)

    assert (journal.examples, journal.last, read(journal)) == (0, None, [])
    journal.close()
    assert len(written.read_bytes().splitlines()) == 1


def test_another_version_s_journal_is_not_taken(written, monkeypatch):
    monkeypatch.setattr("pytest_muscle.predictions.journal.__version__", "0.0.0")

    assert read(opened(written)) == []


def test_what_another_run_did_not_read_is_still_known(written):
    first = opened(written)
    next(first.window(0))
    first.close()

    assert read(opened(written)) == BATCHES


def test_removed_it_is_gone_and_may_be_removed_again(written):
    journal = opened(written)

    journal.remove()
    journal.remove()

    assert not written.exists()
    journal.append(BATCHES[0])
    assert not written.exists()


def test_without_a_file_nothing_is_kept_and_nothing_said(capfd):
    journal = Journal()
    journal.open(CONDITIONS)
    journal.append(BATCHES[0])
    journal.close()
    journal.remove()

    assert read(journal) == []
    assert capfd.readouterr().err == ""


def complaints(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_a_journal_that_cannot_be_made_is_done_without(tmp_path, capfd):
    journal = opened(tmp_path / "missing" / "journal")

    for batch in BATCHES:
        journal.append(batch)

    (said,) = complaints(capfd.readouterr().err)
    assert said.startswith("muscle: answers are not kept before all are there: ")


@pytest.fixture
def crowded(
    path: Path, written: Path, full_disk: Callable[[int | None], None]
) -> tuple[Path, bytes, int]:
    """A disk with room for one batch and a bit: path, what a whole journal holds, the room."""
    whole = written.read_bytes()
    path.unlink()
    room = len(b"".join(whole.splitlines(keepends=True)[:2])) + 5
    full_disk(room)
    return path, whole, room


def test_on_a_full_disk_what_fitted_is_kept_and_the_rest_is_done_without(crowded, full_disk, capfd):
    path, whole, room = crowded
    journal = opened(path)

    for batch in BATCHES:
        journal.append(batch)
    journal.close()
    full_disk(None)

    assert len(complaints(capfd.readouterr().err)) == 1
    assert path.read_bytes() == whole[:room]
    assert read(opened(path)) == BATCHES[:1]


def test_what_found_no_room_is_written_with_the_next_batch_that_does(crowded, full_disk, capfd):
    """Room that somebody makes in the second hour of ten saves the other eight."""
    path, whole, room = crowded
    journal = opened(path)

    for batch in BATCHES[:-1]:
        journal.append(batch)
    assert path.read_bytes() == whole[:room]
    full_disk(None)
    journal.append(BATCHES[-1])

    assert path.read_bytes() == whole
    full_disk(path.stat().st_size)
    journal.append(BATCHES[-1])
    journal.append(BATCHES[-1])
    assert len(complaints(capfd.readouterr().err)) == 2  # one each time that it fills up


@pytest.mark.parametrize("there", [True, False])
def test_a_link_makes_way_and_what_it_leads_to_is_left_alone(path, there):
    elsewhere = path.with_name("elsewhere")
    if there:
        elsewhere.write_text("precious")
    path.symlink_to(elsewhere)

    journal = opened(path)
    journal.append(BATCHES[0])
    journal.close()

    assert path.is_file()
    assert not path.is_symlink()
    assert read(opened(path)) == BATCHES[:1]
    assert elsewhere.exists() == there
    assert not there or elsewhere.read_text() == "precious"


OPEN_A_PIPE = """
    import os, sys
    from pathlib import Path

    from pytest_muscle.predictions.journal import Journal

    os.mkfifo(sys.argv[1])
    Journal(Path(sys.argv[1]), "f").open({})
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_makes_way_and_does_not_hold_the_run(path):
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OPEN_A_PIPE), str(path)], check=True, timeout=20
    )
    assert path.is_file()


def test_a_line_beyond_the_limit_is_where_it_ends(written, monkeypatch):
    """No process of ours wrote it, and an endless one would fill the memory."""
    whole = written.read_bytes()
    journal = opened(written)
    journal.append(Batch(3, list(range(200)), [-1.0] * 200, 1, "auto", 256))
    journal.close()
    monkeypatch.setattr("pytest_muscle.limits.LONGEST_LINE", 500)

    assert read(opened(written)) == BATCHES
    assert written.read_bytes() == whole


MEMORY = """
    import os, sys, tracemalloc
    from pathlib import Path

    from pytest_muscle.predictions.journal import Batch, Journal

    os.fsync = lambda _: None
    path = Path(sys.argv[1])
    journal = Journal(path, "f")
    journal.open({})
    for window in range(2000):
        journal.append(Batch(window, list(range(100)), [-1 / 3] * 100, 25, "auto", 512))
    journal.close()
    tracemalloc.start()
    journal = Journal(path, "f")
    journal.open({})
    count = sum(len(batch.values) for window in range(2000) for batch in journal.window(window))
    print(count, path.stat().st_size, tracemalloc.get_traced_memory()[1])
"""


def test_it_is_read_piece_by_piece(path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEMORY), str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    count, size, peak = map(int, done.stdout.split())

    assert count == 200_000
    assert size > 4_000_000
    assert peak < 300_000


def test_a_line_is_json_that_people_can_read(written):
    header, first, *_ = written.read_text().splitlines()

    assert json.loads(header.rpartition(" ")[0])["fingerprint"] == "f"
    assert json.loads(first.rpartition(" ")[0])[:2] == [0, [0, 1, 2]]


def test_answers_are_counted_without_touching_the_file(written):
    with written.open("ab") as file:
        file.write(b"half a li")
    before = written.read_bytes()
    assert Journal(written, "f").count() == 5
    assert Journal(written, "another").count() == 0
    assert Journal(written.with_name("none"), "f").count() == 0
    assert Journal().count() == 0
    assert written.read_bytes() == before
    written.write_bytes(b"no journal\n")
    assert Journal(written, "f").count() == 0
