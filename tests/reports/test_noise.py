"""The noise floor's line under the table."""

import dataclasses
import json

import numpy as np
import pytest

from pytest_muscle.comparison import compare
from pytest_muscle.comparison.noise import noise_floor
from pytest_muscle.reports.noise import NoiseSummary, describe_noise, summarise_noise
from pytest_muscle.reports.terminal import TaskSummary, render_summary, summarise

NOISE = NoiseSummary(0.0126, 0.009, 0.017, 3, "new", "seed")
GOLD = [1] * 20


def test_the_line():
    assert describe_noise("cities", NOISE, nfr=0.0465, compat_nfr=None) == (
        "cities: noise floor 1.26 % (0.90–1.70), 3 builds of the new version by seed; "
        "NFR old→new is 3.39 points above it"
    )


@pytest.mark.parametrize(
    ("nfr", "compat_nfr", "end"),
    [
        (
            0.0465,
            0.0106,
            "; NFR old→new is 3.39 points above it, old→compat is 0.20 points below it",
        ),
        (None, 0.0126, "; NFR old→compat is 0.00 points above it"),
        (None, None, "by seed"),
    ],
)
def test_what_is_known_is_held_against_the_floor(nfr, compat_nfr, end):
    assert describe_noise("t", NOISE, nfr=nfr, compat_nfr=compat_nfr).endswith(end)


def test_a_floor_of_builds_from_anywhere():
    summary = summarise_noise(noise_floor(np.array([[True, False] * 10, [True, True] * 10])))
    assert (summary.rate, summary.builds) == (0.25, 2)
    said = describe_noise("t", summary, nfr=None, compat_nfr=None)
    assert said.startswith("t: noise floor 25.00 % (")
    assert said.endswith("), 2 builds")


def test_a_floor_travels_with_the_summary_and_is_shown_under_the_table():
    plain = summarise("t", compare(GOLD, [0] * 4 + [1] * 16, gold=GOLD))
    with_floor = dataclasses.replace(plain, noise=NOISE)

    there = TaskSummary.from_json(json.loads(json.dumps(with_floor.to_json())))

    assert there == with_floor
    assert isinstance(there.noise, NoiseSummary)
    assert plain.merge(there) == with_floor
    lines = render_summary([plain, there], 80).splitlines()
    assert lines[-1].startswith("t: noise floor 1.26 %")
    assert lines[-1].endswith("is 18.74 points above it")
    assert "noise" not in render_summary([plain], 80)
