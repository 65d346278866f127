"""A second run with nothing changed reads what the first one stored, and is quick."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

TESTS = """
    from pytest_muscle import assert_flips_reduced, assert_negative_flip_rate

    def test_update(old_predictions, new_predictions, flip_report):
        assert_negative_flip_rate(old_predictions, new_predictions, max_rate=0.99, confidence=0.95)
        assert flip_report.n == 40

    def test_compat(old_predictions, new_predictions, compat_predictions, compat_adapter):
        assert len(compat_predictions) == 40
        assert compat_adapter.path.is_dir()
"""

REFUSE = """
    import sys

    HEAVY = (
        "torch", "transformers", "peft", "accelerate", "tokenizers", "safetensors",
        "huggingface_hub", "datasets", "scipy.stats",
    )

    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.startswith(HEAVY):
                raise ImportError(f"{name} was imported")

    sys.meta_path.insert(0, Refuse())

    def pytest_unconfigure():
        print("LOADED", [name for name in HEAVY if name in sys.modules])
"""


def test_torch_is_not_imported_where_everything_is_stored(trained_project):
    """Not even to find out the device and the type, which are left to be chosen here."""
    path = trained_project.path / "muscle.toml"
    text = path.read_text()
    path.write_text(text.replace('device = "cpu"\ndtype = "float32"\n', ""))
    assert path.read_text() != text
    trained_project.makepyfile(TESTS)
    first = trained_project.runpytest_subprocess("-v")
    first.assert_outcomes(passed=2)
    trained_project.makeconftest(REFUSE)

    second = trained_project.runpytest_subprocess("-v")

    second.assert_outcomes(passed=2)
    second.stdout.fnmatch_lines(["LOADED []*"])
    table = [line for line in second.outlines if line.startswith(("colours", "place = "))]
    assert len(table) > 3
    assert table == [line for line in first.outlines if line.startswith(("colours", "place = "))]


def test_failures_show_their_examples_without_torch(trained_project):
    trained_project.makeconftest(REFUSE)
    trained_project.makepyfile(
        """
        from pytest_muscle import assert_inconsistency_rate

        def test_update(old_predictions, new_predictions):
            assert_inconsistency_rate(old_predictions, new_predictions, max_rate=0.0)
        """
    )

    result = trained_project.runpytest_subprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*inconsistency rate*", "*q7-* Question: Which colour*"])


def test_a_second_run_ends_within_three_seconds_of_pytest_s_own_time(trained_project):
    trained_project.makepyfile(test_bare="def test_bare(): pass", test_update=TESTS)

    def seconds(file: str) -> float:
        start = time.perf_counter()
        assert trained_project.runpytest_subprocess(file).ret == 0
        return time.perf_counter() - start

    bare = min(seconds("test_bare.py") for _ in range(3))
    assert min(seconds("test_update.py") for _ in range(3)) < bare + 3


def test_a_damaged_table_is_made_again_with_one_visible_line(trained_project):
    (path,) = trained_project.path.glob(".muscle_cache/predictions/colours-old-*.jsonl")
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    trained_project.makepyfile("def test_old(old_predictions): assert len(old_predictions) == 40")

    result = trained_project.runpytest_subprocess()

    result.assert_outcomes(passed=1)
    said = [line for line in result.errlines if line.startswith("muscle: ")]
    assert len(said) == 1
    assert "stored predictions are damaged and made again: " in said[0]
    assert "has 39 rows where its manifest counts 40" in said[0]
    assert path.read_text() == whole


COUNTED = """
    import os
    import time

    def first(loglikelihoods, options):
        with open("asked.txt", "a") as file:
            file.write(f"{os.getpid()}\\n")
        if os.environ.get("SLOW"):
            time.sleep(60)
        return 0
"""


@pytest.fixture
def counted(trained_project):
    """The trained project with a metric that writes a line for each answer it judges."""
    trained_project.makepyfile(counted=COUNTED)
    trained_project.makeini("[pytest]\npythonpath = .\n")
    path = trained_project.path / "muscle.toml"
    table = "[tasks.colours]\n"
    path.write_text(path.read_text().replace(table, f'{table}metric = "counted:first"\n'))
    return trained_project


def asked(project) -> list[str]:
    return (project.path / "asked.txt").read_text().split()


def test_workers_of_xdist_score_each_table_once(counted):
    counted.makepyfile(
        """
        def test_all(old_predictions, new_predictions, compat_predictions):
            assert len(old_predictions) == len(new_predictions) == len(compat_predictions) == 40
        """
    )

    result = counted.runpytest_subprocess("--dist=each", "--tx=2*popen")

    result.assert_outcomes(passed=2)
    assert len(asked(counted)) == 3 * 40
    counted.runpytest_subprocess("--dist=each", "--tx=2*popen").assert_outcomes(passed=2)
    assert len(asked(counted)) == 3 * 40


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_a_run_that_waits_goes_on_when_the_one_it_waits_for_is_killed(counted, monkeypatch):
    counted.makepyfile("def test_old(old_predictions): assert len(old_predictions) == 40")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    with monkeypatch.context() as patch:
        patch.setenv("SLOW", "1")
        holder = counted.popen(command, cwd=counted.path, stdin=subprocess.DEVNULL)
    while not (counted.path / "asked.txt").exists():
        assert holder.poll() is None
        time.sleep(0.05)
    waiter = counted.popen(command, cwd=counted.path, stdin=subprocess.DEVNULL)
    lines = iter(waiter.stderr.readline, b"")
    assert any(b"muscle: waiting for another process that scores colours-old-" in x for x in lines)
    time.sleep(0.5)
    assert waiter.poll() is None

    holder.send_signal(signal.SIGKILL)
    holder.communicate()

    output, _ = waiter.communicate(timeout=60)
    assert b"1 passed" in output
    assert len(asked(counted)) == 1 + 40
