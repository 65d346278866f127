"""How fast this machine multiplies: measured in earlier trainings, else by a short probe."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from glob import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_muscle.cache import CacheKey
from pytest_muscle.limits import read_json
from pytest_muscle.predictions.differences import fact
from pytest_muscle.training.store import FACTS

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_muscle.models.placement import Placement

UTILISATION = {"forward": 0.45, "training": 0.25}
"""Share of a bare matrix product's speed that a whole run reaches: attention, norms, reading and
small matrices take the rest. Set by a run of the example project on a CPU."""

LAUNCHING = {"forward": 0.001, "training": 0.011}
"""Seconds per layer that the CPU takes to tell another device what to do in one pass. A device that
is done sooner waits: an H100 trained the example's model of 30 layers at 0.33 s a step."""

PROBE_SECONDS = 0.25
"""How long a product is repeated."""


class Past(NamedTuple):
    """A training that was measured on this machine.

    Attributes:
        name: Name of its adapter.
        examples: Training examples that were run, repeats counted.
        validated: Validation examples that were run, repeats counted.
        seconds: How long it took, the model loaded already.
    """

    name: str
    examples: float
    validated: float
    seconds: float


def find_past(
    directory: Path, task: str, role: str, base: Mapping[str, Any], placement: Placement
) -> Past | None:
    """Return the longest training of a stored adapter of a task on a base model, or none.

    Args:
        directory: Where adapters are stored.
        task: Name of the task.
        role: `old`, `new` or `compat`.
        base: Facts of the base model.
        placement: Where it runs; others are passed over.
    """
    found, compat = [], role == "compat"
    begins = escape(CacheKey(task, role, {}).name[: -len("0123456789abcdef")])
    for path in directory.glob(f"{begins}*/{FACTS}"):
        try:
            facts = read_json(path)
        except (OSError, ValueError):
            continue
        past = _read(path.parent.name, facts, base, placement, compat=compat)
        if past is not None:
            found.append(past)
    return max(found, key=lambda past: past.seconds, default=None)


def _read(
    name: str, facts: Any, base: Mapping[str, Any], placement: Placement, *, compat: bool
) -> Past | None:
    made_of = fact(facts, "made_of") if isinstance(facts, Mapping) else {}
    model = fact(made_of, "new", "base") if compat else fact(made_of, "base")
    where = str(facts.get("device", "")).partition(":")[0] if made_of else ""
    if dict(model) != dict(base) or (where, facts.get("dtype")) != (
        placement.device,
        placement.dtype,
    ):
        return None
    recipe, examples = fact(made_of, "recipe"), fact(facts, "examples")
    try:
        per_step = recipe["batch_size"] * recipe["gradient_accumulation"]
        seconds = float(facts["seconds"])
        seen = float(min(facts["steps"] * per_step, facts["epochs"] * examples["train"]))
        validated = float(facts["epochs"] * examples["validation"])
    except (LookupError, TypeError, ValueError):
        return None
    return Past(name, seen, validated, seconds) if seconds > 0 and seen > 0 else None


@cache
def probe(device: str, dtype: str, rows: int, hidden: int, inner: int) -> float:
    """Return how many floating-point operations a second a matrix product reaches.

    Args:
        device: By torch's name.
        dtype: Likewise.
        rows: Tokens at once.
        hidden: Size of a hidden state.
        inner: Width of a layer.

    Raises:
        RuntimeError: If the device has no room.
    """
    import torch

    with torch.inference_mode():
        left = torch.ones(rows, hidden, device=device, dtype=getattr(torch, dtype))
        right = torch.ones(inner, hidden, device=device, dtype=getattr(torch, dtype))
        best, end = float("inf"), time.perf_counter() + PROBE_SECONDS
        torch.nn.functional.linear(left, right)
        while best == float("inf") or time.perf_counter() < end:
            _wait(device)
            start = time.perf_counter()
            for _ in range(4):
                torch.nn.functional.linear(left, right)
            _wait(device)
            best = min(best, (time.perf_counter() - start) / 4)
    return 2.0 * rows * hidden * inner / max(best, 1e-9)


def _wait(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()
