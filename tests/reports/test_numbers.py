"""Numbers as a person reads them."""

import math

from pytest_muscle.reports.numbers import percent, score


def test_percent():
    assert percent(97 / 2691) == "3.60 %"
    assert percent(-0.12, 0) == "−12 %"
    assert percent(0.5, 1, "") == "50.0"


def test_a_little_below_zero_is_zero():
    assert percent(-1e-9) == "0.00 %"
    assert score(-1e-9) == "0.0000"


def test_what_is_not_finite_is_undefined():
    assert percent(math.nan) == score(-math.inf) == "undefined"
