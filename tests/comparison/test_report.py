"""The report of a comparison."""

import dataclasses
import random
import subprocess
import sys
import time

import pytest
from scipy.stats import beta

from pytest_muscle.comparison import Flip, compare
from pytest_muscle.predictions import Predictions
from pytest_muscle.tasks.example import Example


def test_intervals_of_a_report_count_its_flips():
    report = compare([1] * 100, [0] * 4 + [1] * 96, gold=[1] * 100)
    low, high = beta.ppf(0.025, 4, 97), beta.ppf(0.975, 5, 96)
    assert report.negative_flip_interval() == pytest.approx((low, high))
    assert report.negative_flip_upper_bound(0.9) == pytest.approx(beta.ppf(0.9, 5, 96))
    # (4 + 1) / 102 - 1 / 102 with z = 1.959964 at 97.5 %, worked on paper.
    error = ((6 / 102 - (4 / 102) ** 2) / 102) ** 0.5
    assert report.accuracy_drop_upper_bound(0.975) == pytest.approx(4 / 102 + 1.959964 * error)


def test_flips_are_listed_with_their_answers_and_examples():
    gold = [0, 1, 0]
    new = Predictions.from_lists("abc", [1, 0, 0], gold)
    example = Example(id="b", prompt="Q", options=("yes", "no"), gold=1)
    new = dataclasses.replace(new, examples={"b": example})
    report = compare(Predictions.from_lists("abc", gold, gold, task="t"), new)
    assert report.task == "t"
    assert report.list_negative_flips() == (
        Flip(id="a", gold=0, old_answer=0, new_answer=1),
        Flip(id="b", gold=1, old_answer=1, new_answer=0, example=example),
    )
    assert len(report.list_negative_flips(1)) == 1


def test_a_report_says_in_short_what_it_found():
    report = compare(
        Predictions.from_lists("abcd", [1, 1, 1, 0], [1] * 4, task="support"),
        Predictions.from_lists("abcd", [1, 1, 0, 0], [1] * 4),
    )
    assert repr(report) == (
        "FlipReport(task='support', n=4, old_accuracy=0.7500, new_accuracy=0.5000, "
        "negative_flips=1, positive_flips=0)"
    )


def test_a_million_answers_take_seconds_at_most():
    drawn = random.Random(5)
    gold = [f"answer {drawn.randrange(4)}" for _ in range(1_000_000)]
    old, new = gold[:], gold[::-1]
    start = time.perf_counter()
    report = compare(old, new, gold=gold)
    assert report.inconsistency_rate == report.negative_flip_rate
    assert len(report.negative_flips) > 700_000
    assert time.perf_counter() - start < 10  # about half a second on an idle machine


def test_comparing_needs_no_torch():
    code = "import pytest_muscle.comparison, sys; print({'torch', 'transformers'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
