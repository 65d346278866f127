"""The answers of two models to the same examples, column by column."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions.packed import Mask, Objects, Positions
from pytest_muscle.predictions.prediction import ROUNDING, SCORE_ALL
from pytest_muscle.predictions.stop import ASK_ALL, Stop


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
        old_scores: The metric's value for the old model's answers, [n].
        new_scores: The metric's value for the new model's answers, [n].
        unasked: Where the new model was not asked, [n]; none if it was asked everything.
        graded: Whether scores are marks between right and wrong: a flip is a change of the score.
        tolerance: Of graded scores: a change of at most this is no flip.
        old_draws: The metric's value for each of several draws, [n, k]; none for single answers.
        new_draws: The same for the new model, [n, k'].
        stop: Where the new model was stopped before it was asked all that can flip, or none.
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
    graded: bool = False
    tolerance: float = 0.0
    old_draws: NDArray[np.float64] | None = None
    new_draws: NDArray[np.float64] | None = None
    stop: Stop | None = None

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

    def require_flips(self, what: str = "this measure", *, where: str | None = None) -> None:
        """Raise if it is not known which examples flip, because the new model was stopped early.

        Args:
            what: What needs to know them all, for the error.
            where: Name of the task, for the error.

        Raises:
            ComparisonError: It says how many examples were asked.
        """

    def require_right_or_wrong(self, what: str) -> None:
        """Raise if scores are graded, where no answer is right or wrong.

        Args:
            what: What needs right and wrong answers, for the error.

        Raises:
            ComparisonError: It says what to use instead.
        """
        __tracebackhide__ = True
        if self.graded:
            raise ComparisonError(
                f"{what} is known of right and wrong answers, and these have graded scores",
                hint="negative_flip_rate, accuracy_drop (of the mean score) and mean_regress are "
                "known of graded scores",
            )

    def new_answers_at(self, positions: Positions) -> Objects:
        """Return the new model's answers at some positions that it was asked at."""
        return self.new_answers[positions]

    def new_scores_at(self, positions: Positions) -> NDArray[np.float64]:
        """Return the new model's scores at some positions that it was asked at."""
        return self.new_scores[positions]

    @cached_property
    def _flips(self) -> tuple[Mask, Mask]:
        if self.graded:
            return graded_flips(
                (self.old_scores, self.old_draws),
                (self.new_scores, self.new_draws),
                self.tolerance,
            )
        return self.old_correct & ~self.new_correct, ~self.old_correct & self.new_correct

    @property
    def negative(self) -> Mask:
        """Where the old answer is right and the new one wrong, [n]; see `graded_flips`."""
        return self._flips[0]

    @property
    def positive(self) -> Mask:
        """Where the old answer is wrong and the new one right, [n]; see `graded_flips`."""
        return self._flips[1]

    @property
    def seen_negative(self) -> Mask:
        """Negative flips among the examples that the new model was asked, [n]."""
        return self.negative

    @cached_property
    def same(self) -> Mask:
        """Where both models give the same answer, [n]; two NaN are the same answer."""
        return agree(self.old_answers, self.new_answers)

    @cached_property
    def inconsistent(self) -> Mask:
        """Where the new answer is wrong and another than the old one, negative flips included.

        Raises:
            ComparisonError: If scores are graded.
        """
        self.require_right_or_wrong("the inconsistency rate")
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
        new_scores: Their scores, [n]; anything where it was not asked.
        negative: Where the old answer is right and the new one wrong, [n].
        unasked: Where the new model was not asked, [n].
        graded: Whether scores are graded.
        tolerance: Of graded scores.
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
        new_scores: NDArray[np.float64],
        negative: Mask,
        unasked: Mask,
        graded: bool = False,
        tolerance: float = 0.0,
    ) -> None:
        vars(self).update(
            ids=ids,
            gold=gold,
            old_answers=old_answers,
            old_correct=old_correct,
            old_scores=old_scores,
            unasked=unasked,
            graded=graded,
            tolerance=tolerance,
            _negative=negative,
            _asked_answers=new_answers,
            _asked_scores=new_scores,
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

    def new_scores_at(self, positions: Positions) -> NDArray[np.float64]:
        """Return the new model's scores at some positions that it was asked at."""
        scores: NDArray[np.float64] = self._asked_scores
        return scores[positions]

    @property
    def negative(self) -> Mask:
        """Where the old answer is right and the new one wrong, [n]."""
        negative: Mask = self._negative
        return negative

    @property
    def positive(self) -> Mask:
        """Refuse positive flips, which are among the examples that were not asked.

        Raises:
            ComparisonError: Always.
        """
        self.require_all()
        raise AssertionError


class StoppedPairs(NeededPairs):
    """Pairs whose new model was stopped as soon as a gate was decided.

    Known are the flips among the examples that were asked, `seen_negative`, and the decision. All
    rates of flips need the others and raise `ComparisonError`, your own measures included.

    Args:
        stop: Where it was stopped.
        columns: The arguments of `NeededPairs`; `negative` are those that were seen.
    """

    def __init__(self, *, stop: Stop, **columns: Any) -> None:
        super().__init__(**columns)
        vars(self).update(stop=stop)

    def require_all(
        self, what: str = "this measure", *, where: str | None = None, hint: str = ASK_ALL
    ) -> None:
        """Raise: other examples have not been asked.

        Raises:
            ComparisonError: Always; the hint is that of `require_flips`.
        """
        __tracebackhide__ = True
        self.require_flips(what, where=where)

    def require_flips(self, what: str = "this measure", *, where: str | None = None) -> None:
        """Raise: other examples may flip too.

        Raises:
            ComparisonError: Always.
        """
        __tracebackhide__ = True
        stop: Stop = vars(self)["stop"]
        raise ComparisonError(
            f"{what} is not known: the gate stopped early, {stop.describe()}",
            where=where,
            hint=f"{ASK_ALL} to know it; assert_gate judges by what was decided",
        )

    @property
    def negative(self) -> Mask:
        """Refuse negative flips, of which those that were not asked are unknown.

        Raises:
            ComparisonError: Always.
        """
        self.require_flips("which examples flip")
        raise AssertionError

    @property
    def seen_negative(self) -> Mask:
        """Negative flips among the examples that the new model was asked, [n]."""
        seen: Mask = self._negative
        return seen


Marks: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64] | None]
"""The scores of one model's answers, [n], and where several were drawn those of each, [n, k]."""


def graded_flips(old: Marks, new: Marks, tolerance: float) -> tuple[Mask, Mask]:
    """Return where graded scores fall and where they rise, [n] each.

    By more than the tolerance; where several answers were drawn, by more than their own noise too
    (`comparison/draws.py`).

    Args:
        old: The old model's scores.
        new: The new model's.
        tolerance: Largest change that is no flip.
    """
    change = new[0] - old[0]
    fallen, risen = change < -tolerance - ROUNDING, change > tolerance + ROUNDING
    if old[1] is None or new[1] is None:
        return fallen, risen
    from pytest_muscle.comparison.draws import draw_flips

    worse, better = draw_flips(old[1], new[1])
    return fallen & worse, risen & better


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
