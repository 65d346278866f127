"""What an adapter learns: losses over tokens that know tensors and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pytest_muscle import extensions
from pytest_muscle.errors import ConfigurationError, TrainingError
from pytest_muscle.references import find

if TYPE_CHECKING:
    import torch


class Teachers(Protocol):
    """What the two teachers say at the positions of the student's logits.

    Ask for what is needed: each of these is computed when it is asked for.
    """

    @property
    def old(self) -> torch.Tensor:
        """Logits of the old task model, [tokens, vocab]."""

    @property
    def new(self) -> torch.Tensor:
        """Logits of the new task model, [tokens, vocab]."""

    def choose(self, old: torch.Tensor) -> torch.Tensor:
        """Return logits of the old task model where `old` [tokens] is true, else of the new."""


@dataclass(frozen=True)
class TeacherLogits:
    """Teachers whose logits are all there.

    Attributes:
        old: Logits of the old task model, [tokens, vocab].
        new: Logits of the new task model, [tokens, vocab].
    """

    old: torch.Tensor
    new: torch.Tensor

    def choose(self, old: torch.Tensor) -> torch.Tensor:
        """Return logits of the old task model where `old` [tokens] is true, else of the new."""
        import torch

        return torch.where(old[:, None], self.old, self.new)


@dataclass(frozen=True)
class TokenLoss:
    """Loss per token.

    Attributes:
        loss: [tokens], float32.
        masked: [tokens], bool: where the student learns from the old model; none without teachers.
    """

    loss: torch.Tensor
    masked: torch.Tensor | None = None


Objective = Callable[["torch.Tensor", "torch.Tensor", Teachers, float], TokenLoss]
"""(student logits [tokens, vocab], gold [tokens], teachers, temperature) -> TokenLoss."""


def muscle(
    student: torch.Tensor, gold: torch.Tensor, teachers: Teachers, temperature: float
) -> TokenLoss:
    """Learn from the old model where the student misses the gold token, else from the new one.

    m_i = 1[argmax z_i^C != y_i];
    loss_i = m_i KL(σ(z_i^1/T) ‖ σ(z_i^C/T)) + (1 − m_i) KL(σ(z_i^2/T) ‖ σ(z_i^C/T)), over the full
    vocabulary and without a factor T². The mask is the student's own and moves with it; no
    gradient flows through it.

    Args:
        student: Logits z^C of the student, [tokens, vocab].
        gold: Gold next tokens y, [tokens].
        teachers: Logits z^1 (old) and z^2 (new).
        temperature: T.

    Source: MUSCLE (Echterhoff et al. 2024, arXiv 2407.09435), section 4.
    """
    masked = student.detach().argmax(dim=-1) != gold
    return TokenLoss(distillation(student, teachers.choose(masked), temperature), masked)


def old_everywhere(
    student: torch.Tensor, gold: torch.Tensor, teachers: Teachers, temperature: float
) -> TokenLoss:
    """Learn from the old model at every token, right or wrong: an ablation of MUSCLE.

    Args:
        student: Logits of the student, [tokens, vocab].
        gold: Gold next tokens, [tokens].
        teachers: Logits of old and new.
        temperature: Temperature of the distillation.

    Source: MUSCLE, ablation on PIQA ("KL to v1").
    """
    import torch

    loss = distillation(student, teachers.old, temperature)
    return TokenLoss(loss, torch.ones_like(gold, dtype=torch.bool))


def distillation(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return KL(σ(teacher/T) ‖ σ(student/T)) per token, [tokens], in nats, in float32.

    No gradient flows to the teacher.

    Args:
        student: Logits, [tokens, vocab].
        teacher: Logits, [tokens, vocab].
        temperature: T.
    """
    from pytest_muscle.training.divergence import kl_divergence

    return kl_divergence(student, teacher, temperature)


def cross_entropy(student: torch.Tensor, gold: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the gold token, [tokens], in nats, in float32.

    Args:
        student: Logits, [tokens, vocab].
        gold: Gold next tokens, [tokens].
    """
    from torch.nn import functional

    return functional.cross_entropy(student.float(), gold, reduction="none")


OBJECTIVES: dict[str, Objective] = {"muscle": muscle, "old_everywhere": old_everywhere}


def find_objective(name: str, where: str | None = None) -> Objective:
    """Return an objective by its name, ours or a plugin's, or yours as `package.module:function`.

    Raises:
        ConfigurationError: If there is no such objective.
    """
    return find(
        name,
        OBJECTIVES,
        what="training strategy",
        error=ConfigurationError,
        where=where,
        added=extensions.current().objectives,
    )


def told_in_words(objective: Objective, name: str, where: str) -> Objective:
    """Return an objective whose mistakes are errors in words, not what the Trainer makes of them.

    Args:
        objective: The user's or a plugin's; of ours nothing is changed.
        name: What the user wrote.
        where: File and key that named it, for errors.
    """
    if objective in OBJECTIVES.values():
        return objective

    def call(
        student: torch.Tensor, gold: torch.Tensor, teachers: Teachers, temperature: float
    ) -> TokenLoss:
        from pytest_muscle.models.memory import is_out_of_memory

        hint = "it takes logits, gold tokens, teachers and temperature, and returns a TokenLoss"
        try:
            result = objective(student, gold, teachers, temperature)
        except Exception as error:
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise
            problem = f"the training strategy {name!r} fails: {type(error).__name__}: {error}"
            raise TrainingError(problem, where=where, hint=hint) from error
        if not isinstance(result, TokenLoss) or result.loss.shape != gold.shape:
            problem = f"the training strategy {name!r} returns no loss for each token"
            raise TrainingError(problem, where=where, hint=hint)
        return result

    return call
