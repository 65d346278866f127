"""How log-likelihoods become an answer, by hand and as lm-evaluation-harness defines it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.tasks.metrics import CHOICE_METRICS, acc, acc_bytes, acc_norm, find_choice_metric


def test_acc_takes_the_highest_sum():
    assert acc([-3.0, -1.0, -2.0], ["a", "b", "c"]) == 1


def test_acc_norm_divides_by_characters():
    # -6 / 2 = -3.0; -8 / 4 = -2.0: the longer option wins per character
    assert acc([-6.0, -8.0], ["no", "much"]) == 0
    assert acc_norm([-6.0, -8.0], ["no", "much"]) == 1


def test_acc_bytes_divides_by_utf8_bytes():
    # "日本" has 2 characters and 6 bytes: -6 / 2 = -3.0 but -6 / 6 = -1.0; "yes": -4 / 3 = -1.33
    assert acc_norm([-6.0, -4.0], ["日本", "yes"]) == 1
    assert acc_bytes([-6.0, -4.0], ["日本", "yes"]) == 0


def test_the_delimiter_is_no_part_of_the_length():
    # -4 / 1 = -4.0 against -7 / 2 = -3.5; with the delimiter -4 / 2 = -2.0 against -7 / 3 = -2.3
    assert acc_norm([-4.0, -7.0], ["a", "bc"]) == 1


@pytest.mark.parametrize("metric", CHOICE_METRICS.values())
def test_of_equals_the_first_is_taken(metric):
    assert metric([-2.0, -1.0, -1.0], ["aa", "bb", "cc"]) == 1
    assert metric([float("-inf")] * 3, ["aa", "bb", "cc"]) == 0


@given(
    pairs=st.lists(
        st.tuples(
            st.floats(-100, 0) | st.just(float("-inf")),
            st.text(min_size=1, max_size=8),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_the_answers_are_those_of_lm_evaluation_harness(pairs):
    """The right-hand sides stand in lm_eval/api/task.py, ConfigurableTask.process_results."""
    lls, choices = zip(*pairs, strict=True)
    completion_len = np.array([float(len(i)) for i in choices])
    byte_length = np.array([float(len(i.encode("utf-8"))) for i in choices])
    assert acc(lls, choices) == np.argmax(lls)
    assert acc_norm(lls, choices) == np.argmax(lls / completion_len)
    assert acc_bytes(lls, choices) == np.argmax(lls / byte_length)


def test_a_metric_is_found_by_its_name_or_by_yours():
    assert find_choice_metric("acc_norm") is acc_norm
    assert find_choice_metric("pytest_muscle.tasks.metrics:acc") is acc


def test_an_unknown_metric_is_named_with_file_and_key():
    with pytest.raises(ConfigurationError) as caught:
        find_choice_metric("acc_nrm", where="muscle.toml: tasks.support.metric")
    assert str(caught.value) == (
        "muscle.toml: tasks.support.metric: there is no metric 'acc_nrm'\n"
        "  did you mean 'acc_norm'?\n"
        "  name your own as package.module:function"
    )
