"""Where models run on this machine: known without torch where it was found out before."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_muscle.digests import canonical_json
from pytest_muscle.libraries import library_versions
from pytest_muscle.notebook import Notebook
from pytest_muscle.progress import Progress
from pytest_muscle.settings import RunSettings

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Placement:
    """Where models run and in which floating-point type, by torch's names.

    Attributes:
        device: `cpu`, `cuda` or `mps`.
        dtype: `float32`, `bfloat16` or `float16`.
    """

    device: str
    dtype: str


class Placing:
    """Finds the placement of `[run]`, and remembers what `auto` led to.

    Args:
        run: What the user configured.
        store: The JSON file where it is remembered; made on first use.
        progress: Where it is said that what was remembered is no longer so.
        writes: Whether it is remembered there, not in this process alone.
    """

    def __init__(
        self, run: RunSettings, store: Path, progress: Progress, *, writes: bool = True
    ) -> None:
        self._run = run
        self._notebook = Notebook(store, _is_placement, most=100, writes=writes)
        self._progress = progress
        self._resolved: Placement | None = None

    def expected(self) -> Placement:
        """Return the placement as it is configured or remembered; else find it out now.

        Raises:
            ConfigurationError: If it has to be found out and the device is not there.
        """
        if self._resolved is not None:
            return self._resolved
        if self._run.device != "auto" and self._run.dtype != "auto":
            return Placement(self._run.device, self._run.dtype)
        return self._remembered() or self.resolve()

    def resolve(self) -> Placement:
        """Find out the placement with torch, as a model must that loads, and remember it.

        Raises:
            ConfigurationError: If the device is not there or cannot do the type.
        """
        if self._resolved is not None:
            return self._resolved
        from pytest_muscle.models.device import choose_device, choose_dtype

        device = choose_device(self._run.device)
        dtype = str(choose_dtype(self._run.dtype, device)).removeprefix("torch.")
        found, remembered = Placement(device.type, dtype), self._remembered()
        if found != remembered:
            self._notebook.write({self._machine(): asdict(found)})
        if remembered not in (None, found):
            self._progress.say(
                f"models run on {found.device} in {found.dtype} now, no longer on "
                f"{remembered.device} in {remembered.dtype}"
            )
        self._resolved = found
        return found

    def _remembered(self) -> Placement | None:
        note = self._notebook.read().get(self._machine())
        return None if note is None else Placement(**note)

    def _machine(self) -> str:
        """Return what the placement depends on, as far as it can be seen from outside torch."""
        return canonical_json(
            {
                "device": self._run.device,
                "dtype": self._run.dtype,
                **library_versions("torch"),
                "machine": [platform.node(), platform.machine()],
                "visible": {name: os.environ[name] for name in _VISIBLE if name in os.environ},
                "gpus": sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*")),
            }
        )


def _is_placement(note: Any) -> bool:
    return (
        isinstance(note, dict)
        and note.keys() == {"device", "dtype"}
        and note["device"] in ("cpu", "cuda", "mps")
        and note["dtype"] in ("float32", "bfloat16", "float16")
    )
