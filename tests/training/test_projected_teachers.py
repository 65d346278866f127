"""Logits of both teachers, or of one of them, at some places."""

import pytest
import torch
from torch import nn

from pytest_muscle.training.teachers import ProjectedTeachers, Teacher


@pytest.fixture
def two() -> tuple[Teacher, Teacher]:
    """An old and a new teacher of 20 tokens, with different widths and vocabularies."""
    torch.manual_seed(0)
    made = []
    for width, vocabulary in ((4, 30), (6, 33)):
        head = nn.Linear(width, vocabulary)
        states = torch.randn(20, width)
        made.append(Teacher(states, head, torch.device("cpu"), vocabulary))
    old, new = made
    return old, new


PLACES = torch.tensor([3, 17, 0, 3, 9])


def test_both_teachers_at_some_places(two):
    old, new = two
    projected = ProjectedTeachers(old, new, PLACES, 30)

    torch.testing.assert_close(projected.old, old.head(old.states[PLACES]))
    torch.testing.assert_close(projected.new, new.head(new.states[PLACES])[:, :30])
    assert not projected.old.requires_grad
    assert not projected.new.requires_grad


@pytest.mark.parametrize("mask", [0b00000, 0b11111, 0b10110, 0b00001])
def test_one_of_the_teachers_at_each_place(two, mask):
    old, new = two
    from_old = torch.tensor([bool(mask >> n & 1) for n in range(5)])
    whole = ProjectedTeachers(old, new, PLACES, 30)

    chosen = ProjectedTeachers(old, new, PLACES, 30).choose(from_old)

    wanted = torch.where(from_old[:, None], whole.old, whole.new)
    torch.testing.assert_close(chosen, wanted)
    assert not chosen.requires_grad


def test_what_nobody_asks_for_is_not_projected(two):
    old, new = two
    rows = {"old": [], "new": []}
    for name, teacher in (("old", old), ("new", new)):
        teacher.head.register_forward_hook(
            lambda _, inputs, __, name=name: rows[name].append(len(inputs[0]))
        )

    ProjectedTeachers(old, new, PLACES, 30).choose(torch.tensor([True, False, True, True, False]))
    assert rows == {"old": [3], "new": [2]}
    projected = ProjectedTeachers(old, new, PLACES, 30)
    assert projected.new is projected.new
    assert rows == {"old": [3], "new": [2, 5]}
