"""Old against new: flips, measures, intervals. Knows answers, not models."""

from pytest_muscle.comparison.flips import Flip
from pytest_muscle.comparison.measures import MEASURES, find_measure
from pytest_muscle.comparison.pairs import AnswerPairs
from pytest_muscle.comparison.report import FlipReport, compare
from pytest_muscle.comparison.slices import SliceFlips, slice_flips

__all__ = [
    "MEASURES",
    "AnswerPairs",
    "Flip",
    "FlipReport",
    "SliceFlips",
    "compare",
    "find_measure",
    "slice_flips",
]
