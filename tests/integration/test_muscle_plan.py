"""`--muscle-plan`: what gates can tell, without a model; and the warning where one cannot pass."""

from __future__ import annotations

import sys
import textwrap

import pytest
import scipy.special  # noqa: F401  (pytester drops what a run inside it imports; NumPy loads once)

from tests.conftest import write_jsonl

GATE = "[gate]\nmax_nfr = 0.01\nconfidence = 0.95\n"
TASK = """
[tasks.{name}]
kind = "multiple_choice"
eval = "{name}.jsonl"
prompt = "{{{{ question }}}}"
choices = ["yes", "no"]
gold = "{{{{ label }}}}"
slices = ["place"]
"""
NEVER = (
    "*task 'support': 100 examples can never show an NFR of at most 1.00 % at 95 % confidence; "
    "without a single flip it takes 299, or a limit of 2.96 %"
)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Two tasks of 100 and 2,000 examples, a test that fails, and no model."""
    for name, n in (("support", 100), ("cities", 2000)):
        rows = [{"id": i, "question": "?", "label": 0, "place": i % 4} for i in range(n)]
        write_jsonl(pytester.path / f"{name}.jsonl", rows)
    (pytester.path / "muscle.toml").write_text(
        "[new]\nmodel = 'org/name'\nrevision = '93efa2f097d58c2a74874c7e644dbc9b0cee75a2'\n"
        + GATE
        + TASK.format(name="support")
        + TASK.format(name="cities")
    )
    pytester.makeini("[pytest]\n")
    pytester.makepyfile("def test_update(): raise AssertionError('run')")
    return pytester


def add(project: pytest.Pytester, text: str) -> None:
    with (project.path / "muscle.toml").open("a") as file:
        file.write(textwrap.dedent(text))


def test_it_prints_a_plan_of_each_task_and_runs_no_test(project):
    result = project.runpytest_inprocess("--muscle-plan")

    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes()
    result.stdout.fnmatch_lines(
        [
            "*= plan =*",
            "task * limit * n * confidence * most * passes * smallest * verdict",
            "support  NFR ≤ 1.00 % * 100 * 95 % * – * – * 4.45 points  NEVER PASSES",
            "cities   NFR ≤ 1.00 % * 2,000 * 95 % * 12 * 0.50 % * 0.67 points  can pass",
            "passes up to: *",
            f"warning: {NEVER[1:]}",
            "*= no tests ran in *",
        ]
    )
    assert not (project.path / ".muscle_cache").exists()


def test_with_strict_a_gate_that_never_passes_is_exit_code_1(project):
    result = project.runpytest_inprocess("--muscle-plan", "--muscle-strict")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"warning: {NEVER[1:]}"])

    path = project.path / "muscle.toml"
    path.write_text(path.read_text().replace("max_nfr = 0.01", "max_nfr = 0.03"))
    result = project.runpytest_inprocess("--muscle-plan", "--muscle-strict")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("warning: *")
    result.stdout.fnmatch_lines(["*'support': passes only without a flip of 100 examples; *"])


def test_quietly_it_is_the_table_and_what_never_passes_of_the_first_50(project):
    result = project.runpytest_inprocess("--muscle-plan", "-q", "--muscle-limit=50")
    lines = [line for line in result.outlines if line.strip()]
    assert [line.split()[0] for line in lines] == [
        *("=====================================", "task", "excess", "-------"),
        *("support", "cities", "warning:", "warning:", "no"),
    ]
    result.stdout.fnmatch_lines(
        ["support * 50 *", "cities * 50 *", "warning: task 'cities': 50 examples can never *"]
    )


def test_slices_are_counted_in_the_data(project):
    add(project, "[tasks.cities.gate]\nmax_slice_nfr = 0.005\n")
    result = project.runpytest_inprocess("--muscle-plan")
    # 0.995^500 = 0.082: 500 examples of each of four places are too few.
    result.stdout.fnmatch_lines(
        [
            "cities   slices ≤ 0.50 % * 500 * NEVER PASSES",
            "warning: task 'cities': 4 of 4 slices are too small, the smallest is place = 0 "
            "(n = 500): 500 examples can never show an NFR of at most 0.50 % at 95 % confidence; "
            "without a single flip it takes 598, or a limit of 0.60 %",
        ]
    )


def test_only_the_controller_of_xdist_plans(project):
    project.makeconftest(
        """
        import pathlib
        from pytest_muscle.modes import modes_of
        from pytest_muscle.workers import worker_name

        def pytest_sessionfinish(session):
            name = worker_name(session.config) or "controller"
            planned = sum(len(mode.plans) for mode in modes_of(session.config))
            pathlib.Path(f"{name}.txt").write_text(str(planned))
        """
    )
    result = project.runpytest_inprocess("--muscle-plan", "--muscle-strict", "-n2")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.stdout.str().count("can never show") == 1
    assert result.stdout.str().count("= plan =") == 1
    read = {path.stem: path.read_text() for path in project.path.glob("*.txt")}
    assert read == {"controller": "2", "gw0": "0", "gw1": "0"}


def test_a_project_without_tests_can_plan(project):
    (project.path / "test_a_project_without_tests_can_plan.py").unlink()
    assert project.runpytest_inprocess("--muscle-plan").ret == pytest.ExitCode.OK


def test_bad_data_is_one_clear_paragraph(project):
    with (project.path / "cities.jsonl").open("a") as file:
        file.write('{"id": "more"}\n')
    result = project.runpytest_inprocess("--muscle-plan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: cities.jsonl:2001: *"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_without_a_configuration_it_says_so(pytester):
    result = pytester.runpytest_inprocess("--muscle-plan")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no model update is configured*"])


def test_it_loads_no_torch(project):
    code = (
        "import sys, pytest\n"
        "code = pytest.main(['--muscle-plan', '-p', 'no:cacheprovider'])\n"
        "print(code, [name for name in ('torch', 'transformers', 'scipy.stats', 'statsmodels')"
        " if name in sys.modules])"
    )
    result = project.run(sys.executable, "-c", code)
    assert result.outlines[-1].endswith("0 []")


def test_help_says_what_the_question_is(pytester):
    result = pytester.runpytest_inprocess("--help")
    result.stdout.fnmatch_lines(["*--muscle-plan *what each task's gate can tell*"])


TESTS = """
    from pytest_muscle import assert_gate

    def test_gate(muscle_task, old_predictions, new_predictions):
        assert_gate(old_predictions, new_predictions, gate=muscle_task.gate)

    def test_compat(muscle_task, old_predictions, compat_predictions):
        assert_gate(old_predictions, compat_predictions, gate=muscle_task.gate)
