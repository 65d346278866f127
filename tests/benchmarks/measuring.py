"""Time, memory and token positions: how a contender's work is measured."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

from tests.benchmarks.contenders.job import Job, Training


def say(text: str) -> None:
    """Show a line of progress."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, with the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of values."""
        return cls(median(values), min(values), max(values))

    @classmethod
    def of_ratios(cls, above: Sequence[float], below: Sequence[float]) -> Spread:
        """Return the ratio of medians, with the least and greatest ratio within one round."""
        rounds = [one / other for one, other in zip(above, below, strict=True)]
        return cls(median(above) / median(below), min(rounds), max(rounds))


def seconds_of(work: Callable[[], Any], device: str) -> float:
    """Return how long work takes, all of the device's included."""
    gc.collect()
    _synchronize(device)
    started = time.perf_counter()
    work()
    _synchronize(device)
    return time.perf_counter() - started


def interleave(
    works: Mapping[str, Callable[[], Any]], *, rounds: int, device: str
) -> dict[str, list[float]]:
    """Return the seconds of each work in each round; a round runs every work once, in turn.

    So whatever else the machine does meets all of them alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds):
        for name, work in works.items():
            seconds[name].append(seconds_of(work, device))
            say(f"    round {number + 1} of {rounds}: {name} {seconds[name][-1]:.2f} s")
    return seconds


def measure_training(train: Callable[[Job], Training], job: Job) -> dict[str, Any]:
    """Return what one training run took: seconds, peak bytes, token positions, what it says.

    The time runs from two directories with models to one with the trained adapter. Imports are
    not in it. The peak is the process's, so measure one run in a process of its own.
    """
    if job.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    imported = _peak_bytes(job.device)
    with _counted_positions() as positions:
        trained: list[Training] = []
        seconds = seconds_of(lambda: trained.append(train(job)), job.device)
    return {
        "seconds": seconds,
        "peak_bytes": _peak_bytes(job.device),
        "peak_bytes_after_imports": imported,
        "positions": positions,
        **asdict(trained[0]),
    }


def _peak_bytes(device: str) -> int:
    """Return the greatest memory in use since this process began.

    On the GPU: by PyTorch's tensors. Else: resident. Linux keeps `ru_maxrss` from the process that
    started this one where that was larger, so there the kernel's own mark is read.
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def _counted_positions() -> Iterator[dict[str, int]]:
    """Count the token positions that go into models, padding included.

    Those with a gradient to come are the student's, the others the teachers'.
    """
    positions = {"student": 0, "teachers": 0}
    forward = nn.Embedding.forward

    def count(self: nn.Embedding, input: torch.Tensor) -> torch.Tensor:
        positions["student" if torch.is_grad_enabled() else "teachers"] += input.numel()
        return forward(self, input)

    nn.Embedding.forward = count  # type: ignore[method-assign]
    try:
        yield positions
    finally:
        nn.Embedding.forward = forward  # type: ignore[method-assign]


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
