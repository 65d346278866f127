"""What stands where a file should: folders, links, pipes, devices, files that may not be read."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_muscle import ModelUpdate, Predictions, limits, read_settings
from pytest_muscle.errors import MuscleError
from pytest_muscle.settings.flags import Flags, find_file
from tests.fuzz.feeding import look, refused
from tests.fuzz.mutations import CORPUS

Put = Callable[[Path], object]

THINGS: dict[str, Put] = {
    "nothing": lambda path: None,
    "a folder": Path.mkdir,
    "a link to nothing": lambda path: path.symlink_to("gone"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo if sys.platform != "win32" else Path.mkdir,
    "a file of no end": lambda path: path.open("wb").truncate(limits.LARGEST_FILE + 1),
}
PLACES = [
    "muscle.toml",
    "data/rows.jsonl",
    "data/rows.csv",
    "models/v1",
    "models/v1/config.json",
    "adapters/v1",
    "adapters/v1/adapter_config.json",
    "adapters/v1/adapter_model.safetensors",
    "cache",
    "cache/digests.json",
    "cache/adapters",
    "cache/predictions",
]


def put(thing: Put, path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    thing(path)


def outside(project: Path) -> dict[Path, bytes | str]:
    """What stands in the project beside its cache."""
    cache = (project / "cache", project / "gone")  # where a link may lead
    return {path: content for path, content in look(project).items() if path.parent not in cache}


def use(project: Path) -> None:
    file = find_file(project, Flags(config="muscle.toml"), project)
    update = ModelUpdate(read_settings(file, invocation_dir=project))
    for task in update.tasks.values():
        assert len(task.digest) == len(task.train_digest) == 64


@pytest.mark.timeout(20)
@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_is_refused_with_its_place(project, place, thing):
    put(THINGS[thing], project / place)
    before = outside(project)
    with refused("muscle.toml", "muscle-config", "rows."):
        use(project)
    assert outside(project) == before


@pytest.mark.timeout(20)
@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.manifest.json"])
def test_a_table_that_is_no_file_is_refused_with_its_place(tmp_path, name, thing):
    for part in ("", ".manifest.json"):
        shutil.copy(CORPUS / "tables" / f"answers.jsonl{part}", tmp_path / f"t.jsonl{part}")
    put(THINGS[thing], tmp_path / name)
    with pytest.raises(MuscleError) as caught:
        Predictions.load(tmp_path / "t.jsonl")
    assert str(caught.value).startswith(f"{tmp_path / name}: ")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("place", ["muscle.toml", "data", "data/rows.jsonl", "models", "cache"])
def test_what_may_not_be_read_is_refused_with_its_place(project, place):
    (project / "cache").mkdir()
    (project / place).chmod(0)
    try:
        with refused("muscle.toml", "rows."):
            use(project)
    finally:
        (project / place).chmod(0o755)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_an_endless_line_is_refused_before_it_is_read(project, monkeypatch, name):
    monkeypatch.setattr(limits, "LONGEST_LINE", 1_000)
    path = project / "data" / name
    path.write_text(path.read_text() + '{"id": "' + "x" * 2_000)
    with pytest.raises(MuscleError) as caught:
        use(project)
    line = 4 if name == "rows.jsonl" else 6
    assert str(caught.value).startswith(f"{name}:{line}: line is longer than 1,000 characters\n")


def test_a_record_of_many_lines_has_the_same_limit(project, monkeypatch):
    monkeypatch.setattr(limits, "LONGEST_LINE", 1_000)
    path = project / "data" / "rows.csv"
    path.write_text(path.read_text() + '"' + '\n","' * 300)
    with pytest.raises(MuscleError) as caught:
        use(project)
    assert str(caught.value).startswith("rows.csv:6: line is longer than 1,000 characters\n")


def test_a_configuration_larger_than_the_limit_is_refused(project, monkeypatch):
    monkeypatch.setattr(limits, "LARGEST_DOCUMENT", 100)
    with pytest.raises(MuscleError) as caught:
        use(project)
    assert str(caught.value) == f"{project / 'muscle.toml'}: is larger than 100 bytes"


def test_bytes_that_are_no_text_are_found_in_an_endless_line_too(project):
    path = project / "data" / "rows.jsonl"
    path.write_bytes(path.read_bytes() + b"x" * 200_000 + b"\xff" + b"x" * 200_000)
    with pytest.raises(MuscleError) as caught:
        use(project)
    assert str(caught.value).startswith("rows.jsonl:4: is not UTF-8 text: ")
