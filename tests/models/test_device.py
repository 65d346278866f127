"""The device and the floating-point type: the best there is, or the one wanted."""

import pytest
import torch

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.models.device import choose_device, choose_dtype, runnable_dtypes


@pytest.fixture
def machine(monkeypatch):
    """A function that says which devices this machine has."""

    def has(*, cuda: bool = False, mps: bool = False, capability: int = 0) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (capability, 0))

    return has


@pytest.mark.parametrize(
    ("devices", "chosen"),
    [
        ({"cuda": True, "mps": True}, "cuda"),
        ({"cuda": True}, "cuda"),
        ({"mps": True}, "mps"),
        ({}, "cpu"),
    ],
)
def test_auto_takes_cuda_then_mps_then_cpu(machine, devices, chosen):
    machine(**devices)

    assert choose_device("auto").type == chosen


def test_the_wanted_device(machine):
    machine(cuda=True)

    assert choose_device("cpu").type == "cpu"


def test_a_device_that_is_not_there_is_an_error_that_names_those_that_are(machine):
    machine(mps=True)

    with pytest.raises(
        ConfigurationError, match=r"device 'cuda' is not there\s+available: mps, cpu"
    ):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("capability", "dtype"), [(9, torch.bfloat16), (8, torch.bfloat16), (7, torch.float16)]
)
def test_cuda_takes_bfloat16_where_it_has_units_for_it(machine, capability, dtype):
    machine(cuda=True, capability=capability)

    assert choose_dtype("auto", torch.device("cuda")) == dtype


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "avx2": True}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_a_cpu_takes_bfloat16_where_it_has_units_for_it(monkeypatch, capabilities, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    assert choose_dtype("auto", torch.device("cpu")) == dtype


def test_a_cpu_takes_float32_where_torch_cannot_say(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)

    assert choose_dtype("auto", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_the_wanted_type(name):
    assert choose_dtype(name, torch.device("cpu")) == getattr(torch, name)


def test_mps_takes_float32():
    assert choose_dtype("auto", torch.device("mps")) == torch.float32


@pytest.mark.parametrize(
    ("device", "usual", "able", "dtypes"),
    [
        ("cpu", "float32", False, ("float32", "bfloat16")),
        ("cpu", "bfloat16", False, ("bfloat16", "float32")),
        ("mps", "float16", False, ("float16", "float32", "bfloat16")),
        ("cuda", "bfloat16", True, ("bfloat16", "float32", "float16")),
        ("cuda", "float16", True, ("float16", "float32", "bfloat16")),
        ("cuda", "float16", False, ("float16", "float32")),
    ],
)
def test_the_types_that_a_device_runs(monkeypatch, device, usual, able, dtypes):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: able)
    assert runnable_dtypes(device, usual) == dtypes
