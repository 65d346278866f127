"""Which names plugins may add, where they are known, and what is said of the others."""

from __future__ import annotations

import pytest
import scipy.stats  # noqa: F401  (pytester drops what a run inside it imports)

import pytest_muscle.update  # noqa: F401
from pytest_muscle import Predictions, extensions
from pytest_muscle.errors import PredictionsError

IMPORTER = """
from pytest_muscle import Predictions

def read_log(path):
    ids = path.read_text().split()
    return Predictions.from_lists(ids, ids, ids)
"""

ADDS = """
def pytest_muscle_add_{kind}(config):
    return {added}
"""

READ = """
from pytest_muscle import Predictions

def test_read():
    assert len(Predictions.load("ids:ids.txt")) == 2
"""

OPTIONS = """
[old]
model = "org/old"

[new]
model = "org/new"

[gate]
max_nfr = 0.5

[tasks.options]
kind = "multiple_choice"
eval = "eval.jsonl"
prompt = "x"
choices = ["a", "b"]
gold = "0"
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project without a configuration whose conftest.py adds an importer."""
    pytester.makeini("[pytest]\n")
    pytester.makeconftest(ADDS.format(kind="importers", added='{"ids": "id_logs:read_log"}'))
    pytester.makepyfile(id_logs=IMPORTER, test_read=READ)
    (pytester.path / "ids.txt").write_text("a b")
    return pytester


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=" ".join)
def test_the_root_s_conftest_adds_names(project, workers):
    project.runpytest_subprocess(*workers).assert_outcomes(passed=1)


def test_a_run_within_a_run_leaks_nothing(project):
    """The outer run's names come back, and the inner one's are its own."""
    before = extensions.current()
    end = extensions.use(extensions.Extensions(importers={"outer": ("a:b", "outer")}))
    try:
        project.runpytest_inprocess().assert_outcomes(passed=1)
        assert list(extensions.current().importers) == ["outer"]
        project.makeconftest("def pytest_configure(): assert False")
        assert project.runpytest_inprocess().ret != 0
        assert list(extensions.current().importers) == ["outer"]
    finally:
        end()
    assert extensions.current() is before
    with pytest.raises(PredictionsError, match="no importer 'ids'"):
        Predictions.load("ids:ids.txt")


def test_an_inner_run_that_ends_late_does_not_end_the_outer_one():
    first, second = (
        extensions.Extensions(metrics={"a": extensions.Added("a:a", "x")}),
        extensions.Extensions(metrics={"b": extensions.Added("b:b", "y")}),
    )
    end_first, end_second = extensions.use(first), extensions.use(second)
    end_first()
    assert extensions.current() is second
    end_second()
    assert extensions.current() == extensions.Extensions()


@pytest.mark.parametrize(
    ("kind", "added", "problem", "hint"),
    [
        (
            "metrics",
            '{"acc": "a.b:c"}',
            "the name 'acc' is taken by a metric of pytest-muscle",
            "*another*",
        ),
        ("metrics", '{"rougeL": "a.b:c"}', "the name 'rougeL' is taken*", "*another name*"),
        ("objectives", '{"muscle": "a.b:c"}', "the name 'muscle' is taken*", "*another name*"),
        ("importers", '{"lm-eval": "a:c"}', "the name 'lm-eval' is taken*", "*another name*"),
        ("metrics", '{"a:b": "a.b:c"}', "'a:b' is no name for a metric", "*letters*"),
        ("importers", '{"a": "a.b:c"}', "'a' is no name for an importer", "*two or more*"),
        ("metrics", '{"ü ber": "a:c"}', "'ü ber' is no name*", "*letters*"),
        ("metrics", '{3: "a:c"}', "3 is no name*", "*letters*"),
        (
            "metrics",
            '{"judge": "a.b.c"}',
            "'judge' stands for 'a.b.c'*",
            "*package.module:function*",
        ),
        ("metrics", '{"judge": "a b:c"}', "'judge' stands for 'a b:c'*", "*as a text*"),
        ("metrics", '{"judge": "a:b.c"}', "'judge' stands for 'a:b.c'*", "*as a text*"),
        ("metrics", '{"judge": len}', "'judge' stands for <built-in*", "*as a text*"),
        ("metrics", '["judge"]', "returns list, not a mapping", "*return {*"),
        ("metrics", "config.no_such", "fails: AttributeError: *(conftest.py:2)", "*leave it out*"),
    ],
)
def test_what_is_refused(pytester, kind, added, problem, hint):
    """Before the run starts, also where nothing is configured: the plugin is to be mended."""
    pytester.makeconftest(ADDS.format(kind=kind, added=added))
    result = pytester.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    where = f"ERROR: pytest_muscle_add_{kind} of plugin 'conftest.py': "
    escaped = (where + problem).replace("[", "[[]")
    result.stderr.fnmatch_lines([escaped, f"  {hint}"])
    assert "Traceback" not in result.stderr.str()


