"""pytest's hooks; what they do is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_muscle import collection, fixtures, hook_calls, hookspecs, workers
from pytest_muscle.modes import modes_of, run_modes
from pytest_muscle.session import KEY, MuscleSession, session_of

if TYPE_CHECKING:
    from pytest_muscle.reporting import Reporting
    from pytest_muscle.reports.terminal import TaskSummary


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the `--muscle-*` flags."""
    group = parser.getgroup("muscle", "model-update regression testing (pytest-muscle)")
    group.addoption(
        "--muscle-config",
        dest="muscle_config",
        metavar="FILE",
        help="muscle.toml, or a pyproject.toml with [tool.muscle], or the folder of one "
        "(default: the one in pytest's rootdir, else where pytest is started)",
    )
    for version in ("old", "new"):
        group.addoption(
            f"--muscle-{version}",
            dest=f"muscle_{version}",
            metavar="MODEL",
            help=f"{version} model: a directory, a .gguf file or a hub id, with @REVISION; "
            f"stands in for all of [{version}]",
        )
    group.addoption(
        "--muscle-device",
        dest="muscle_device",
        choices=("auto", "cpu", "cuda", "mps"),
        help="where models run (default: [run] device, else auto: CUDA, then MPS, then CPU)",
    )
    group.addoption(
        "--muscle-limit",
        dest="muscle_limit",
        metavar="N",
        type=_positive,
        help="only the first N evaluation examples of each task, for a quick look",
    )
    group.addoption(
        "--muscle-update-baseline",
        dest="muscle_update_baseline",
        metavar="SIDE",
        nargs="?",
        const="old",
        type=_side,
        help="record what the old model answers as each task's baseline, and run no test; =new or "
        "=compat accepts that model's answers instead, after a release",
    )
    group.addoption(
        "--muscle-show",
        dest="muscle_show",
        action="store_true",
        default=False,
        help="show the resolved configuration, the models, each task with its first prompt, what "
        "is stored and what a run would make, and about how long and how much memory that takes; "
        "runs no test, loads no weights and writes nothing. -v: all keys and whole prompts, -q: "
        "what is stored and the sum",
    )
    group.addoption(
        "--muscle-plan",
        dest="muscle_plan",
        action="store_true",
        default=False,
        help="say what each task's gate can tell with the examples at hand, and run no test: the "
        "most flips that pass, the smallest excess of the negative flip rate that shows, and "
        "whether it can pass at all; needs no model. With --muscle-strict a gate that can never "
        "pass is exit code 1",
    )
    group.addoption(
        "--muscle-accept-changes",
        dest="muscle_accept_changes",
        action="store_true",
        default=False,
        help="where the data have changed since a baseline was recorded, compare only the examples "
        "that are asked as they were",
    )
    group.addoption(
        "--muscle-no-train",
        dest="muscle_no_train",
        action="store_true",
        default=False,
        help="train nothing: a missing adapter fails, and says how to bring it here",
    )
    group.addoption(
        "--muscle-strict",
        dest="muscle_strict",
        action="store_true",
        default=False,
        help="fail, instead of a warning, where something of the hub is not pinned to a whole "
        "commit (40 hexadecimal digits; branches and tags can move), or a gate can never pass",
    )
    group.addoption(
        "--muscle-cache",
        dest="muscle_cache",
        metavar="DIR",
        help="where adapters and predictions are kept (default: [run] cache, else .muscle_cache)",
    )
    group.addoption(
        "--muscle-cache-clear",
        dest="muscle_cache_clear",
        action="store_true",
        default=False,
        help="first remove all adapters and predictions from there",
    )
    group.addoption(
        "--muscle-report",
        dest="muscle_report",
        metavar="DIR",
        help="write report.json, report.md, report.html and metrics.txt there (default: [report] "
        "dir, else nothing is written)",
    )
    group.addoption(
        "--muscle-history",
        dest="muscle_history",
        metavar="FILE",
        help="append a line of JSON for this run to it; report.html shows the trend of its last "
        "runs (default: [report] history, else nothing is written)",
    )

    parser.addini(
        collection.INI,
        "collect the gates of muscle.toml as tests, one for each task, limit and side",
        type="bool",
        default=False,
    )


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let other plugins extend this one."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Read the configuration, so that a mistake in it ends the run before it starts."""
    config.addinivalue_line(
        "markers",
        "muscle(tasks=[...]): run the test for these tasks of muscle.toml, not for all",
    )
    hook_calls.add_names(config)
    session = config.stash[KEY] = MuscleSession(config)
    config.pluginmanager.register(fixtures, "muscle_fixtures")
    config.pluginmanager.register(session, "muscle_session")
    collection.add_configuration(config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Clear the cache if that is asked for: once, before the header and before any worker."""
    config = session.config
    if config.getoption("muscle_cache_clear") and workers.worker_name(config) is None:
        session_of(config).clear_cache()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Do what a flag asks for instead of running tests."""
    return run_modes(session) or None


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which update is under test."""
    update = session_of(config).describe()
    verbose = config.get_verbosity() > 0
    return [*update, *hook_calls.describe_names()] if update and verbose else update


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the gates of muscle.toml where it is named, or the ini key says so."""
    return collection.collect_configuration(file_path, parent)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses a task once per task."""
    if "muscle_task" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("muscle")
    wanted = marker.kwargs.get("tasks") if marker else None
    with fixtures.clear_errors():
        names = session_of(metafunc.config).task_names(wanted)
    metafunc.parametrize("muscle_task", names, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the controller of pytest-xdist which tests belong together, before they are shared."""
    workers.tell(session, fixtures.FIXTURES)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Show all flips with -vv, and write in a test's report what the summary needs."""
    error: Any = call.excinfo.value if call.excinfo is not None else None
    if item.config.get_verbosity() >= 2 and hasattr(error, "flips_shown"):
        error.flips_shown = None
    session, task = session_of(item.config), workers.task_of(item)
    if task is not None and call.when == "teardown":
        session.record_properties(item, task)
    report: pytest.TestReport = yield
    session.annotate(report, task)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one table of the tasks under test, and where flips concentrate; all slices with -v."""
    session = session_of(terminalreporter.config)
    for mode in modes_of(terminalreporter.config):
        mode.show(terminalreporter)
    if summaries := session.summaries():
        _show_summaries(terminalreporter, summaries)
    if session.settings is not None:
        _show_written(terminalreporter, session.reporting)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the run's report; end a run without tests by what it did instead."""
    state = session_of(session.config)
    done = modes_of(session.config)
    if done and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK
    if any(mode.failed for mode in done):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if (
        done
        or workers.worker_name(session.config) is not None
        or session.config.option.collectonly
        or exitstatus == pytest.ExitCode.USAGE_ERROR
    ):
        return
    state.write_reports(int(exitstatus))
    passed = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if passed and state.settings is not None and state.reporting.written.errors:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Listen to a new worker of pytest-xdist, where an update is under test."""
    if session_of(node.config).settings is not None:
        workers.listen(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send the tests of a task to one worker of pytest-xdist, unless `--dist` says otherwise."""
    if not workers.by_groups(config):
        return None
    from pytest_muscle.scheduling import LoadTaskScheduling

    return LoadTaskScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, sched: Any) -> None:
    """Count a test in which a worker of pytest-xdist crashed as failed."""
    _, task = workers.told(sched.config).get(crashitem, ("", None))
    session_of(sched.config).count_crash(crashitem, task)


