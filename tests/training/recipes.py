"""Recipes of a few steps, and what came of them."""

import torch
from safetensors.torch import load_file

from pytest_muscle.settings import CompatSettings, RecipeSettings

QUICK = {
    "rank": 4,
    "epochs": 2,
    "learning_rate": 1e-2,
    "batch_size": 8,
    "gradient_accumulation": 1,
}
RECIPE = RecipeSettings(**QUICK)
COMPAT = CompatSettings(**QUICK)


def weights_of(directory) -> dict[str, torch.Tensor]:
    return load_file(directory / "adapter_model.safetensors")


def same_weights(one, other, tolerance: float = 1e-6) -> bool:
    found, wanted = weights_of(one), weights_of(other)
    return found.keys() == wanted.keys() and all(
        torch.allclose(found[name], wanted[name], rtol=0, atol=tolerance) for name in wanted
    )


def left_over(shop) -> set[str]:
    """What there is in the store but for locks."""
    return {path.name for path in shop.store.directory.rglob("*") if path.suffix != ".lock"}
