"""Several processes at one update: workers of pytest-xdist, and runs that share a cache."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

HEAVY = pytest.mark.heavy
"""For what would take a minute of two cores to import torch many times."""

KILLS = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")


def add_task(project: pytest.Pytester, name: str) -> None:
    """Add the task of the tiny project once more, under another name."""
    path = project.path / "muscle.toml"
    text = path.read_text()
    task = text[text.index("[tasks.colours]") : text.index("[adapter]")]
    path.write_text(f"{text}\n{task.replace('tasks.colours', f'tasks.{name}')}")


def workers_of_tasks(result: pytest.RunResult) -> dict[str, set[str]]:
    """Return which workers ran tests of each task, from the lines of -v."""
    workers = defaultdict(set)
    for line in result.outlines:
        if match := re.match(r"\[(gw\d+)\] .*\[([a-z]+)\]", line):
            workers[match[2]].add(match[1])
    return workers


def said(result: pytest.RunResult, doing: str) -> Counter[str]:
    """Return how often workers said that they do something, by what they do it to."""
    lines = re.findall(rf"^muscle \[gw\d+\]: {doing} (\S+)$", result.stderr.str(), re.MULTILINE)
    return Counter(lines)


COUNT_LOADS = """
    import os

    import pytest

    @pytest.fixture(autouse=True, scope="session")
    def count_loads():
        from pytest_muscle.models import language_model

        load = language_model.load_network

        def counted(spec, *arguments):
            with open("loads.txt", "a") as file:
                file.write(f"{os.environ['PYTEST_XDIST_WORKER']}:{spec.name}\\n")
            return load(spec, *arguments)

        language_model.load_network = counted
