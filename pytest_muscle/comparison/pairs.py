"""The answers of two models to the same examples, column by column."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions.packed import Mask, Objects


@dataclass(frozen=True, eq=False, repr=False)
class AnswerPairs:
    """Two models' answers to the same n examples, aligned by id: what every measure reads.

    Attributes:
        ids: The examples' ids, in the order of the old answers.
        gold: The gold answers, objects of any kind, [n].
        old_answers: The old model's answers, [n].
        new_answers: The new model's answers, [n].
        old_correct: Whether the old model's answer counts as right, [n].
        new_correct: Whether the new model's answer counts as right, [n].
        old_scores: The metric's value for the old model's answers, in [0, 1], [n].
        new_scores: The metric's value for the new model's answers, in [0, 1], [n].
    """

    ids: tuple[Hashable, ...]
    gold: Objects
    old_answers: Objects
    new_answers: Objects
    old_correct: Mask
    new_correct: Mask
    old_scores: NDArray[np.float64]
    new_scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def negative(self) -> Mask:
        """Where the old answer is right and the new one wrong, [n]."""
        return self.old_correct & ~self.new_correct

    @cached_property
    def positive(self) -> Mask:
        """Where the old answer is wrong and the new one right, [n]."""
        return ~self.old_correct & self.new_correct

    @cached_property
    def same(self) -> Mask:
        """Where both models give the same answer, [n]; two NaN are the same answer."""
        return agree(self.old_answers, self.new_answers)

    @cached_property
    def inconsistent(self) -> Mask:
        """Where the new answer is wrong and another than the old one, negative flips included."""
        return self.negative | (~self.new_correct & ~self.same)


def count(mask: Mask) -> int:
    """Return how many elements are true."""
    return int(np.count_nonzero(mask))


def equal(first: Objects, second: Objects) -> Mask:
    """Return where `first == second`, element by element, [n].

    Raises:
        ComparisonError: If `==` of two elements is not true or false (arrays, for instance).
    """
    try:
        return np.equal(first, second)
    except Exception as error:  # whatever a foreign `__eq__` raises
        raise ComparisonError(
            f"two answers cannot be compared with ==: {error}",
            hint="turn answers that are arrays or tensors into lists, numbers or strings",
        ) from error


def agree(first: Objects, second: Objects) -> Mask:
    """Return where two elements are equal or both NaN, [n]."""
    same = equal(first, second)
    differ = np.flatnonzero(~same)
    for column in (first, second):
        differ = differ[~equal(column[differ], column[differ])]
    same[differ] = True
    return same
