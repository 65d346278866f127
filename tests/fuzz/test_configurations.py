"""Malformed configurations."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from pytest_muscle import ModelUpdate, read_settings
from pytest_muscle.errors import MuscleError
from pytest_muscle.housekeeping import clear_cache
from pytest_muscle.reports.header import describe_update
from pytest_muscle.settings.flags import Flags, find_file
from pytest_muscle.settings.pins import find_unpinned
from tests.fuzz.feeding import feed, look, refused
from tests.fuzz.mutations import CORPUS, corpus, each_nasty, mutated

PYPROJECT = b'[project]\nname = "x"\n\n[tool.muscle.gate]\nmax_nfr = 0.02\n'
TEXT = "It is red, so the answer is $1,000.50. It is 7."


def use(file: Path, flags: Flags = Flags()) -> None:  # noqa: B008
    """Read a configuration and, if it is accepted, everything that it names.

    What is kept in its cache meanwhile is removed again.
    """
    settings = read_settings(file, flags, invocation_dir=file.parent)
    assert describe_update(settings, verbose=True)
    list(map(str, find_unpinned(settings)))
    if not settings.cache.is_relative_to(file.parent):
        return
    update = ModelUpdate(settings)
    update.check()
    for task in update.tasks.values():
        with refused(file.name, "rows."):
            assert len(task.digest) == 64
            assert [task.eval_by_id[example.id] for example in task.eval] == list(task.eval)
            if task.generates:
                assert all(0 <= task.grade(TEXT, example).score <= 1 for example in task.eval)
    clear_cache(settings.cache)


@pytest.mark.parametrize("name", ["full", "small", "one_line", "bom_crlf", "generation"])
def test_sound_ones_are_accepted(project, name):
    file = project / "muscle.toml"
    file.write_bytes((CORPUS / "configurations" / f"{name}.toml").read_bytes())
    update = ModelUpdate(read_settings(file, invocation_dir=project))
    assert [len(task.eval) for task in update.tasks.values()] in ([3], [3, 3])


def test_a_configuration_is_used_or_refused_with_its_place(project):
    file = project / "muscle.toml"
    before = look(project)

    def check(content: bytes) -> None:
        file.write_bytes(content)
        with refused("muscle.toml"):
            use(file)
        assert look(project) == before | {file: content}

    seeds = corpus("configurations/*.toml")
    for content in [*seeds, *each_nasty(before[file])]:
        check(content)
    feed("configurations", mutated(seeds), check)
    assert list(project.parent.iterdir()) == [project]


def test_a_pyproject_is_found_or_refused_with_its_place(project):
    (project / "muscle.toml").unlink()
    file = project / "pyproject.toml"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        with refused("pyproject.toml"):
            if find_file(project, Flags(), project) is not None:
                use(file)

    feed("pyproject", mutated([PYPROJECT]), check)


@pytest.mark.parametrize(
    "value", ["", " ", "a\0b", "~", "\ud800", "@", "o/n@", "x" * 5000, "..", "-"]
)
@pytest.mark.parametrize("flag", ["old", "new", "cache", "config"])
def test_a_flag_is_used_or_refused_with_its_name(project, flag, value):
    flags = Flags(**{flag: value})
    with suppress(MuscleError):
        file = find_file(project, flags, project)
        assert file is not None
        with refused(f"--muscle-{flag}", "muscle.toml"):
            settings = read_settings(file, flags, invocation_dir=project)
            assert describe_update(settings)
