"""Losses over a vocabulary, chunk by chunk: logits of all tokens never exist at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

LossOf = Callable[[torch.Tensor, slice], torch.Tensor]
"""(hidden states [chunk, hidden], which tokens they are) -> summed loss, a scalar."""


def chunked_loss(
    hidden: torch.Tensor,
    loss_of: LossOf,
    *,
    size: int,
    parameters: Sequence[torch.nn.Parameter] = (),
) -> torch.Tensor:
    """Return the sum of a loss over chunks of tokens, a float32 scalar with a gradient.

    Where gradients are wanted each chunk's backward pass follows its forward pass at once, so
    that its logits are freed before the next chunk's are made.

    Args:
        hidden: Hidden states, [tokens, hidden].
        loss_of: The loss of a chunk.
        size: Most tokens in a chunk.
        parameters: Trained weights that the loss depends on beside the hidden states.
    """
    if not torch.is_grad_enabled():
        hidden, parameters = hidden.detach(), ()  # in a Function they would still seem to want one
    function: Any = _ChunkedLoss
    result: torch.Tensor = function.apply(loss_of, size, hidden, *parameters)
    return result


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, loss_of: LossOf, size: int, hidden: torch.Tensor, *parameters: torch.Tensor
    ) -> torch.Tensor:
        wanted = any(ctx.needs_input_grad)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        gradients = [torch.zeros_like(tensor) for tensor in (hidden, *parameters) if wanted]
        for first in range(0, len(hidden), size):
            here = slice(first, first + size)
            with torch.set_grad_enabled(wanted):
                chunk = hidden[here].detach().requires_grad_(wanted)
                loss = loss_of(chunk, here)
            total += loss.detach()
            if loss.requires_grad:
                places = (gradients[0][here], *gradients[1:])
                found = torch.autograd.grad(loss, (chunk, *parameters), allow_unused=True)
                for place, gradient in zip(places, found, strict=True):
                    if gradient is not None:
                        place += gradient
        ctx.gradients = gradients
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradients = [gradient.mul_(upstream) for gradient in ctx.gradients]
        ctx.gradients = None  # changed in place here: a second pass must not find them
        return None, None, *gradients
