"""An adapter folded into the base weights for the time of scoring, and taken out again exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer

from pytest_muscle.models.probe import is_close, probe_logits

if TYPE_CHECKING:
    from peft import PeftModel

    from pytest_muscle.models.parts import NetworkParts


@contextmanager
def merged(model: PeftModel, parts: NetworkParts) -> Iterator[bool]:
    """Merge the active adapter for the block's duration, if that changes no more than rounding.

    The base weights come back bit by bit afterwards: they are kept, not computed back.

    Args:
        model: The model with its adapters.
        parts: The same model in parts.

    Yields:
        Whether the adapter is merged. It is not where it cannot be (its kind, quantised weights,
        memory) or where logits of a probe would change by more than the dtype's tolerance.
    """
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    before = probe_logits(parts)
    kept: list[tuple[torch.nn.Parameter, torch.Tensor]] = []
    try:
        done = _merge(layers, kept) and is_close(probe_logits(parts), before, parts.dtype)
        if not done:
            _restore(layers, kept)
        yield done
    finally:
        _restore(layers, kept)


def _merge(layers: list[Any], kept: list[tuple[torch.nn.Parameter, torch.Tensor]]) -> bool:
    for layer in layers:
        if not isinstance(layer, LoraLayer):
            return False  # other kinds change weights in place, or put other layers in
        for parameter in layer.get_base_layer().parameters():
            if not parameter.is_floating_point():
                return False
            kept.append((parameter, parameter.data))
    try:
        with torch.no_grad():
            for layer in layers:
                layer.merge(safe_merge=True)
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return False  # no memory for it, or an adapter or a layer of a kind that does not merge
    return True


def _restore(layers: list[Any], kept: list[tuple[torch.nn.Parameter, torch.Tensor]]) -> None:
    for parameter, data in kept:
        parameter.data = data
    for layer in layers:
        layer.merged_adapters = []
    kept.clear()
