"""A causal language model in two parts: a decoder that makes hidden states, a head for logits.

The vocabulary's projection costs more than a layer and its result more memory than all of them;
who has the parts can project the positions that matter, chunk by chunk.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPast

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class NetworkParts:
    """A causal language model as decoder and head.

    Attributes:
        network: The model itself, without wrappers; adapters are inside its layers.
        split: Whether hidden states and logits are apart. Where the model cannot be split, its
            logits pass for hidden states and the head leaves them as they are.
    """

    network: PreTrainedModel
    split: bool = True

    @property
    def decoder(self) -> nn.Module:
        """What makes hidden states."""
        return self.network.base_model if self.split else self.network

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of its weights."""
        return self.network.dtype

    @property
    def vocabulary(self) -> int:
        """Number of logits."""
        network: Any = self.network
        return int(network.get_output_embeddings().weight.shape[0])

    def states(self, **inputs: Any) -> Any:
        """Run the decoder; inputs that it does not know are left out.

        Returns:
            (hidden states [batch, tokens, hidden], cache or none).
        """
        output = self.decoder(**_known(inputs, self.decoder))
        states = output.last_hidden_state if self.split else output.logits
        return states, getattr(output, "past_key_values", None)

    def takes(self, name: str) -> bool:
        """Return whether the decoder knows an input."""
        return name in forward_parameters(self.decoder)

    def head(self) -> nn.Module:
        """Return the module from hidden states [tokens, hidden] to logits [tokens, vocab].

        It holds none of the decoder's weights.
        """
        return OutputHead(self.network) if self.split else nn.Identity()


class OutputHead(nn.Module):
    """A causal language model of which the decoder was taken out.

    What the model does between hidden states and logits (projection, scaling, capping) is run by
    the model's own code, whatever it is.

    Args:
        network: A causal language model.
    """

    def __init__(self, network: PreTrainedModel) -> None:
        super().__init__()
        rest = object.__new__(type(network))
        rest.__dict__ = {**network.__dict__, "_modules": dict(network._modules)}
        rest._modules[network.base_model_prefix] = _PassedThrough()
        self.rest = rest

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return logits [tokens, vocab] of hidden states [tokens, hidden]."""
        rest: Any = self.rest
        inputs = {"inputs_embeds": hidden[None], "use_cache": False}
        return rest(**_known(inputs, rest)).logits[0]  # type: ignore[no-any-return]


class _PassedThrough(nn.Module):
    """Stands where the decoder was, and returns what it is given."""

    @property
    def decoder(self) -> nn.Module:
        """Some models call their decoder's decoder."""
        return self

    def forward(self, *_: Any, inputs_embeds: torch.Tensor, **__: Any) -> BaseModelOutputWithPast:
        """Return the input embeddings as hidden states."""
        return _StatesAlone(last_hidden_state=inputs_embeds)


class _StatesAlone(BaseModelOutputWithPast):
    """Hidden states and nothing of what else a decoder may return."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


def network_parts(network: nn.Module) -> NetworkParts:
    """Return a model's parts, whole where it cannot be split; wrappers are taken off."""
    inner = unwrap(network)
    return NetworkParts(inner, split=inner.base_model is not inner)


def unwrap(network: nn.Module) -> PreTrainedModel:
    """Return the model of transformers under parallel wrappers and adapters."""
    model: Any = network
    while hasattr(model, "module"):
        model = model.module
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[no-any-return]


def forward_parameters(module: nn.Module) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a module's forward by name."""
    return inspect.signature(type(module).forward).parameters


def _known(inputs: dict[str, Any], module: nn.Module) -> dict[str, Any]:
    known = forward_parameters(module)
    return {name: value for name, value in inputs.items() if name in known}
