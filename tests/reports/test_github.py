"""What GitHub Actions reads."""

from __future__ import annotations

from pathlib import Path

from pytest_muscle.reports.data import FailedTest, TaskReport
from pytest_muscle.reports.github import append_summary, job_summary, render_annotations


def failed(file: str = "tests/test_a.py", line: int | None = 7, message: str = "m") -> FailedTest:
    return FailedTest(nodeid=f"{file}::test", message=message, file=file, line=line)


def test_an_error_at_each_failed_test(make_run):
    run = make_run(TaskReport(name="a", tests=3, failed=(failed(), failed("b.py", None))))
    assert render_annotations(run, Path("/repo/sub"), "/repo") == [
        "::error file=sub/tests/test_a.py,line=7,title=pytest-muscle%3A a::m",
        "::error file=sub/b.py,title=pytest-muscle%3A a::m",
    ]


def test_a_file_outside_the_workspace_is_named_in_full(make_run):
    run = make_run(TaskReport(name="a", tests=1, failed=(failed("../x.py"),)))
    (line,) = render_annotations(run, Path("/repo/sub"), "/elsewhere")
    assert line.startswith("::error file=/repo/x.py,")


def test_nothing_ends_the_command_or_starts_another(make_run):
    name, message = "a,b::c%0A\n::stop", "100 %\r\n::set-output name=x::y"
    run = make_run(TaskReport(name=name, tests=1, failed=(failed("a,b.py", 1, message),)))
    (line,) = render_annotations(run, Path("/r"), "/r")
    assert line == (
        "::error file=a%2Cb.py,line=1,title=pytest-muscle%3A a%2Cb%3A%3Ac%250A%0A%3A%3Astop"
        "::100 %25⏎::set-output name=x::y"
    )


def test_the_summary_is_that_of_github_actions(tmp_path):
    path = tmp_path / "summary.md"
    both = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(path)}
    assert job_summary(both) == path
    assert job_summary({**both, "GITHUB_ACTIONS": ""}) is None
    assert job_summary({"GITHUB_ACTIONS": "true"}) is None
    append_summary(path, "# a\n")
    append_summary(path, "# ü\n")
    assert path.read_text(encoding="utf-8") == "# a\n\n# ü\n\n"
