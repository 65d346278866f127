"""Examples kept in a temporary file: the sequence they were, in order, by position and by id."""

from __future__ import annotations

import gc
import pickle
import sys
import tempfile
import threading
from collections.abc import Iterator

import pytest

from pytest_muscle.errors import DataError
from pytest_muscle.tasks import Example
from pytest_muscle.tasks import examples as examples_module
from pytest_muscle.tasks.examples import Examples

_read = Examples._read


def make(count: int) -> list[Example]:
    return [
        Example(f"q{number}", f"Q{number}?", ("yes", "no"), number % 2, {"place": number % 3})
        for number in range(count)
    ]


@pytest.fixture(params=["in memory", "in a file"])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of four examples, and a file as soon as there is one byte, or never."""
    monkeypatch.setattr(examples_module, "BLOCK", 4)
    monkeypatch.setattr(examples_module, "IN_MEMORY", 1 if request.param == "in a file" else 10**9)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that are interrupted as often as can be."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("count", [0, 1, 4, 5, 11])
def test_they_are_the_sequence_that_was_given(count):
    given = make(count)
    found = Examples(iter(given))
    assert len(found) == count
    assert bool(found) == bool(count)
    assert list(found) == given
    assert [example.fields for example in found] == [example.fields for example in given]
    assert [found[position] for position in range(-count, count)] == given + given
    for part in (slice(2), slice(None, None, -3), slice(3, 9), slice(-2, None), slice(50, 60)):
        assert found[part] == tuple(given[part])
    for beyond in (count, -count - 1):
        with pytest.raises(IndexError):
            _ = found[beyond]


@pytest.mark.usefixtures("small_blocks")
def test_two_may_read_at_once_each_at_its_pace():
    given = make(30)
    found = Examples(given)
    ahead = iter(found)
    pairs = []
    for number, example in enumerate(found):
        if number % 10 == 0:
            pairs += [next(ahead) for _ in range(10)]
        assert example == given[number] == pairs[number] == found[number]


@pytest.mark.usefixtures("small_blocks", "hasty_threads")
def test_threads_may_read_at_once():
    given = make(2000)
    found = Examples(given)
    read: list[list[Example]] = []
    threads = [threading.Thread(target=lambda: read.append(list(found))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [given] * 8


def test_what_cannot_be_pickled_is_kept_as_its_text():
    lock = threading.Lock()
    given = [*make(3), Example("s", "?", ("a", "b"), 0, {"sound": lock, "n": [1]})]
    found = Examples(given)
    assert found[3].fields == {"sound": str(lock), "n": [1]}
    assert found[2].fields == {"place": 2}


def test_all_of_an_example_is_kept():
    chat = (("user", "a?"), ("assistant", "b"), ("user", "c?"))
    lock = threading.Lock()
    given = [
        Example("q", "user: a?", (), ("x", "y"), {"n": 1}, messages=chat, shots=7),
        Example("r", "Q?", (), "x", {"sound": lock}, messages=chat[:1], shots=3),
    ]
    found = Examples(given)
    assert list(found) == given
    assert [example.fields for example in found] == [{"n": 1}, {"sound": str(lock)}]
    assert [example.question for example in found] == ["?", ""]


def test_they_travel_between_processes():
    found = Examples(make(5))
    copy = pickle.loads(pickle.dumps(found.by_id))
    assert list(copy.values()) == make(5)


def test_a_full_disk_is_one_clear_paragraph(monkeypatch: pytest.MonkeyPatch):
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(examples_module, "IN_MEMORY", 1)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(DataError) as caught:
        Examples(make(1))
    assert str(caught.value) == (
        f"{tempfile.gettempdir()}: the examples cannot be kept in a temporary file: "
        "[Errno 28] No space left on device\n"
        "  make room there, or name another folder in the variable TMPDIR"
    )


def test_the_file_is_closed_with_its_last_reader():
    found = Examples(make(1))
    file = found._file
    assert not file.closed
    del found
    gc.collect()
    assert file.closed


# --- ids


@pytest.mark.usefixtures("small_blocks")
def test_each_is_found_by_its_id():
    given = make(11)
    by_id = Examples(given).by_id
    assert [by_id[example.id] for example in reversed(given)] == given[::-1]
    assert by_id.get("q11") is None
    assert by_id.get(3) is None
    assert "q3" in by_id
    assert list(by_id) == [example.id for example in given]
    assert len(by_id) == 11


def with_ids(*ids: object) -> Examples:
    return Examples([Example(id_, str(number), ("a", "b"), 0) for number, id_ in enumerate(ids)])


def test_ids_of_equal_hash_are_not_taken_for_each_other():
    found = with_ids(-1, -2, "a")
    assert hash(-1) == hash(-2)
    assert (found.by_id[-1].prompt, found.by_id[-2].prompt) == ("0", "1")
    assert found.find_repeated() is None
    assert with_ids(-1, -2, -1, -2).find_repeated() == (0, 2)
    assert with_ids(-2, -1, -1).find_repeated() == (1, 2)


@pytest.mark.usefixtures("small_blocks")
def test_the_first_id_that_stands_twice_is_found():
    assert Examples(make(20)).find_repeated() is None
    assert with_ids().find_repeated() is None
    assert with_ids("a").find_repeated() is None
    assert with_ids("a", "b", "c", "b", "a", "b").find_repeated() == (1, 3)
    assert Examples(make(20) + make(20)).find_repeated() == (0, 20)


@pytest.mark.usefixtures("small_blocks")
def test_some_are_given_in_the_order_of_their_ids():
    given = make(9)
    by_id = Examples(given).by_id
    orders = ([*range(9)], [0, 1, 4, 8], [8, 0, 1, 7], [*range(8, -1, -1)], [0, 0, 0], [])
    for order in orders:
        found = by_id.select([given[number].id for number in order])
        assert len(found) == len(order)
        assert list(found) == list(found) == [given[number] for number in order]
    with pytest.raises(DataError, match="there is no example 'x'"):
        list(by_id.select(["q0", "x"]))
    with pytest.raises(DataError, match="there is no example 'q9'"):
        list(by_id.select([*by_id, "q9"]))


def test_some_are_read_block_by_block(monkeypatch: pytest.MonkeyPatch):
    found = Examples(make(10 * examples_module.BLOCK))
    ids = [f"q{number}" for number in range(len(found)) if number % 3]
    read: list[int] = []
    monkeypatch.setattr(
        Examples, "_read", lambda self, number: read.append(number) or _read(self, number)
    )
    chosen, again = iter(found.by_id.select(ids)), iter(found.by_id.select(ids))
    assert [next(chosen) == next(again) for _ in ids] == [True] * len(ids)
    # Two readers, and the one that looks ids up where there is a gap.
    assert len(read) == 3 * 10
