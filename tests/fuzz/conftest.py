"""The project that bad input is put into."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_muscle import digests
from tests.fuzz.mutations import CORPUS


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound project with shells of models and adapters, in a home directory of its own."""
    monkeypatch.setattr(digests, "TICK", 0)  # each case writes new files
    folder = tmp_path / "home" / "project"
    monkeypatch.setenv("HOME", str(folder.parent))
    (folder / "models" / "v1").mkdir(parents=True)
    (folder / "models" / "v1" / "config.json").write_text("{}")
    (folder / "adapters" / "v1").mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / "adapters" / "v1" / name).write_text("{}")
    (folder / "data").mkdir()
    for name in ("rows.jsonl", "rows.csv"):
        shutil.copy(CORPUS / "data" / name, folder / "data")
    shutil.copy(CORPUS / "configurations" / "full.toml", folder / "muscle.toml")
    return folder