"""
HOPELESS = (
    "40 examples can never show an NFR of at most 5.00 % at 95 % confidence; "
    "without a single flip it takes 59, or a limit of 7.22 %*"
)


@pytest.fixture
def hopeless(trained_project: pytest.Pytester) -> pytest.Pytester:
    """The tiny project of 40 examples, with a gate that takes 59."""
    trained_project.makepyfile(TESTS)
    add(trained_project, "[gate]\nmax_nfr = 0.05\nconfidence = 0.95\n")
    return trained_project


def test_a_run_warns_once_and_its_failures_say_why(hopeless):
    result = hopeless.runpytest_inprocess()
    result.assert_outcomes(failed=2, warnings=1)
    result.stdout.fnmatch_lines(
        [
            f"E * negative flip rate: {HOPELESS}",
            f"*MuscleWarning: muscle.toml: tasks.colours.gate.max_nfr: can never pass: {HOPELESS}",
        ]
    )


def test_with_strict_the_new_model_is_not_asked(hopeless):
    result = hopeless.runpytest_inprocess("--muscle-strict")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [f"*ConfigurationError: muscle.toml: tasks.colours.gate*: {HOPELESS}"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_gate_that_can_pass_is_no_warning(trained_project):
    trained_project.makepyfile(TESTS)
    add(trained_project, "[gate]\nmax_nfr = 0.9\nconfidence = 0.95\n")
    trained_project.runpytest_inprocess().assert_outcomes(passed=2, warnings=0)