"""


@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=HEAVY), 8])
def test_the_models_of_a_task_are_loaded_by_one_worker(tiny_project, workers):
    """Three tasks keep three workers busy, and no others load anything."""
    path = tiny_project.path / "muscle.toml"
    path.write_text(path.read_text().replace('train = "data/train.jsonl"\n', ""))
    add_task(tiny_project, "again")
    add_task(tiny_project, "more")
    tiny_project.makeconftest(COUNT_LOADS)
    tiny_project.makepyfile(
        test_flips="""
            def test_old(old_predictions): pass
            def test_new(new_predictions): pass
            def test_both(old_predictions, new_predictions): pass
        """,
        test_models="""
            def test_without_task(old_model, new_model):
                assert old_model.network is not new_model.network

            def test_report(flip_report): assert flip_report.n == 40
        """,
    )

    result = tiny_project.runpytest_subprocess(f"-n{workers}", "-v")

    result.assert_outcomes(passed=3 * 4 + 1)
    assert {task: len(used) for task, used in workers_of_tasks(result).items()} == {
        "colours": 1,
        "again": 1,
        "more": 1,
    }
    loads = Counter((tiny_project.path / "loads.txt").read_text().split())
    assert set(loads.values()) == {1}
    assert len(loads) == 2 * min(workers, 3)
    assert result.stdout.str().count("= model update =") == 1
    rows = result.outlines[result.outlines.index(next(x for x in result.outlines if "NFR" in x)) :]
    assert [x.split()[0] for x in rows if re.match(r"(colours|again|more) +40", x)] == [
        "colours",
        "again",
        "more",
    ]


@pytest.mark.parametrize("workers", [pytest.param(2, marks=HEAVY), 4, pytest.param(8, marks=HEAVY)])
def test_of_workers_that_share_a_task_one_works_and_the_others_say_that_they_wait(
    tiny_project, workers
):
    tiny_project.makepyfile(
        f"""
        import os

        import pytest

        @pytest.mark.parametrize("number", range({2 * workers}))
        def test_compat(compat_adapter, old_predictions, compat_predictions, number):
            assert len(old_predictions) == len(compat_predictions) == 40
            with open("workers.txt", "a") as file:
                file.write(os.environ["PYTEST_XDIST_WORKER"] + " ")
        """
    )

    result = tiny_project.runpytest_subprocess(f"-n{workers}", "--dist=load")

    result.assert_outcomes(passed=2 * workers)
    assert len(set((tiny_project.path / "workers.txt").read_text().split())) == workers
    cache = tiny_project.path / ".muscle_cache"
    trained, scored = said(result, "training"), said(result, "scoring")
    assert trained == Counter(path.name for path in cache.glob("adapters/colours-*"))
    assert scored == Counter(path.stem for path in cache.glob("predictions/colours-*.jsonl"))
    assert sorted(name.split("-")[1] for name in trained) == ["compat", "new", "old"]
    assert sorted(name.split("-")[1] for name in scored) == ["compat", "old"]
    waited = said(result, "waiting for another process that trains")
    assert waited
    assert set(waited) <= set(trained)
    assert max(waited.values()) < workers
    assert not list(cache.glob("*/.*.part"))
    assert result.stdout.str().count("= model update =") == 1
    # Bars of several processes would overwrite each other.
    assert "%|" not in result.stderr.str()


def test_of_two_runs_on_one_cache_one_trains_and_the_other_waits(tiny_project):
    tiny_project.makepyfile(
        """
        def test_compat(compat_adapter):
            with open("origins.txt", "a") as file:
                file.write(compat_adapter.origin + " ")
        """
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]

    runs = [
        tiny_project.popen(command, cwd=tiny_project.path, stdin=subprocess.DEVNULL)
        for _ in range(2)
    ]

    outputs = [run.communicate(timeout=120) for run in runs]
    assert [b"1 passed" in output for output, _ in outputs] == [True, True]
    assert sorted((tiny_project.path / "origins.txt").read_text().split()) == ["stored", "trained"]
    errors = b"".join(error for _, error in outputs)
    assert b"muscle: waiting for another process that trains colours-" in errors
    assert errors.count(b"colours: compat adapter: 100%") == 1


DIE_ONCE = """
    import os
    import signal
    from pathlib import Path

    import pytest

    @pytest.fixture(autouse=True, scope="session")
    def die_once_in_training():
        from pytest_muscle.training import adapters

        fit = adapters.fit_adapter

        def die(to_fit, *arguments):
            if "compat" in to_fit.description and not Path("died").exists():
                Path("died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return fit(to_fit, *arguments)

        adapters.fit_adapter = die
"""


@KILLS
@pytest.mark.parametrize(
    "distribution",
    [pytest.param([], id="by task"), pytest.param(["--dist=load"], id="load", marks=HEAVY)],
)
def test_the_lock_of_a_worker_that_is_killed_while_it_trains_is_free(tiny_project, distribution):
    """By task, the worker that replaces it goes on; else another one that waits or comes later."""
    tiny_project.makeconftest(DIE_ONCE)
    tiny_project.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_compat(old_predictions, compat_predictions, number): pass
        """
    )

    result = tiny_project.runpytest_subprocess("-n2", *distribution)

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "replacing crashed worker gw?",
            "worker 'gw?' crashed while running 'test_*.py::test_compat?colours-?*",
            "colours *40*FAILED*",
            "*1 of 4*",
        ]
    )
    assert sorted(
        (name.split("-")[1], times) for name, times in said(result, "training").items()
    ) == [("compat", 2), ("new", 1), ("old", 1)]
    assert len(list(tiny_project.path.glob(".muscle_cache/adapters/colours-compat-*"))) == 1


BREAK_PIPE = """
    from pathlib import Path

    from xdist.workermanage import WorkerController

    send = WorkerController.send_runtest_some

    def break_pipe(node, indices):
        path = Path("broken")
        if 0 not in indices and not path.exists():  # not the first tests that the worker gets
            path.touch()
            raise OSError("cannot send (already closed?)")
        send(node, indices)

    WorkerController.send_runtest_some = break_pipe
"""


