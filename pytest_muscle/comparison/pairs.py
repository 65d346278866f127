"""The answers of two models to the same examples, column by column."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions.packed import Mask, Objects, Positions
from pytest_muscle.predictions.prediction import SCORE_ALL


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
        unasked: Where the new model was not asked, [n]; none if it was asked everything.
    """

    ids: tuple[Hashable, ...]
    gold: Objects
    old_answers: Objects
    new_answers: Objects
    old_correct: Mask
    new_correct: Mask
    old_scores: NDArray[np.float64]
    new_scores: NDArray[np.float64]
    unasked: Mask | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def require_all(
        self, what: str = "this measure", *, where: str | None = None, hint: str = SCORE_ALL
    ) -> None:
        """Raise if the new model was not asked all examples.

        Args:
            what: What needs all its answers, for the error.
            where: Name of the task, for the error.
            hint: What to do about it.

        Raises:
            ComparisonError: It says how many were not asked.
        """
        __tracebackhide__ = True
        if self.unasked is not None:
            raise ComparisonError(
                f"{what} needs the new model's answers to all {len(self)} examples, and it was not "
                f"asked {count(self.unasked)} of them, which the old model has wrong",
                where=where,
                hint=hint,
            )

    def new_answers_at(self, positions: Positions) -> Objects:
        """Return the new model's answers at some positions that it was asked at."""
        return self.new_answers[positions]

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


class NeededPairs(AnswerPairs):
    """Pairs whose new model was asked little more than what the old model has right.

    No other example can be a negative flip, so these are known for all n examples. What needs the
    new model's other answers raises `ComparisonError`, your own measures included.

    Args:
        ids: The examples' ids, in the order of the old answers.
        gold: The gold answers, [n].
        old_answers: The old model's answers, [n].
        old_correct: Whether the old model's answer counts as right, [n].
        old_scores: The metric's value for the old model's answers, [n].
        new_answers: The new model's answers, [n]; anything where it was not asked.
        negative: Where the old answer is right and the new one wrong, [n].
        unasked: Where the new model was not asked, [n].
    """

    def __init__(
        self,
        *,
        ids: tuple[Hashable, ...],
        gold: Objects,
        old_answers: Objects,
        old_correct: Mask,
        old_scores: NDArray[np.float64],
        new_answers: Objects,
        negative: Mask,
        unasked: Mask,
    ) -> None:
        vars(self).update(
            ids=ids,
            gold=gold,
            old_answers=old_answers,
            old_correct=old_correct,
            old_scores=old_scores,
            unasked=unasked,
            negative=negative,
            _asked_answers=new_answers,
        )

    def __getattr__(self, name: str) -> Any:
        """Refuse `new_answers`, `new_correct` and `new_scores`, which are not there."""
        if name.startswith("new_"):
            self.require_all()
        raise AttributeError(name)

    def new_answers_at(self, positions: Positions) -> Objects:
        """Return the new model's answers at some positions that it was asked at."""
        answers: Objects = self._asked_answers
        return answers[positions]


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
    if same.all():  # as gold answers are
        return same
    return same | ~(same | equal(first, first) | equal(second, second))
