"""The Trainer asks the objective that is named, whatever that asks of its teachers."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from pytest_muscle.models.memory import CHUNK_LOGITS
from pytest_muscle.models.parts import network_parts
from pytest_muscle.training.objectives import TokenLoss, find_objective
from pytest_muscle.training.teachers import Teacher
from pytest_muscle.training.trainer import STUDENT
from tests.training.student import (
    SEQUENCES,
    KeepGradient,
    T,
    batch,
    forward,
    gradient_of,
    make_trainer,
    naive_loss,
    new_teacher,
    teacher_of,
)


def test_the_objective_is_the_one_named(models, tmp_path):
    named = find_objective("old_everywhere")
    trainer = make_trainer(models, tmp_path, objective=named)
    models.new.train()

    loss = trainer.compute_loss(models.new, batch(SEQUENCES))

    wanted = []
    for tokens in SEQUENCES:
        p = torch.softmax(forward(models.old, tokens) / T, dim=-1)
        q = torch.softmax(forward(models.new, tokens) / T, dim=-1)
        wanted.append((p * (p / q).log()).sum(dim=-1))
    assert loss.item() == pytest.approx(torch.cat(wanted).mean().item(), rel=1e-5)


def test_an_objective_that_asks_for_both_teachers_everywhere(models, tmp_path, monkeypatch):
    """As objectives were written when both were there at once: tensors, and PyTorch's losses."""
    monkeypatch.setitem(CHUNK_LOGITS, "cpu", 7 * network_parts(models.new).vocabulary)

    def earlier(student, gold, teachers, temperature):  # noqa: ANN202
        masked = student.argmax(dim=-1) != gold
        teacher = torch.where(masked[:, None], teachers.old, teachers.new)
        assert teachers.old.shape == teachers.new.shape == student.shape
        loss = functional.kl_div(
            functional.log_softmax(student.float() / temperature, dim=-1),
            functional.log_softmax(teacher.float() / temperature, dim=-1),
            log_target=True,
            reduction="none",
        ).sum(dim=-1)
        return TokenLoss(loss=loss, masked=masked)

    kept = KeepGradient()
    naive_loss(models).backward()
    wanted = gradient_of(models.new)
    models.new.zero_grad()

    make_trainer(models, tmp_path, objective=earlier, callback=kept).train()

    for name, gradient in wanted.items():
        torch.testing.assert_close(kept.gradient[name], gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("old", "new"), [(300, 380), (380, 300), (300, 300)])
def test_teachers_with_other_numbers_of_logits(models, tmp_path, old, new):
    """Vocabularies are padded to different sizes: what all have in common is compared."""
    width = min(old, new)
    teachers = {"old": cut(teacher_of(models.old), old), "new": cut(new_teacher(models), new)}
    trainer = make_trainer(models, tmp_path, **teachers)
    models.new.train()

    loss = trainer.compute_loss(models.new, batch(SEQUENCES))

    wanted = []
    for tokens in SEQUENCES:
        z1 = forward(models.old, tokens)[:, :width]
        models.new.set_adapter("teacher")
        z2 = forward(models.new, tokens)[:, :width]
        models.new.set_adapter(STUDENT)
        z = forward(models.new, tokens)[:, :width]
        gold = torch.tensor(tokens[1:])
        p = torch.where((z.argmax(-1) != gold)[:, None], z1, z2).div(T).softmax(-1)
        wanted.append((p * (p.log() - z.div(T).log_softmax(-1))).sum(-1))
    assert loss.item() == pytest.approx(torch.cat(wanted).mean().item(), rel=1e-5)
    loss.backward()
    assert any(weights.grad.any() for weights in models.new.parameters() if weights.requires_grad)


def cut(teacher: Teacher, vocabulary: int) -> Teacher:
    """A teacher whose head ends earlier."""
    head = teacher.head
    return replace(
        teacher, head=Lambda(lambda states: head(states)[:, :vocabulary]), vocabulary=vocabulary
    )


class Lambda(nn.Module):
    """A module that is a function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.forward = function
