"""Which adapter the user gives for which model and task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_muscle.errors import ModelError
from pytest_muscle.settings import CompatSettings, ModelSettings, Settings, TaskSettings
from pytest_muscle.tasks import Task
from pytest_muscle.training.given import given_compat_adapter, given_task_adapter, version_adapter

TABLE = TaskSettings(kind="classification", eval="e", prompt="", choices=("a", "b"), gold="{{ 0 }}")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A configuration with an adapter everywhere; the directories are beside the file."""
    for name in ("old", "new", "compat", "own"):
        (tmp_path / name).mkdir()
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            (tmp_path / name / file).touch()
    return Settings(
        path=tmp_path / "muscle.toml",
        old=ModelSettings(model="m", adapter="./old"),
        new=ModelSettings(model="m", adapter="./new"),
        compat=CompatSettings(adapter="./compat"),
    )


def task_of(settings: Settings, **keys: str) -> Task:
    return Task("colours", replace(TABLE, **keys), settings.root, "muscle.toml")


def test_the_version_s_adapter_is_every_task_s(settings):
    task = task_of(settings)

    found = given_task_adapter(settings, "old", task)

    assert found == version_adapter(settings, "old")
    assert (found.path.name, found.origin) == ("old", "given")
    assert given_compat_adapter(settings, task).path.name == "compat"


def test_a_task_s_own_adapter_goes_before_it(settings):
    task = task_of(settings, new_adapter="./own", compat_adapter="./own")

    assert given_task_adapter(settings, "new", task).path.name == "own"
    assert given_task_adapter(settings, "old", task).path.name == "old"
    assert given_compat_adapter(settings, task).path.name == "own"


def test_a_flag_stands_in_for_the_task_s_own_adapter_too(settings):
    flagged = replace(settings, new=ModelSettings(model="other", flag="--muscle-new"))

    assert given_task_adapter(flagged, "new", task_of(settings, new_adapter="./own")) is None


def test_none_is_given_where_none_is_named(settings):
    plain = replace(settings, old=ModelSettings(model="m"), compat=CompatSettings())

    assert version_adapter(plain, "old") is None
    assert given_task_adapter(plain, "old", task_of(plain)) is None
    assert given_compat_adapter(plain, task_of(plain)) is None


def test_a_directory_without_weights_is_refused_by_its_key(settings, tmp_path):
    (tmp_path / "own" / "adapter_model.safetensors").unlink()

    with pytest.raises(ModelError, match=r"muscle.toml: tasks.colours.new_adapter: adapter"):
        given_task_adapter(settings, "new", task_of(settings, new_adapter="./own"))
