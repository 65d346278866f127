"""Files and directories appear whole or not at all, and leave nothing behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_muscle.atomic import new_directory, write_text, write_texts


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "c.json"
    write_text(path, "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    assert names(path.parent) == ["c.json"]


def test_a_file_is_replaced(tmp_path):
    for text in ("one", "two"):
        write_text(tmp_path / "x", text)
    assert (tmp_path / "x").read_text() == "two"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_others_may_read_what_the_user_s_mask_lets_them(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "x", "")
        with new_directory(tmp_path / "d"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o750


def test_a_text_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "x", "new " * 100_000 + "\ud83d")
    assert (tmp_path / "x").read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_of_files_that_belong_together_all_or_none_are_written(tmp_path):
    write_texts({tmp_path / "a": "1", tmp_path / "b": "1"})
    with pytest.raises(UnicodeEncodeError):
        write_texts({tmp_path / "a": "2", tmp_path / "b": "\ud83d"})
    assert [(tmp_path / name).read_text() for name in "ab"] == ["1", "1"]
    assert names(tmp_path) == ["a", "b"]


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    write_text(tmp_path / "x", "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_a_directory_appears_when_it_is_full(tmp_path):
    path = tmp_path / "a" / "adapter"
    with new_directory(path) as part:
        (part / "weights").write_text("new")
        assert not path.exists()
    assert names(path) == ["weights"]
    assert names(path.parent) == ["adapter"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_directory(tmp_path, error):
    path = tmp_path / "adapter"
    with new_directory(path) as part:
        (part / "old").touch()

    def fill() -> None:
        with new_directory(path) as part:
            (part / "new").touch()
            raise error

    with pytest.raises(error):
        fill()
    assert names(path) == ["old"]
    assert names(tmp_path) == ["adapter"]


@pytest.mark.parametrize("kind", ["directory", "file", "link", "dangling link"])
def test_what_was_there_is_replaced_whatever_it_is(tmp_path, kind):
    path, other = tmp_path / "adapter", tmp_path / "other"
    other.mkdir()
    (other / "kept").touch()
    if kind == "directory":
        path.mkdir()
        (path / "old").touch()
    elif kind == "file":
        path.touch()
    else:
        path.symlink_to(other if kind == "link" else tmp_path / "nowhere")
    with new_directory(path) as part:
        (part / "new").touch()
    assert names(path) == ["new"]
    assert not path.is_symlink()
    assert names(other) == ["kept"]
    assert names(tmp_path) == ["adapter", "other"]


def test_a_directory_that_cannot_be_put_there_gives_the_old_one_back(tmp_path, monkeypatch):
    path = tmp_path / "adapter"
    with new_directory(path) as part:
        (part / "old").touch()
    replace = os.replace

    def failing(source: Path, target: Path) -> None:
        if Path(source).suffix == ".part":
            raise OSError("busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="busy"), new_directory(path):
        pass
    assert names(path) == ["old"]
    assert names(tmp_path) == ["adapter"]
