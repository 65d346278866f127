"""--muscle-cache-clear, and the cache's size in the header."""

from __future__ import annotations

import pytest


def test_the_header_says_with_v_how_much_the_cache_holds(trained_project):
    trained_project.makepyfile("def test_plain(): pass")

    loud = trained_project.runpytest_inprocess("-v")
    loud.stdout.fnmatch_lines(
        ["muscle: device cpu, *, cache .muscle_cache (3 adapters, 3 tables of predictions, *B)"]
    )
    quiet = trained_project.runpytest_inprocess()
    quiet.stdout.fnmatch_lines(["muscle: device cpu, dtype float32, cache .muscle_cache"])


def test_the_cache_is_cleared_before_the_run_and_the_header_says_so(trained_project):
    (trained_project.path / ".muscle_cache" / "mine.txt").touch()
    trained_project.makepyfile(
        """
        import os

        def test_empty():
            assert os.listdir(".muscle_cache") == ["mine.txt"]
        """
    )

    result = trained_project.runpytest_inprocess("--muscle-cache-clear")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["muscle: cache cleared: 3 adapters, 3 tables of predictions, *B"])


def test_workers_of_xdist_do_not_clear_what_the_run_made(trained_project):
    trained_project.makeconftest(
        """
        import os

        def pytest_sessionstart(session):
            if not hasattr(session.config, "workerinput"):
                os.mkdir(".muscle_cache")
                open(".muscle_cache/device.json", "w").close()
        """
    )
    trained_project.makepyfile(
        """
        import os

        def test_kept():
            assert os.listdir(".muscle_cache") == ["device.json"]
        """
    )

    result = trained_project.runpytest_subprocess("-n2", "--muscle-cache-clear")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["muscle: cache cleared: 3 adapters, *"])


def test_help_clears_nothing(trained_project):
    trained_project.runpytest_inprocess("--help", "--muscle-cache-clear")

    assert len(list(trained_project.path.glob(".muscle_cache/adapters/colours-*"))) == 3


def test_nothing_to_clear_without_configuration(pytester):
    result = pytester.runpytest_inprocess("--muscle-cache-clear")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --muscle-cache-clear: *no model update is configured*"])
