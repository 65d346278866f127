"""What is measured of two models' answers: one small function each, found by its name.

A measure takes `AnswerPairs` and returns a float; rates are fractions 0-1, and a ratio whose
denominator is zero is NaN. Yours is named as `"package.module:function"`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from pytest_muscle.comparison import intervals
from pytest_muscle.comparison.pairs import AnswerPairs, count
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions.prediction import ROUNDING
from pytest_muscle.references import find

Measure: TypeAlias = Callable[[AnswerPairs], float]


def old_accuracy(pairs: AnswerPairs) -> float:
    """Share of examples that the old model answers correctly; of graded scores their mean."""
    if pairs.graded:
        return float(np.mean(pairs.old_scores))
    return count(pairs.old_correct) / len(pairs)


def new_accuracy(pairs: AnswerPairs) -> float:
    """Share of examples that the new model answers correctly; of graded scores their mean."""
    if pairs.graded:
        return float(np.mean(pairs.new_scores))
    return count(pairs.new_correct) / len(pairs)


def accuracy_drop(pairs: AnswerPairs) -> float:
    """Old accuracy less new accuracy; negative where the new model gains.

    Of right and wrong answers that is NFR - PFR.
    """
    if pairs.graded:
        return float(np.mean(pairs.old_scores - pairs.new_scores))
    return (count(pairs.negative) - count(pairs.positive)) / len(pairs)


def negative_flip_rate(pairs: AnswerPairs) -> float:
    """Share of all n examples that the old model has right and the new one wrong (NFR).

    Of graded scores: whose score falls by more than the tolerance.
    """
    return count(pairs.negative) / len(pairs)


def positive_flip_rate(pairs: AnswerPairs) -> float:
    """Share of all n examples that the old model has wrong and the new one right (PFR).

    Of graded scores: whose score rises by more than the tolerance.
    """
    return count(pairs.positive) / len(pairs)


def inconsistency_rate(pairs: AnswerPairs) -> float:
    """Share of examples where the new answer is wrong and differs from the old answer.

    All negative flips, and those where both are wrong in different ways: NFR_mc of Echterhoff et
    al. 2024 (arXiv 2407.09435).
    """
    return count(pairs.inconsistent) / len(pairs)


def relative_negative_flip_rate(pairs: AnswerPairs) -> float:
    """NFR as a multiple of what two independent models of these accuracies would show.

    NFR / ((1 - new accuracy) * old accuracy), Yan et al. 2021 (arXiv 2011.09161); NaN where the
    old model has nothing right or the new one nothing wrong.
    """
    pairs.require_right_or_wrong("the relative negative flip rate")
    expected = count(pairs.old_correct) * count(~pairs.new_correct)
    return count(pairs.negative) * len(pairs) / expected if expected else math.nan


def trust_compatibility(pairs: AnswerPairs) -> float:
    """Of the examples the old model has right, the share that the new one has right too (BTC).

    Backward trust compatibility, Bansal et al. 2019; NaN where the old model has nothing right.
    """
    pairs.require_right_or_wrong("backward trust compatibility")
    right = count(pairs.old_correct)
    return (right - count(pairs.negative)) / right if right else math.nan


def mean_gain(pairs: AnswerPairs) -> float:
    """Mean rise of the score over the examples where it rises; 0.0 where there is none.

    The m_g of Echterhoff et al. 2024 (arXiv 2407.09435), over rises of more than the tolerance;
    where several answers were drawn, of more than their noise too: over positive flips.
    """
    difference = pairs.new_scores - pairs.old_scores
    risen = pairs.positive if pairs.graded else difference > pairs.tolerance + ROUNDING
    gains = difference[risen]
    return float(np.mean(gains)) if gains.size else 0.0


def mean_regress(pairs: AnswerPairs) -> float:
    """Mean fall of the score over the examples where it falls; 0.0 where there is none.

    The m_r of Echterhoff et al. 2024 (arXiv 2407.09435), over falls of more than the tolerance;
    where several answers were drawn, of more than their noise too: over negative flips.
    """
    difference = pairs.old_scores - pairs.new_scores
    fallen = pairs.negative if pairs.graded else difference > pairs.tolerance + ROUNDING
    losses = difference[fallen]
    return float(np.mean(losses)) if losses.size else 0.0


def mcnemar_p(pairs: AnswerPairs) -> float:
    """Exact two-sided McNemar test: the p-value of negative against positive flips.

    Of graded scores it is the sign test.
    """
    return intervals.mcnemar(count(pairs.negative), count(pairs.positive))


MEASURES: dict[str, Measure] = {
    measure.__name__: measure
    for measure in (
        old_accuracy,
        new_accuracy,
        accuracy_drop,
        negative_flip_rate,
        positive_flip_rate,
        inconsistency_rate,
        relative_negative_flip_rate,
        trust_compatibility,
        mean_gain,
        mean_regress,
        mcnemar_p,
    )
}


def find_measure(name: str) -> Measure:
    """Return a measure by its name, or import `"package.module:function"`.

    Raises:
        ComparisonError: If there is none of that name or it cannot be imported.
    """
    return find(name, MEASURES, what="measure", error=ComparisonError)
