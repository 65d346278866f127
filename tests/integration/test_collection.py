"""`pytest muscle.toml`: gates as tests, without Python."""

from __future__ import annotations

import pytest

GATE = """
[gate]
max_nfr = 0.9
max_accuracy_drop = 0.9

[compat]
strategy = "muscle"
"""


def add(project: pytest.Pytester, text: str = GATE) -> None:
    path = project.path / "muscle.toml"
    path.write_text(path.read_text() + text)


@pytest.fixture
def gated(trained_project: pytest.Pytester) -> pytest.Pytester:
    add(trained_project)
    return trained_project


def test_each_limit_and_side_is_a_test(gated):
    result = gated.runpytest_inprocess("muscle.toml", "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        "muscle.toml::colours::negative_flips[new]",
        "muscle.toml::colours::accuracy_drop[new]",
        "muscle.toml::colours::negative_flips[compat]",
        "muscle.toml::colours::accuracy_drop[compat]",
    ]


def test_a_failure_of_the_compat_model_is_named_so(gated):
    path = gated.path / "muscle.toml"
    path.write_text(path.read_text().replace("max_nfr = 0.9", "max_nfr = 0.0"))
    result = gated.runpytest_subprocess("muscle.toml", "-k", "negative_flips and compat")
    result.assert_outcomes(failed=1, deselected=3)
    result.stdout.fnmatch_lines(["*accuracy old → compat*", "*negative flips, old → compat*"])


def test_a_task_without_a_limit_is_told(gated):
    path = gated.path / "muscle.toml"
    text = path.read_text()
    task = text[text.index("[tasks.colours]") : text.index("[adapter]")]
    other = task.replace("tasks.colours", "tasks.idle")
    limit = "[tasks.colours.gate]\nmax_nfr = 0.9\n"
    path.write_text(f"{text.partition('[gate]')[0]}{other}{limit}")
    result = gated.runpytest_inprocess("muscle.toml", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["muscle.toml::colours::*", "*no limit, so no test: idle*"])


def test_they_pass_and_stand_in_the_summary(gated):
    result = gated.runpytest_subprocess("muscle.toml", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        ["muscle.toml::colours::negative_flips?new? PASSED*", "*colours*40*passed*"]
    )


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["muscle.toml::colours::negative_flips[new]"], 1),
        (["muscle.toml::colours::negative_flips"], 2),
        (["muscle.toml::colours"], 4),
        (["muscle.toml", "-k", "compat and accuracy"], 1),
        (["muscle.toml", "-m", "muscle"], 4),
        (["muscle.toml", "-m", "not muscle"], 0),
    ],
)
def test_they_are_chosen_as_other_tests_are(gated, arguments, passed):
    result = gated.runpytest_inprocess(*arguments, "--collect-only", "-q")
    assert sum("::" in line for line in result.outlines) == passed


def test_a_failure_shows_the_flips_and_no_code(trained_project):
    add(trained_project, "\n[gate]\nmax_inconsistency = 0.0\n")
    result = trained_project.runpytest_subprocess("muscle.toml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*task 'colours': inconsistency rate is *, more than the allowed*"]
    )
    assert "def runtest" not in result.stdout.str()
    assert "FlipAssertionError" not in result.stdout.str().partition("short test summary")[0]


def test_without_compat_only_the_new_model_is_judged(trained_project):
    add(trained_project, "\n[gate]\nmax_nfr = 0.9\n")
    result = trained_project.runpytest_inprocess("muscle.toml", "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        "muscle.toml::colours::negative_flips[new]"
    ]


def test_without_limits_there_is_nothing_to_check(trained_project):
    result = trained_project.runpytest_inprocess("muscle.toml")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no task has a limit*", "*set max_nfr in ?gate?*"])


def test_a_run_without_the_file_s_name_collects_it_only_if_asked(gated):
    gated.makepyfile("def test_other(): pass")
    gated.runpytest_inprocess("--collect-only", "-q").stdout.no_fnmatch_line("*muscle.toml::*")
    gated.makeini("[pytest]\nmuscle_collect = true\n")
    result = gated.runpytest_inprocess("--collect-only", "-q")
    assert sum("muscle.toml::" in line for line in result.outlines) == 4
    assert "5 tests collected" in result.stdout.str()


def test_testpaths_do_not_hide_it(gated):
    gated.makeini("[pytest]\nmuscle_collect = true\ntestpaths = tests\n")
    (gated.mkdir("tests") / "test_other.py").write_text("def test_other(): pass")
    result = gated.runpytest_inprocess("--collect-only", "-q")
    assert sum("muscle.toml::" in line for line in result.outlines) == 4
    assert "5 tests collected" in result.stdout.str()


def test_a_file_elsewhere_is_the_configuration(gated, monkeypatch):
    (gated.path / "sub").mkdir()
    for name in ("muscle.toml", "data", ".muscle_cache"):
        (gated.path / name).rename(gated.path / "sub" / name)
    result = gated.runpytest_subprocess("sub/muscle.toml", "-k", "negative_flips")
    result.assert_outcomes(passed=2, deselected=2)


def test_workers_share_them_with_tests_in_python(gated):
    gated.makepyfile("def test_flips(flip_report): pass")
    result = gated.runpytest_subprocess("muscle.toml", ".", "-n", "2")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["*colours*40*passed*"])
