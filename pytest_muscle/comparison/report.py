"""Which examples an update breaks and which it mends, and how many that is."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_muscle.comparison import intervals, measures
from pytest_muscle.comparison.alignment import align_mappings, align_sequences, align_tables
from pytest_muscle.comparison.flips import Flip, list_flips
from pytest_muscle.comparison.pairs import AnswerPairs, count
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions import Predictions
from pytest_muscle.predictions.packed import Mask, Positions

if TYPE_CHECKING:
    from pytest_muscle.predictions.stop import Stop
    from pytest_muscle.tasks.example import Example


@dataclass(frozen=True, eq=False, repr=False)
class FlipReport:
    """An old and a new model compared on the same n examples.

    Rates are fractions 0-1 of all n examples; a ratio whose denominator is zero is NaN. Each
    measure is described where it is defined, in `comparison/measures.py`.

    Attributes:
        pairs: The aligned answers that everything is computed from.
        task: Name of the task, where it is known.
        old: The old table, where tables were compared.
        given: The new table as it was given, where tables were compared.
        order: The position in `given` of each row of `old` that was asked; none if the order is
            the same.
    """

    pairs: AnswerPairs
    task: str | None = None
    old: Predictions | None = None
    given: Predictions | None = None
    order: Positions | None = None

    def __repr__(self) -> str:
        name = f"task={self.task!r}, " if self.task else ""
        start = f"FlipReport({name}n={self.n}, old_accuracy={self.old_accuracy:.4f}, "
        flips = f"negative_flips={count(self.pairs.seen_negative)}"
        if self.stop is not None:
            stop = f"{self.stop.decision!r} after {self.stop.asked} of {self.stop.can_flip}"
            return f"{start}negative_flips>={self.stop.flips}, stopped: {stop})"
        if self.pairs.unasked is not None:
            return f"{start}{flips}, unasked={count(self.pairs.unasked)})"
        return (
            f"{start}new_accuracy={self.new_accuracy:.4f}, {flips}, "
            f"positive_flips={count(self.pairs.positive)})"
        )

    @cached_property
    def new(self) -> Predictions | None:
        """The new table in the order of `old`, where tables were compared."""
        if self.given is None or self.order is None:
            return self.given
        return replace(self.given, rows=self.given.columns.take(self.order))

    @property
    def stop(self) -> Stop | None:
        """Where the new model was stopped, with [gate] sequential = true, or none.

        Flips and their rates raise `ComparisonError` then; the gate's decision is there.
        """
        return self.pairs.stop

    @property
    def unasked(self) -> tuple[Hashable, ...]:
        """Ids of the examples that the new model was not asked.

        With [run] score = "needed" the old model has them wrong, so none is a negative flip; with
        [gate] sequential = true others are among them. Measures that need the new model's answers
        to them raise `ComparisonError`.
        """
        return () if self.pairs.unasked is None else self._ids(self.pairs.unasked)

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.pairs)

    @property
    def negative_flips(self) -> tuple[Hashable, ...]:
        """Ids of the examples that the old model has right and the new one wrong, in order."""
        return self._ids(self.pairs.negative)

    @property
    def positive_flips(self) -> tuple[Hashable, ...]:
        """Ids of the examples that the old model has wrong and the new one right, in order."""
        return self._ids(self.pairs.positive)

    @property
    def old_accuracy(self) -> float:
        """Share of examples that the old model answers correctly; of graded scores their mean."""
        return measures.old_accuracy(self.pairs)

    @property
    def new_accuracy(self) -> float:
        """Share of examples that the new model answers correctly; of graded scores their mean."""
        return measures.new_accuracy(self.pairs)

    @property
    def accuracy_drop(self) -> float:
        """Old accuracy less new accuracy."""
        return measures.accuracy_drop(self.pairs)

    @property
    def negative_flip_rate(self) -> float:
        """Negative flips as a share of all n examples (NFR)."""
        return measures.negative_flip_rate(self.pairs)

    @property
    def positive_flip_rate(self) -> float:
        """Positive flips as a share of all n examples (PFR)."""
        return measures.positive_flip_rate(self.pairs)

    @property
    def inconsistency_rate(self) -> float:
        """Share of examples where the new answer is wrong and differs from the old one."""
        return measures.inconsistency_rate(self.pairs)

    @property
    def relative_negative_flip_rate(self) -> float:
        """NFR as a multiple of that of independent models (Yan et al. 2021), or NaN."""
        return measures.relative_negative_flip_rate(self.pairs)

    @property
    def trust_compatibility(self) -> float:
        """Of what the old model has right, the share the new one has right too, or NaN."""
        return measures.trust_compatibility(self.pairs)

    @property
    def mean_gain(self) -> float:
        """Mean rise of the score where it rises."""
        return measures.mean_gain(self.pairs)

    @property
    def mean_regress(self) -> float:
        """Mean fall of the score where it falls."""
        return measures.mean_regress(self.pairs)

    @property
    def mcnemar_p(self) -> float:
        """p-value of the exact two-sided McNemar test of negative against positive flips."""
        return measures.mcnemar_p(self.pairs)

    @property
    def expected_false_flips(self) -> float | None:
        """Negative flips that drawing again would show, were both models the same.

        What `comparison.draws.expected_false_flips` gives; none where answers are not drawn.
        """
        from pytest_muscle.comparison.draws import expected_false_flips

        old, new = self.pairs.old_draws, self.pairs.new_draws
        return None if old is None or new is None else expected_false_flips(old, new)

    def measure(self, name: str) -> float:
        """Return a measure by its name in `MEASURES` or as `"package.module:function"`.

        Raises:
            ComparisonError: If there is no such measure.
        """
        return measures.find_measure(name)(self.pairs)

    def negative_flip_interval(
        self, confidence: float = 0.95, method: str = "exact"
    ) -> tuple[float, float]:
        """Return the two-sided interval of the negative flip rate.

        Args:
            confidence: Of the interval.
            method: "exact" (Clopper-Pearson) or "wilson".

        Raises:
            ValueError: If `confidence` is not strictly between 0 and 1 or the method is unknown.
        """
        return intervals.rate_interval(count(self.pairs.negative), self.n, confidence, method)

    def negative_flip_upper_bound(self, confidence: float = 0.95, method: str = "exact") -> float:
        """Return the one-sided upper confidence bound of the negative flip rate.

        Args:
            confidence: Of the bound.
            method: "exact" (Clopper-Pearson) or "wilson".

        Raises:
            ValueError: If `confidence` is not strictly between 0 and 1 or the method is unknown.
        """
        return intervals.upper_bound(count(self.pairs.negative), self.n, confidence, method)

    def mean_regress_upper_bound(self, confidence: float = 0.95) -> float:
        """Return the one-sided upper confidence bound of the mean regress, by paired bootstrap.

        Raises:
            ValueError: If `confidence` is not strictly between 0 and 1.
        """
        from pytest_muscle.comparison.bootstrap import mean_regress_upper_bound

        pairs, new = self.pairs, self.pairs.new_scores
        if pairs.graded:  # falls within the noise of several draws are none
            new = np.where(pairs.negative, new, pairs.old_scores)
        return mean_regress_upper_bound(
            pairs.old_scores, new, confidence, tolerance=pairs.tolerance
        )

    def accuracy_drop_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the two-sided interval of the accuracy drop.

        Of right and wrong answers by Bonett & Price (2012), of graded scores by paired bootstrap.

        Raises:
            ValueError: If `confidence` is not strictly between 0 and 1.
        """
        if not self.pairs.graded:
            lost, gained = count(self.pairs.negative), count(self.pairs.positive)
            return intervals.bonett_price(lost, gained, self.n, confidence)
        from pytest_muscle.comparison.bootstrap import mean_interval, scale

        old, new = self.pairs.old_scores, self.pairs.new_scores
        return mean_interval(old - new, confidence, bounds=(-scale(old, new), scale(old, new)))

    def accuracy_drop_upper_bound(self, confidence: float = 0.95) -> float:
        """Return the one-sided upper confidence bound of the accuracy drop.

        Of right and wrong answers by Bonett & Price (2012), of graded scores by paired bootstrap.

        Raises:
            ValueError: If `confidence` is not strictly between 0 and 1.
        """
        if self.pairs.graded:
            from pytest_muscle.comparison.bootstrap import mean_upper_bound, scale

            old, new = self.pairs.old_scores, self.pairs.new_scores
            return mean_upper_bound(old - new, confidence, largest=scale(old, new))
        lost, gained = count(self.pairs.negative), count(self.pairs.positive)
        return intervals.bonett_price_upper(lost, gained, self.n, confidence)

    def list_negative_flips(self, limit: int | None = None) -> tuple[Flip, ...]:
        """Return the negative flips with their answers, the first `limit` of them.

        They are in order; where scores are graded, those that fall deepest come first.

        Raises:
            ComparisonError: If not all of them are known.
        """
        self.pairs.require_flips("the list of negative flips", where=self.task)
        return list_flips(self, limit)

    def list_seen_flips(self, limit: int | None = None) -> tuple[Flip, ...]:
        """Return the negative flips among the examples that were asked, the first `limit`."""
        return list_flips(self, limit)

    @property
    def slice_columns(self) -> tuple[str, ...]:
        """Columns of the data that the tables' examples are grouped by."""
        return next(
            (table.slices for table in (self.given, self.old) if table and table.slices), ()
        )

    @property
    def examples(self) -> Mapping[Hashable, Example]:
        """The examples by id, where they are at hand, else none of them."""
        for table in (self.given, self.old):
            if table is not None and table.examples is not None:
                return table.examples
        return {}

    def _ids(self, mask: Mask) -> tuple[Hashable, ...]:
        return tuple(self.pairs.ids[position] for position in np.flatnonzero(mask))


