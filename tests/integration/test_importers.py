"""Gates on the logs of two models: no model is at hand, and no torch is imported."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import scipy.stats  # noqa: F401  (pytester drops what a run inside it imports)

import pytest_muscle.update  # noqa: F401

FILES = Path(__file__).parents[1] / "importers" / "files" / "lm_eval"

TESTS = """
    from pytest_muscle import assert_gate

    def test_gate(old_predictions, new_predictions, muscle_task):
        assert_gate(old_predictions, new_predictions, gate=muscle_task.gate)
"""

NOTHING_HEAVY = """

    def test_nothing_heavy_was_imported():
        import sys

        assert not {"torch", "transformers", "lm_eval"} & sys.modules.keys()
"""

SHARED = """
[old]
predictions = "lm-eval:logs/v1?task={task}&metric=acc"

[new]
predictions = "lm-eval:logs/v2?task={task}&metric=acc"

[tasks.colours]
kind = "predictions"
slices = ["place"]
"""

OWN = """
[tasks.arc]
kind = "predictions"
old_predictions = "lm-eval:logs/v1?task=colours&metric=acc_norm"
new_predictions = "lm-eval:logs/v2?task=colours&metric=acc_norm"
"""


@pytest.fixture
def project(pytester):
    shutil.copytree(FILES, pytester.path / "logs")
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(TESTS)

    def write(text: str) -> pytest.Pytester:
        (pytester.path / "muscle.toml").write_text(text, encoding="utf-8")
        return pytester

    return write


def test_a_green_gate_without_a_model(project):
    """2 of 24 examples flip by acc: 8.33 %."""
    pytester = project(SHARED + "\n[gate]\nmax_nfr = 0.09\n")
    pytester.makepyfile(TESTS + NOTHING_HEAVY)
    result = pytester.runpytest_subprocess("-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "muscle: old = answers of lm-eval:logs/v1?task={task}&metric=acc",
            "*= model update =*",
            "*colours *24 *8.33*passed*",
        ]
    )


def test_a_red_gate_shows_prompt_and_answers(project):
    result = project(SHARED + "\n[gate]\nmax_nfr = 0.08\n").runpytest_inprocess("-v")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*8.33*", "*Which colour has the*"])


def test_logs_of_one_task_alone(project):
    """By acc_norm 6 of 24 flip."""
    text = OWN + "\n[tasks.arc.gate]\nmax_nfr = 0.24\n"
    result = project(text).runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*arc *24 *25.00*FAILED*"])


def test_fewer_examples_and_a_plan(project):
    text = OWN + "\n[tasks.arc.gate]\nmax_nfr = 1\nconfidence = 0.95\n"
    result = project(text).runpytest_inprocess("--muscle-limit", "5")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*arc *5 *passed*"])
    result = project(text.replace("= 1\n", "= 0.2\n")).runpytest_inprocess("--muscle-plan")
    result.stdout.fnmatch_lines(["*arc*24*"])
    assert result.ret == 0


def test_other_data_are_refused(project):
    pytester = project(SHARED + "\n[gate]\nmax_nfr = 1\n")
    (file,) = (pytester.path / "logs" / "v2").glob("samples_colours_*")
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"doc_hash": "2771', '"doc_hash": "0000'), encoding="utf-8")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*asked different questions for 1 id: 'colours/0'*"])


def test_what_needs_a_model_says_so(project):
    pytester = project(OWN)
    pytester.makepyfile(
        """
        def test_compat(compat_predictions): pass
        def test_adapter(compat_adapter): pass
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines_random(
        ["*answers to task 'arc' are read, so there is no compat model*", "*asks nothing*"]
    )
    result = pytester.runpytest_inprocess("--muscle-update-baseline")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*tasks.arc: asks nothing*"])
