"""What the configuration names must be there, before any model loads."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings import read_settings
from pytest_muscle.settings.locations import is_path
from pytest_muscle.settings.paths import local_path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("models/v1", "adapters/good", "adapters/pickled", "adapters/empty", "data/disk"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "models/v1/config.json").write_text("{}")
    (tmp_path / "models/v1.gguf").write_text("GGUF")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "adapters/good" / name).write_text("{}")
    for name in ("adapter_config.json", "adapter_model.bin"):
        (tmp_path / "adapters/pickled" / name).write_text("{}")
    (tmp_path / "data/eval.jsonl").write_text('{"q": 1}\n')
    (tmp_path / "data/eval.txt").write_text("q")
    (tmp_path / "data/folder.csv").mkdir()
    return tmp_path


def read(project: Path, text: str):
    (project / "muscle.toml").write_text(text)
    return read_settings(project / "muscle.toml", invocation_dir=project)


def refusal(project: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(project, text)
    return str(caught.value)


def task(**keys: str) -> str:
    table = {
        "kind": "multiple_choice",
        "eval": "data/eval.jsonl",
        "prompt": "{{ q }}",
        "choices": "{{ o }}",
        "gold": "{{ g }}",
    } | keys
    return "[tasks.support]\n" + "".join(f'{key} = "{value}"\n' for key, value in table.items())


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("models/v1", True),
        ("models/v7", True),  # beside `models`: a mistyped path
        ("models", True),
        ("org/name", False),
        ("gpt2", False),
        ("org/name@5f2c1e", False),
        ("name@refs/pr/1", False),
        ("./gpt2", True),
        ("../gpt2", True),
        ("/models/gpt2", True),
        ("~/gpt2", True),
        ("a/b/c", True),
        ("org/name.gguf", True),
        ("C:\\models\\v1", True),
        ("my model", True),
        ("org/name@", True),
        ("", True),
        ("a\0b", True),
        ("x" * 300, False),
    ],
)
def test_a_name_is_a_path_or_a_hub_id(project, name, local):
    assert is_path(name, project) is local


def test_a_path_never_raises(tmp_path):
    assert local_path("a/../b", tmp_path) == tmp_path / "b"
    assert local_path("~", tmp_path) == Path(os.path.realpath(Path.home()))
    assert local_path("~nobody-here/x", tmp_path) == tmp_path / "~nobody-here" / "x"
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert not os.path.exists(local_path("circle", tmp_path))
    assert not os.path.exists(local_path("a\0b", tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        '[old]\nmodel = "models/v1"\nadapter = "adapters/good"\ntokenizer = "models/v1"',
        '[old]\nmodel = "models/v1.gguf"\ntokenizer = "org/name"',
        '[new]\nmodel = "org/name"\nrevision = "abc"\nadapter = "o/a"\nadapter_revision = "b"',
        '[compat]\nadapter = "adapters/good"',
        task(train="datasets:org/name/config@rev#train", compat_adapter="adapters/good"),
        task(eval="datasets:data/disk#test"),
    ],
)
def test_what_is_there_is_accepted(project, text):
    assert read(project, text).root == project


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[old]\nmodel = "models/v2"', "old.model: no such file or directory: "),
        ('[old]\nmodel = "models/v2"', "known: v1, v1.gguf"),
        ('[old]\nmodel = "./gone/v2"', "there is no folder "),
        ('[old]\nmodel = "adapters"', "adapters has no config.json, so it is not a saved model"),
        ('[old]\nmodel = "data/eval.jsonl"', "is neither a directory nor a .gguf file"),
        ('[old]\nmodel = "models/v2.gguf"', "did you mean 'v1.gguf'?"),
        ('[old]\nmodel = "models/v1"\nrevision = "a"', "old.revision: a revision belongs to a hub"),
        ('[old]\nmodel = "o/n@abc"', 'old.model: a hub id has no @\n  write "o/n" here, and'),
        ('[old]\nmodel = "models/v1"\ntokenizer = "./t"', "old.tokenizer: no such file"),
        ('[old]\nmodel = "models/v1"\ntokenizer = "t@1"', "old.tokenizer: a hub id has no @"),
        ('[new]\nmodel = "o/n"\nadapter = "adapters/x"', "new.adapter: no such file"),
        ('[new]\nmodel = "o/n"\nadapter = "adapters/empty"', "has no adapter_config.json"),
        ('[new]\nmodel = "o/n"\nadapter = "adapters/pickled"', "no adapter_model.safetensors\n  p"),
        ('[new]\nmodel = "o/n"\nadapter = "data/eval.jsonl"', "has no adapter_config.json"),
        (
            '[new]\nmodel = "o/n"\nadapter = "adapters/good"\nadapter_revision = "a"',
            "new.adapter_revision: a revision belongs to a hub id",
        ),
        ('[new]\nmodel = "o/n"\nadapter = "o/a@b"', "new.adapter: a hub id has no @"),
        ('[compat]\nadapter = "adapters/god"', "compat.adapter: no such file or directory"),
        ('[compat]\nadapter = "adapters/god"', "did you mean 'good'?"),
        (task(eval="data/evil.jsonl"), "tasks.support.eval: no such file or directory: "),
        (task(eval="data/evil.jsonl"), "did you mean 'eval.jsonl'?"),
        (task(train="data/none.csv"), "tasks.support.train: no such file"),
        (
            task(eval="data/eval.txt"),
            "eval.txt is of no known kind\n  known: .csv, .jsonl, .parquet",
        ),
        (task(eval="data"), "tasks.support.eval: data is of no known kind"),
        (task(eval="data/folder.csv"), "folder.csv is not a file"),
        (task(eval="datasets:"), "tasks.support.eval: names no data set"),
        (task(eval="datasets:data/disc"), "did you mean 'disk'?"),
        (task(eval="datasets:./gone"), "tasks.support.eval: no such file or directory"),
        (task(new_adapter="adapters/none"), "tasks.support.new_adapter: no such file"),
        (task(compat_adapter="adapters/empty"), "tasks.support.compat_adapter: "),
        ('[run]\ncache = "data/eval.txt"', "run.cache: "),
    ],
)
def test_what_is_not_there_is_named_with_file_and_key(project, text, expected):
    message = refusal(project, text)
    assert message.startswith("muscle.toml: ")
    assert expected in message


@pytest.mark.parametrize("folder", ["adapters", "adapters/.training", "predictions"])
def test_a_link_out_of_the_cache_is_refused(project, folder):
    (project / "elsewhere").mkdir()
    link = project / ".muscle_cache" / folder
    link.parent.mkdir(parents=True)
    link.symlink_to(project / "elsewhere")
    message = refusal(project, "")
    assert message.startswith(f"muscle.toml: run.cache: {link} is a link that leads out of the")


def test_the_cache_itself_may_be_a_link_and_so_may_what_stays_in_it(project):
    (project / "disk/predictions-1").mkdir(parents=True)
    (project / "disk/predictions").symlink_to("predictions-1")
    (project / "cache").symlink_to("disk")
    assert read(project, '[run]\ncache = "cache"').cache == project / "disk"


def test_of_many_files_in_a_folder_ten_are_listed(project):
    for number in range(50):
        (project / "data" / f"part-{number:02}").touch()
    message = refusal(project, task(eval="data/zzz"))
    assert "part-05" in message
    assert "and 44 more" in message
    assert "part-20" not in message


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_refused_in_words(project):
    (project / "data").chmod(0)
    try:
        assert "tasks.support.eval: no such file" in refusal(project, task())
    finally:
        (project / "data").chmod(0o755)


# --- where reports are written


def test_reports_are_written_nowhere_by_default(project):
    found = read(project, "")
    assert (found.report_dir, found.history) == (None, None)


def test_reports_are_written_inside_the_project(project):
    found = read(project, '[report]\ndir = "out/a"\nhistory = "out/runs.jsonl"')
    assert found.report_dir == project / "out" / "a"
    assert found.history == project / "out" / "runs.jsonl"
    for key in ("dir", "history"):
        for name in ("../x", str(project.parent / "x"), "data/../../x", "~/x", f"{project}-x"):
            message = refusal(project, f"[report]\n{key} = {name!r}")
            assert message.startswith(f"muscle.toml: report.{key}: ")
            assert "is outside the project" in message


@pytest.mark.parametrize(
    ("key", "name", "problem"),
    [
        ("dir", "muscle.toml", "muscle.toml is not a directory"),
        ("dir", "muscle.toml/a/b", "muscle.toml is not a directory"),
        ("dir", "", "is empty"),
        ("dir", "a\\u0000b", "cannot be written: embedded null byte"),
        ("dir", "x" * 300, "cannot be written: File name too long"),
        ("history", "data", "data is a directory"),
        ("history", "data/eval.jsonl/x", "eval.jsonl is not a directory"),
    ],
)
def test_where_a_report_cannot_be_is_refused(project, key, name, problem):
    message = refusal(project, f'[report]\n{key} = "{name}"')
    assert message.startswith(f"muscle.toml: report.{key}: ")
    assert problem in message


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_report_in_a_folder_that_may_not_be_written_is_refused(project):
    (project / "data").chmod(0o555)
    try:
        message = refusal(project, '[report]\ndir = "data/report"')
        assert message.startswith(f"muscle.toml: report.dir: {project / 'data'} is not writable")
    finally:
        (project / "data").chmod(0o755)