def compare(
    old: Predictions | Mapping[Any, Any] | Iterable[Any],
    new: Predictions | Mapping[Any, Any] | Iterable[Any],
    *,
    gold: Mapping[Any, Any] | Iterable[Any] | None = None,
    ids: Iterable[Hashable] | None = None,
) -> FlipReport:
    """Compare two models' answers to the same examples.

    Args:
        old: The old model's answers: `Predictions`, a mapping id -> answer, or a sequence.
        new: The new model's answers, in the same form; tables and mappings are aligned by id.
        gold: The gold answers, in the form of the answers; left out with `Predictions`, which
            hold their own.
        ids: With sequences, one id for each position; the positions themselves by default.

    Raises:
        ComparisonError: If the two are of different kinds or do not hold the same examples with
            the same gold answers. Ids are never intersected silently.
    """
    kinds = {"old": _kind(old), "new": _kind(new)}
    if gold is not None:
        kinds["gold"] = _kind(gold)
    if isinstance(old, Predictions) and isinstance(new, Predictions):
        if gold is not None or ids is not None:
            given = "gold" if gold is not None else "ids"
            raise ComparisonError(
                f"{given}= was given although Predictions hold their own",
                hint=f"leave {given}= out",
            )
        pairs, order = align_tables(old, new)
        return FlipReport(pairs, task=old.task or new.task, old=old, given=new, order=order)
    if gold is None and kinds["old"] == kinds["new"]:
        raise ComparisonError(
            "answers without gold answers cannot be judged",
            hint="give gold=…, or Predictions (Predictions.from_lists(ids, answers, gold))",
        )
    if len(set(kinds.values())) > 1:
        raise ComparisonError(
            "mixed kinds: " + ", ".join(f"{name} is {kind}" for name, kind in kinds.items()),
            hint="give all of them as sequences, as mappings, or old and new as Predictions",
        )
    if isinstance(old, Mapping) and isinstance(new, Mapping) and isinstance(gold, Mapping):
        if ids is not None:
            raise ComparisonError(
                "ids= was given although a mapping's keys are the ids", hint="leave ids= out"
            )
        return FlipReport(align_mappings(old, new, gold))
    return FlipReport(align_sequences(old, new, gold, ids))


def _kind(answers: object) -> str:
    if isinstance(answers, Predictions):
        return "Predictions"
    return "a mapping" if isinstance(answers, Mapping) else "a sequence"
