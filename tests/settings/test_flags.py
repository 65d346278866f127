"""The --muscle-* flags and the file that they, or pytest's rootdir, point to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings import Settings, read_settings
from pytest_muscle.settings.flags import Flags, find_file

CONFIGURATION = """\
[old]
model = "models/v1"
tokenizer = "models/v1"

[new]
model = "org/name"
revision = "5f2c1e"

[run]
device = "cpu"
cache = "cache"
"""


def write_project(directory: Path) -> Path:
    for model in ("v1", "v2"):
        (directory / "models" / model).mkdir(parents=True)
        (directory / "models" / model / "config.json").write_text("{}")
    (directory / "data").mkdir()
    (directory / "data" / "eval.jsonl").write_text('{"question": "?"}\n')
    (directory / "muscle.toml").write_text(CONFIGURATION)
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project")


def read(folder: Path, **flags: Any) -> Settings:
    return read_settings(folder / "muscle.toml", Flags(**flags), invocation_dir=folder)


def refusal(folder: Path, **flags: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, **flags)
    return str(caught.value)


# --- which file


def test_muscle_toml_goes_before_pyproject(project):
    (project / "pyproject.toml").write_text("[tool.muscle.run]\n")
    assert find_file(project, Flags(), project) == project / "muscle.toml"
    (project / "muscle.toml").unlink()
    assert find_file(project, Flags(), project) == project / "pyproject.toml"


@pytest.mark.parametrize(
    "text",
    [
        "# see [tool.muscle] of pytest-muscle\n[project]\nname = 'x'",
        "[project]\nname = 'pytest-muscle'",
        "[tool.muscles]",
        "[tool]\nx = 1",
    ],
)
def test_a_pyproject_that_only_speaks_of_muscle_is_not_ours(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text)
    assert find_file(tmp_path, Flags(), tmp_path) is None


@pytest.mark.parametrize("text", ["[tool.muscle.run]", "[tool]\nmuscle = {}", "[ tool . muscle ]"])
def test_every_way_to_write_tool_muscle_is_found(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text)
    assert find_file(tmp_path, Flags(), tmp_path) == tmp_path / "pyproject.toml"


def test_a_broken_pyproject_with_tool_muscle_is_found_to_be_refused(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.muscle\n")
    assert find_file(tmp_path, Flags(), tmp_path) == tmp_path / "pyproject.toml"
    with pytest.raises(ConfigurationError, match="is not valid TOML"):
        read_settings(tmp_path / "pyproject.toml", invocation_dir=tmp_path)


def test_muscle_config_is_relative_to_where_pytest_starts_and_may_be_a_folder(project):
    start = project.parent
    expected = project / "muscle.toml"
    assert find_file(start, Flags(config="project/muscle.toml"), start) == expected
    assert find_file(start, Flags(config="project"), start) == expected
    assert find_file(start, Flags(config=str(expected)), start) == expected
    expected.rename(project / "other.toml")
    (project / "pyproject.toml").write_text("[tool.muscle]")
    assert find_file(start, Flags(config="project"), start) == project / "pyproject.toml"


@pytest.mark.parametrize(
    "value", ["nowhere.toml", "", ".", "a\0b", "~nobody-here/m.toml", "x/" * 3000]
)
def test_muscle_config_that_names_no_file_is_refused(tmp_path, value):
    with pytest.raises(ConfigurationError, match=r"^--muscle-config: (no such file|there is no)"):
        find_file(tmp_path, Flags(config=value), tmp_path)


# --- what they change


def test_flags_go_before_the_file(project):
    found = read(project, device="mps", cache="elsewhere", limit=3, no_train=True)
    assert found.run.device == "mps"
    assert found.cache == project / "elsewhere"
    assert (found.limit, found.train) == (3, False)


def test_a_flag_s_path_is_relative_to_where_pytest_starts(project):
    found = read_settings(
        project / "muscle.toml",
        Flags(old="v2", cache="c"),
        invocation_dir=project / "models",
    )
    assert found.old.model == str(project / "models" / "v2")
    assert found.cache == project / "models" / "c"


def test_reports_by_flags_may_be_anywhere(project, tmp_path):
    (project / "muscle.toml").write_text(CONFIGURATION + '[report]\ndir = "a"\nhistory = "b"\n')
    assert read(project).report_dir == project / "a"
    found = read_settings(
        project / "muscle.toml",
        Flags(report="../r", history=str(tmp_path / "h")),
        invocation_dir=project,
    )
    assert (found.report_dir, found.history) == (project.parent / "r", tmp_path / "h")
    for flag in ("report", "history"):
        with pytest.raises(ConfigurationError, match=f"^--muscle-{flag}: is empty"):
            read(project, **{flag: ""})


def test_a_flag_s_model_replaces_all_of_the_file_s_table(project):
    found = read(project, old="models/v2", new="org/other@abc")
    assert found.old.tokenizer is None
    assert (found.new.model, found.new.revision) == ("org/other", "abc")
    assert read(project, new="gpt2").new.revision is None


def test_a_flag_saves_a_file_whose_old_model_is_not_here(project):
    text = CONFIGURATION.replace("models/v1", "models/gone")
    (project / "muscle.toml").write_text(text)
    assert "old.model: no such file" in refusal(project)
    assert read(project, old="models/v1").old.model.endswith("models/v1")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "--muscle-old: is empty"),
        ("./nowhere", "--muscle-old: no such file or directory: "),
        ("models/v3", "known: v1, v2"),
        ("models/v1@abc", "--muscle-old: no such file or directory: "),
        ("org/name@", "--muscle-old: no such file or directory: "),
        ("data", "--muscle-old: "),
        ("data/eval.jsonl", "is neither a directory nor a .gguf file"),
        ("a\0b", "--muscle-old: no such file or directory: "),
        ("~nobody-here", "--muscle-old: no such file or directory: "),
    ],
)
def test_a_flag_that_names_no_model_is_blamed_itself(project, value, expected):
    message = refusal(project, old=value)
    assert message.startswith("--muscle-old: ")
    assert expected in message


def test_a_path_beside_the_file_is_not_taken_for_a_hub_id_elsewhere(project):
    (project / "tests").mkdir()
    with pytest.raises(ConfigurationError, match="--muscle-new: no such file") as caught:
        read_settings(
            project / "muscle.toml", Flags(new="models/v2"), invocation_dir=project / "tests"
        )
    assert str(project / "tests" / "models" / "v2") in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"limit": 0}, "--muscle-limit: must be at least 1"),
        ({"cache": ""}, "--muscle-cache: is empty"),
        ({"cache": "muscle.toml"}, "muscle.toml is not a directory"),
    ],
)
def test_other_flags_are_checked_too(project, flags, expected):
    message = refusal(project, **flags)
    assert message.startswith("--muscle-")
    assert expected in message


# --- anything at all


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("flags") / "project")


@settings(max_examples=100, deadline=None)
@example(value="~\0")
@given(value=st.text(max_size=10) | st.sampled_from(["models/v1", "a@b", "models/v1@", "~/x"]))
def test_any_flag_is_used_or_refused(shared, value):
    messages = []
    for flags in ({"old": value}, {"new": value}, {"cache": value}):
        try:
            read(shared, **flags)
        except ConfigurationError as caught:
            messages.append(str(caught))
    try:
        find_file(shared, Flags(config=value), shared)
    except ConfigurationError as caught:
        messages.append(str(caught))
    assert all(message.startswith("--muscle-") for message in messages)


def test_a_limit_beyond_any_list_is_no_limit(tmp_path):
    (tmp_path / "muscle.toml").touch()
    flags = Flags(limit=10**30)
    found = read_settings(tmp_path / "muscle.toml", flags, invocation_dir=tmp_path)
    assert found.limit == sys.maxsize