@KILLS
@pytest.mark.parametrize(
    ("workers", "broken"),
    [
        (1, False),
        (2, False),
        pytest.param(1, True, id="1, with its end not yet known when it is to get more tests"),
    ],
)
def test_tests_that_a_crashed_worker_has_left_are_run_and_the_one_in_which_it_crashed_is_not(
    trained_project, workers, broken
):
    """What it had done before counts in the verdict and is in the table."""
    trained_project.makepyfile(
        """
        import os, signal

        def test_red(old_predictions): assert False
        def test_crash(muscle_task): os.kill(os.getpid(), signal.SIGKILL)
        def test_later(old_predictions, new_predictions): pass
        def test_crash_alone(): os.kill(os.getpid(), signal.SIGKILL)
        def test_alone(): pass
        def test_last(): pass
        """
    )

    if broken:
        trained_project.makeconftest(BREAK_PIPE)

    result = trained_project.runpytest_subprocess(f"-n{workers}")

    result.assert_outcomes(passed=3, failed=3)
    result.stdout.fnmatch_lines(["colours *40*FAILED*", "*2 of 3*"])
    assert (trained_project.path / "broken").exists() == broken


def test_one_table_of_what_workers_compared_each_in_part(trained_project):
    trained_project.makepyfile(
        """
        import pytest

        @pytest.mark.xdist_group("one")
        def test_update(old_predictions, new_predictions): pass

        @pytest.mark.xdist_group("other")
        def test_compat(old_predictions, compat_predictions): pass

        def test_red(muscle_task): assert False
        """
    )
    alone = trained_project.runpytest_subprocess()
    result = trained_project.runpytest_subprocess("-n2")
    result.assert_outcomes(passed=2, failed=1)

    def table(outlines: list[str]) -> list[str]:
        start = next(at for at, line in enumerate(outlines) if "= model update =" in line)
        return outlines[start + 1 : start + 9]

    assert result.stdout.str().count("= model update =") == 1
    assert table(result.outlines) == table(alone.outlines)


@pytest.mark.parametrize(
    ("distribution", "scheduler"),
    [
        (["-n2"], "LoadTaskScheduling"),
        (["-n2", "--dist=loadgroup"], "LoadTaskScheduling"),
        (["-n2", "--dist=load"], "LoadScheduling"),
        (["-n2", "-d"], "LoadScheduling"),
        (["-n2", "--dist=loadfile"], "LoadFileScheduling"),
        (["--tx=2*popen", "--dist=each"], "EachScheduling"),
    ],
    ids=" ".join,
)
def test_tests_are_distributed_as_the_user_says(tiny_project, distribution, scheduler):
    tiny_project.makepyfile("def test_task(muscle_task): pass")
    result = tiny_project.runpytest_subprocess("-v", *distribution)
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"scheduling tests via {scheduler}"])


def test_addopts_say_how_to_distribute(tiny_project):
    tiny_project.makeini("[pytest]\naddopts = -n2 --dist load\n")
    tiny_project.makepyfile("def test_task(muscle_task): pass")
    result = tiny_project.runpytest_subprocess("-v")
    result.stdout.fnmatch_lines(["scheduling tests via LoadScheduling"])


def test_without_an_update_nothing_is_distributed_otherwise(pytester):
    pytester.makepyfile("def test_plain(): pass")
    result = pytester.runpytest_subprocess("-n2", "-v")
    result.stdout.fnmatch_lines(["scheduling tests via LoadScheduling"])


def test_tests_of_a_group_of_their_own_stay_in_it(tiny_project):
    add_task(tiny_project, "again")
    tiny_project.makepyfile(
        """
        import pytest

        @pytest.mark.xdist_group("mine")
        class TestMine:
            def test_a(self, muscle_task): pass
            def test_b(self, muscle_task): pass
        """
    )

    result = tiny_project.runpytest_subprocess("-n2", "-v")

    result.assert_outcomes(passed=4)
    used = workers_of_tasks(result)
    assert len(used["colours"] | used["again"]) == 1


def test_node_ids_are_those_of_a_run_without_workers(tiny_project):
    tiny_project.makepyfile("def test_task(muscle_task): assert False")

    result = tiny_project.runpytest_subprocess("-n2", "-v", "--junitxml=results.xml")

    result.stdout.fnmatch_lines(["FAILED *::test_task?colours?*"])
    assert 'name="test_task[colours]"' in (tiny_project.path / "results.xml").read_text()
    again = tiny_project.runpytest_subprocess("--last-failed")
    again.stdout.fnmatch_lines(["run-last-failure: rerun previous 1 failure"])
    tiny_project.runpytest_subprocess("-n2", "--last-failed").assert_outcomes(failed=1)
