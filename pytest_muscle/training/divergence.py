"""The Kullback-Leibler divergence of two models' next tokens, without copies of their logits."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

BLOCK = 2**20
"""Logits handled at once: few enough to stay in a processor's cache, 4 MiB in float32."""


def kl_divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return KL(σ(teacher/T) ‖ σ(student/T)) per token, [tokens], in nats, in float32.

    The gradient with respect to the student, (σ(student/T) - σ(teacher/T)) / T, is made in the
    same pass; it is the one tensor of the logits' size that is kept. None flows to the teacher.

    Args:
        student: Logits, [tokens, vocab].
        teacher: Logits, [tokens, vocab].
        temperature: T.
    """
    if not torch.is_grad_enabled():
        student = student.detach()  # within a Function it would still seem to want a gradient
    function: Any = _Divergence
    result: torch.Tensor = function.apply(student, teacher, temperature)
    return result


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, student: torch.Tensor, teacher: torch.Tensor, temperature: float
    ) -> torch.Tensor:
        tokens, vocabulary = student.shape
        loss = torch.empty(tokens, dtype=torch.float32, device=student.device)
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(student) if wanted else None
        size = tokens if student.device.type == "cuda" else max(1, BLOCK // vocabulary)
        for first in range(0, tokens, size):
            here = slice(first, first + size)
            ours = torch.log_softmax(student[here].float() / temperature, dim=-1)
            theirs = torch.log_softmax(teacher[here].float() / temperature, dim=-1)
            target = theirs.exp()
            loss[here] = torch.linalg.vecdot(target, theirs.sub_(ours))
            if gradient is not None:
                gradient[here] = ours.exp_().sub_(target).div_(temperature)
        ctx.gradient = gradient
        ctx.size = size
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        gradient: torch.Tensor = ctx.gradient
        ctx.gradient = None  # changed in place here: a second pass must not find it
        # Block by block, as a product of two floating-point types copies what it multiplies.
        blocks = zip(torch.split(gradient, ctx.size), torch.split(upstream, ctx.size), strict=True)
        for block, factor in blocks:
            block.mul_(factor[:, None])
        return gradient, None, None
