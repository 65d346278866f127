"""--muscle-strict, and the warning that stands in for it."""

from __future__ import annotations

import pytest

HUB = """
[old]
model = "org/name"
revision = "main"

[new]
model = "org/name"
revision = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"
"""
MESSAGE = "*muscle.toml: old.model: 'org/name' at revision 'main' is not pinned to a commit*"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "muscle.toml").write_text(HUB)
    pytester.makepyfile("def test_plain(): pass\ndef test_other(): pass")
    return pytester


def test_a_hub_id_without_a_commit_warns(project):
    result = project.runpytest_inprocess("-q")
    result.assert_outcomes(passed=2, warnings=1)
    result.stdout.fnmatch_lines([MESSAGE, '*add revision = "COMMIT" beside it: a whole commit*'])


def test_workers_do_not_repeat_the_warning(project):
    result = project.runpytest_inprocess("-n2")
    result.assert_outcomes(passed=2, warnings=1)
    assert result.stdout.str().count("is not pinned") == 1


def test_with_strict_it_is_a_usage_error(project):
    result = project.runpytest_inprocess("--muscle-strict")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {MESSAGE}"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_where_warnings_are_errors_it_is_a_usage_error_too(project):
    result = project.runpytest_inprocess("-W", "error")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {MESSAGE}"])


def test_local_models_pass_in_strict(tiny_project):
    tiny_project.makepyfile("def test_show(model_update): assert model_update.settings.strict")
    tiny_project.runpytest_inprocess("--muscle-strict").assert_outcomes(passed=1, warnings=0)
