"""Which checkpoint training goes on from; a hostile one runs no code."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pytest_muscle.training.checkpoints import newest_checkpoint


class Touch:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._path,)


def save_checkpoint(directory: Path, number: int, **state: object) -> Path:
    path = directory / f"checkpoint-{number}"
    path.mkdir(parents=True)
    save_file({"weight": torch.ones(2)}, path / "adapter_model.safetensors")
    torch.save({"state": {0: {"step": torch.ones(())}}}, path / "optimizer.pt")
    torch.save({"numpy": np.random.RandomState(0).get_state()}, path / "rng_state.pth")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": number, **state}))
    return path


def test_the_newest_is_taken_by_its_number(tmp_path):
    for number in (8, 12, 4):
        path = save_checkpoint(tmp_path, number, best_model_checkpoint=f"{tmp_path}/checkpoint-4")
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-12")
    assert path.is_dir()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: cut(path / "trainer_state.json"),
        lambda path: (path / "trainer_state.json").write_text("[" * 100_000),
        lambda path: (path / "trainer_state.json").write_text("[1]"),
        lambda path: (path / "trainer_state.json").write_text('{"nonsense": 1}'),
        lambda path: (path / "trainer_state.json").write_text('{"best_model_checkpoint": "/tmp"}'),
        lambda path: (path / "trainer_state.json").write_text('{"best_model_checkpoint": 1}'),
        lambda path: cut(path / "optimizer.pt"),
        lambda path: (path / "rng_state.pth").write_bytes(b"no pickle"),
        lambda path: cut(path / "adapter_model.safetensors"),
        lambda path: (path / "adapter_model.safetensors").rename(path / "adapter_model.bin"),
        lambda path: (path / "pytorch_model.bin").write_bytes(b""),
        lambda path: (path / "optimizer.pt").unlink() or (path / "optimizer.pt").mkdir(),
    ],
)
def test_one_that_is_not_whole_is_removed(tmp_path, spoil):
    save_checkpoint(tmp_path, 4)
    spoil(save_checkpoint(tmp_path, 8))
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-4")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4"]


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt"])
@pytest.mark.parametrize(
    "save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, 2))]
)
def test_a_pickle_with_code_is_not_run(tmp_path, name, save):
    path = save_checkpoint(tmp_path / "work", 4)
    save(Touch(tmp_path / "pwned"), path / name)
    assert newest_checkpoint(tmp_path / "work") is None
    assert not (tmp_path / "pwned").exists()


def test_links_files_and_odd_names_are_removed_and_what_they_lead_to_is_kept(tmp_path):
    elsewhere = save_checkpoint(tmp_path / "elsewhere", 4)
    work = tmp_path / "work"
    work.mkdir()
    (work / "checkpoint-4").symlink_to(elsewhere)
    (work / "checkpoint-5").touch()
    save_checkpoint(work, 6).rename(work / "checkpoint-six")
    save_checkpoint(work, 6).rename(work / "checkpoint-²")
    assert newest_checkpoint(work) is None
    assert list(work.iterdir()) == []
    assert (elsewhere / "optimizer.pt").is_file()
