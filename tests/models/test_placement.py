"""Where models run: remembered without torch, and found out again where it matters."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.models.placement import Placement, Placing
from pytest_muscle.progress import SILENT, Progress
from pytest_muscle.settings import RunSettings


@pytest.fixture
def store(tmp_path):
    return tmp_path / "cache" / "device.json"


@pytest.fixture
def machine(monkeypatch):
    """A function that says whether there is a CUDA device; it returns the questions asked."""

    def has(*, cuda: bool) -> list[str]:
        asked: list[str] = []

        def is_available() -> bool:
            asked.append("torch")
            return cuda

        monkeypatch.setattr(torch.cuda, "is_available", is_available)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
        return asked

    return has


def placing(store, device: str = "auto", dtype: str = "auto") -> Placing:
    """Return it as another process would make it."""
    return Placing(RunSettings(device=device, dtype=dtype), store, SILENT)


def test_what_auto_leads_to_is_found_out_once(store, machine):
    asked = machine(cuda=True)
    assert placing(store).expected() == Placement("cuda", "bfloat16")
    asked.clear()

    assert placing(store).expected() == Placement("cuda", "bfloat16")
    assert asked == []


def test_what_is_configured_needs_no_torch(store, machine):
    asked = machine(cuda=False)

    assert placing(store, "cuda", "float16").expected() == Placement("cuda", "float16")
    assert asked == []


def test_a_model_that_loads_needs_the_device_that_is_there(store, machine):
    machine(cuda=False)

    with pytest.raises(ConfigurationError, match="device 'cuda' is not there"):
        placing(store, "cuda", "float16").resolve()


def test_what_is_remembered_is_corrected_when_a_model_loads(store, machine, capfd):
    machine(cuda=True)
    placing(store).resolve()
    asked = machine(cuda=False)
    wrong = Placing(RunSettings(), store, Progress())
    assert wrong.expected() == Placement("cuda", "bfloat16")

    found = wrong.resolve()

    assert found.device == "cpu"
    assert wrong.expected() == found
    assert placing(store).expected() == found
    message = f"models run on cpu in {found.dtype} now, no longer on cuda in bfloat16"
    assert capfd.readouterr().err == f"\nmuscle: {message}\n"

    asked.clear()
    assert wrong.resolve() == found
    assert asked == []
    Placing(RunSettings(), store, Progress()).resolve()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setenv("CUDA_VISIBLE_DEVICES", ""),
        lambda patch: patch.setattr("platform.node", lambda: "another"),
        lambda patch: patch.setattr("platform.machine", lambda: "another"),
        lambda patch: patch.setattr(
            "pytest_muscle.models.placement.library_versions", lambda name: {name: "9.9+cu999"}
        ),
    ],
)
def test_another_machine_or_torch_is_another_question(store, machine, monkeypatch, change):
    machine(cuda=True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    placing(store).expected()
    asked = machine(cuda=False)

    change(monkeypatch)

    assert placing(store).expected().device == "cpu"
    assert asked


@pytest.mark.parametrize("run", [{"device": "cpu"}, {"dtype": "float16"}])
def test_another_configuration_is_another_question(store, machine, run):
    asked = machine(cuda=True)
    placing(store).expected()
    asked.clear()

    found = placing(store, **run).expected()

    assert asked
    assert found.device == run.get("device", "cuda")


@pytest.mark.parametrize("note", ['"cpu"', '{"device": "tpu", "dtype": "float32"}', "null"])
def test_a_damaged_note_is_found_out_again(store, machine, note):
    machine(cuda=False)
    found = placing(store).expected()
    (key,) = json.loads(store.read_text())
    store.write_text(f"{{{json.dumps(key)}: {note}}}")

    assert placing(store).expected() == found
    assert placing(store).expected() == found


def test_torch_is_not_imported_for_what_is_remembered(store):
    placing(store).expected()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pytest_muscle.models.placement import Placing\n"
        "from pytest_muscle.progress import SILENT\n"
        "from pytest_muscle.settings import RunSettings\n"
        f"print(Placing(RunSettings(), Path({str(store)!r}), SILENT).expected().device)\n"
        "print('torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", code]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines == [placing(store).expected().device, "False"]
