"""Rough amounts in words."""

from __future__ import annotations

import pytest

from pytest_muscle.reports.amounts import amount, duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "under 5 s"),
        (7.4, "7 s"),
        (44, "40 s"),
        (89, "90 s"),
        (95, "1.6 min"),
        (200, "3 min"),
        (5000, "80 min"),
        (6000, "1.7 h"),
        (40000, "10 h"),
        (1e6, "10 days"),
    ],
)
def test_durations_have_no_more_digits_than_are_known(seconds, said):
    assert duration(seconds) == said


def test_amounts_have_two_digits_that_count():
    assert amount(0) == "0"
    assert amount(847) == "850"
    assert amount(1_234_567) == "1.2 M"
    assert amount(134_515_008, digits=3) == "135 M"
    assert amount(1.7e9, "B") == "1.7 GB"
