"""The Trainer's checkpoints: which one training goes on from, and that none can run code."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pytest_muscle.limits import read_json

PREFIX = "checkpoint-"
"""What the name of a checkpoint begins with; the step follows."""
_PICKLED_WEIGHTS = ("*.bin", "*.bin.index.json")


def newest_checkpoint(directory: Path) -> str | None:
    """Return the newest whole checkpoint in a directory, or none; remove all that are not whole."""
    whole = {}
    for path in directory.glob(f"{PREFIX}*"):
        number = path.name.removeprefix(PREFIX)
        if path.is_symlink() or not path.is_dir():
            path.unlink()
        elif number.isascii() and number.isdigit() and _is_whole(path):
            whole[int(number)] = path
        else:
            shutil.rmtree(path)
    return str(whole[max(whole)]) if whole else None


def _is_whole(checkpoint: Path) -> bool:
    """Say whether a checkpoint can be read: weights, state, and what only tensors may be in.

    The Trainer reads its optimiser and random states as `weights_only`, too: a pickle that is
    more than tensors and plain values is refused, not run.
    """
    if any(list(checkpoint.glob(pattern)) for pattern in _PICKLED_WEIGHTS):
        return False
    try:
        _check_state(read_json(checkpoint / "trainer_state.json"), checkpoint)
        for file in sorted([*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")]):
            _read_tensors(file)
        _read_weights(checkpoint / "adapter_model.safetensors")
    except Exception:  # whatever the readers say to damaged bytes
        return False
    return True


def _check_state(state: Any, checkpoint: Path) -> None:
    """Raise if the Trainer's state, which it writes last, is none or leads elsewhere."""
    from transformers import TrainerState

    TrainerState(**state)
    best = state.get("best_model_checkpoint")
    if best is not None and Path(best).resolve().parent != checkpoint.resolve().parent:
        raise ValueError(f"its best checkpoint is elsewhere: {best}")


def _read_tensors(file: Path) -> None:
    import torch
    from transformers.trainer_pt_utils import safe_globals

    allowed: Any = safe_globals
    with allowed():  # NumPy's random state
        torch.load(file, map_location="cpu", weights_only=True)


def _read_weights(file: Path) -> None:
    from safetensors import safe_open

    with safe_open(file, framework="pt"):
        pass