def _show_summaries(
    terminalreporter: pytest.TerminalReporter, summaries: Sequence[TaskSummary]
) -> None:
    from pytest_muscle.reports.slices import describe_worst, render_slices
    from pytest_muscle.reports.terminal import render_summary

    terminalreporter.section("model update")
    terminalreporter.write_line(render_summary(summaries, terminalreporter._tw.fullwidth))
    verbose = terminalreporter.config.get_verbosity() > 0
    for summary in summaries:
        worst = () if verbose else describe_worst(summary.slices)
        for line in (*worst, *summary.found):
            terminalreporter.write_line(f"{summary.task}: {line}")
        if verbose and summary.slices:
            table = render_slices(summary.task, summary.slices, summary.compat_slices)
            terminalreporter.write_line(f"\n{table}")


def _show_written(terminalreporter: pytest.TerminalReporter, reporting: Reporting) -> None:
    for line in reporting.annotations():
        terminalreporter.write_line(line)
    written = reporting.written
    for line in written.lines:
        terminalreporter.write_line(f"muscle: {line}")
    for line in written.warnings:
        terminalreporter.write_line(f"muscle: warning: {line}", yellow=True)
    for line in written.errors:
        terminalreporter.write_line(f"muscle: ERROR: {line}", red=True)


def _side(text: str) -> str:
    if text not in ("old", "new", "compat"):
        import argparse

        raise argparse.ArgumentTypeError(
            f"must be old, new or compat, not {text!r}; before a path write "
            "--muscle-update-baseline=old"
        )
    return text


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        import argparse

        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return number
