"""Things in the cache: named by their fingerprint, made by one process while others wait."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from pytest_muscle.cache import CacheKey, sole_maker
from pytest_muscle.progress import SILENT

KEY = CacheKey("colours", "new", {"data": "a", "recipe": {"rank": 4}})


def test_the_same_values_have_the_same_fingerprint():
    same = CacheKey("other", "old", {"recipe": {"rank": 4}, "data": "a"})
    other = CacheKey("colours", "new", {"data": "a", "recipe": {"rank": 5}})

    assert same.fingerprint == KEY.fingerprint
    assert other.fingerprint != KEY.fingerprint


def test_a_name_that_any_file_system_takes():
    key = CacheKey("naïve: a/b", "new", {})

    assert key.name == f"naïve--a-b-new-{key.fingerprint[:16]}"


def test_a_long_name_is_cut(tmp_path):
    key = CacheKey("価" * 100, "compat", {})

    (tmp_path / f".{key.name}.jsonl.manifest.json.0123456789ab.part").touch()


HOLDER = """
    import sys, time
    from pathlib import Path

    from pytest_muscle.cache import CacheKey, sole_maker
    from pytest_muscle.progress import SILENT

    key = CacheKey("colours", "new", {"data": "a", "recipe": {"rank": 4}})
    with sole_maker(Path(sys.argv[1]), key, SILENT, doing="trains"):
        print("held", flush=True)
        time.sleep(60)
"""

WAITER = """
    import sys
    from pathlib import Path

    from pytest_muscle.cache import CacheKey, sole_maker
    from pytest_muscle.progress import Progress

    key = CacheKey("colours", "new", {"data": "a", "recipe": {"rank": 4}})
    with sole_maker(Path(sys.argv[1]), key, Progress(), doing="trains"):
        print("made")
"""


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_who_waits_goes_on_when_the_holder_is_killed(tmp_path):
    holder = python(HOLDER, tmp_path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    waiter = python(WAITER, tmp_path)
    assert waiter.stderr is not None
    lines = (waiter.stderr.readline(), waiter.stderr.readline())
    assert lines == ("\n", f"muscle: waiting for another process that trains {KEY.name}\n")

    holder.send_signal(signal.SIGKILL)

    output, _ = waiter.communicate(timeout=30)
    assert output == "made\n"
    holder.communicate()


def test_another_key_is_not_waited_for(tmp_path):
    other = CacheKey("colours", "old", KEY.made_of)
    start = time.monotonic()
    with (
        sole_maker(tmp_path, KEY, SILENT, doing="trains"),
        sole_maker(tmp_path, other, SILENT, doing="trains"),
    ):
        assert time.monotonic() - start < 1


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(OSError, match="file"),
        sole_maker(tmp_path / "file", KEY, SILENT, doing="trains"),
    ):
        pytest.fail("it was given")


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    (tmp_path / f".{KEY.name}.lock").symlink_to(elsewhere)

    with pytest.raises(OSError, match="lock"), sole_maker(tmp_path, KEY, SILENT, doing="trains"):
        pytest.fail("it was given")

    assert elsewhere.read_text() == "precious"