def test_two_plugins_of_one_name(pytester):
    pytester.makeconftest(ADDS.format(kind="metrics", added='{"judge": "a:b"}'))
    pytester.makepyfile(other=ADDS.format(kind="metrics", added='{"judge": "c:d"}'))
    pytester.syspathinsert()
    result = pytester.runpytest_inprocess("-p", "other")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: pytest_muscle_add_metrics of plugin 'conftest.py': the name 'judge' is taken "
            "by a metric of plugin 'other'",
            "  give it another name; or leave it out there",
        ]
    )


def test_names_are_suggested_with_ours(pytester):
    pytester.makeini("[pytest]\n")
    pytester.makeconftest(ADDS.format(kind="metrics", added='{"polite": "a:b"}'))
    (pytester.path / "eval.jsonl").write_text('{"id": 1}\n')
    (pytester.path / "muscle.toml").write_text(f'{OPTIONS}metric = "pollite"\n')
    result = pytester.runpytest_inprocess("muscle.toml")
    said = result.stdout.str() + result.stderr.str()
    assert "tasks.options.metric: there is no metric 'pollite'\n  did you mean 'polite'?" in said


def test_a_function_that_is_not_there_is_named_with_its_plugin(pytester):
    pytester.makeini("[pytest]\n")
    pytester.makeconftest(ADDS.format(kind="metrics", added='{"polite": "no_such:function"}'))
    (pytester.path / "eval.jsonl").write_text('{"id": 1}\n')
    (pytester.path / "muscle.toml").write_text(f'{OPTIONS}metric = "polite"\n')
    result = pytester.runpytest_inprocess("muscle.toml")
    said = result.stdout.str() + result.stderr.str()
    assert (
        "muscle.toml: tasks.options.metric: the metric 'polite' (no_such:function, of plugin "
        "'conftest.py') cannot be imported: ModuleNotFoundError: No module named 'no_such'" in said
    )


def test_a_conftest_deeper_in_is_too_late_and_a_warning_says_so(project):
    inner = project.mkdir("inner")
    project.syspathinsert()
    (project.path / "conftest.py").rename(inner / "conftest.py")
    (project.path / "test_read.py").rename(inner / "test_read.py")
    result = project.runpytest_inprocess()
    result.assert_outcomes(failed=1, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "*there is no importer 'ids'*",
            "*MuscleWarning: pytest_muscle_add_importers of plugin 'inner/conftest.py' is not "
            "called: it is loaded after the configuration was read.*",
        ]
    )
    project.runpytest_inprocess("inner").assert_outcomes(passed=1)


def test_an_unknown_hook_is_refused_by_pytest(pytester):
    pytester.makeconftest("def pytest_muscle_add_metric(): return {}")
    result = pytester.runpytest_inprocess()
    assert result.ret != 0
    assert "unknown hook 'pytest_muscle_add_metric'" in result.stdout.str() + result.stderr.str()
