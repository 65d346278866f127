"""Where models run and in which floating-point type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_muscle.errors import ConfigurationError

if TYPE_CHECKING:
    import torch


def choose_device(wanted: str) -> torch.device:
    """Return the device: CUDA if there is one, else MPS, else CPU, or the one wanted.

    Raises:
        ConfigurationError: If the wanted device is not there.
    """
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available[wanted]:
        raise ConfigurationError(
            f"device {wanted!r} is not there",
            where="run.device or --muscle-device",
            hint=f"available: {', '.join(name for name, there in available.items() if there)}",
        )
    return torch.device(wanted)


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Return the floating-point type: bfloat16 where the device is fast at it, or the one wanted.

    CUDA devices without bfloat16 units get float16, CPUs without them and MPS float32.

    Raises:
        ConfigurationError: If a CUDA device is asked for bfloat16 and cannot do it.
    """
    import torch

    if wanted == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigurationError(
            "the CUDA device cannot do bfloat16",
            where="run.dtype",
            hint='set dtype = "auto", "float16" or "float32"',
        )
    if wanted != "auto":
        return {
            "float32": torch.float32,
            "bfloat16": torch.bfloat16,
            "float16": torch.float16,
        }[wanted]
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device)[0] >= 8
        return torch.bfloat16 if fast or torch.version.hip else torch.float16
    if device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", None)  # newer than torch 2.6
        able = capabilities() if capabilities else {}
        fast = any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
        return torch.bfloat16 if fast else torch.float32
    return torch.float32


def runnable_dtypes(device: str, usual: str) -> tuple[str, ...]:
    """Return the floating-point types that a device can run, the usual one first.

    Args:
        device: Its type, as torch names it.
        usual: The type that is run there anyway.
    """
    dtypes = ["float32", "bfloat16"]
    if device == "cuda":
        dtypes.append("float16")
        if usual != "bfloat16":
            import torch

            if not torch.cuda.is_bf16_supported():
                dtypes.remove("bfloat16")
    return (usual, *(dtype for dtype in dtypes if dtype != usual))


def mixed_precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return a context in which an adapter's float32 weights multiply in the model's type.

    Adapters are trained so; in float32 it does nothing.
    """
    import torch

    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
