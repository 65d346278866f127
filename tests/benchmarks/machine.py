"""Where figures come from: enough to judge them by, and nothing that names a machine."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("pytest-muscle", "torch", "transformers", "peft", "lm_eval", "trl")


def describe_machine(device: str, dtype: str) -> dict[str, Any]:
    """Return processor, cores, GPU, versions, dtype and date."""
    import torch

    return {
        "device": device,
        "dtype": dtype,
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "date": datetime.now(UTC).date().isoformat(),
    }


def describe_model(network: Any) -> dict[str, Any]:
    """Return architecture, number of weights and of tokens."""
    weights = {id(weight): weight.numel() for weight in network.parameters()}
    return {
        "architecture": network.config.model_type,
        "weights": sum(weights.values()),
        "vocabulary": int(network.get_output_embeddings().weight.shape[0]),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
