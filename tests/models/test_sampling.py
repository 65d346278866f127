"""Tokens are drawn by the cumulated probability, with numbers of each text's own."""

from __future__ import annotations

import random

import pytest
import torch
from scipy.stats import chisquare

from pytest_muscle.models.sampling import TokenChooser, draw, source_of_draws
from pytest_muscle.tasks.decoding import Decoding


def test_a_draw_is_the_place_where_the_cumulated_probability_exceeds_it():
    probabilities = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).expand(6, -1)
    draws = torch.tensor([0.0, 0.2, 0.25, 0.7, 0.75, 0.999], dtype=torch.float64)

    assert draw(probabilities, draws).tolist() == [0, 0, 2, 2, 3, 3]


def test_each_row_has_its_own_draw():
    probabilities = torch.eye(5)

    assert draw(probabilities, torch.rand(5, dtype=torch.float64)).tolist() == [0, 1, 2, 3, 4]


def test_draws_follow_the_distribution():
    wanted = torch.tensor([0.125, 0.25, 0.375, 0.25])
    draws = torch.tensor([source_of_draws(3, (4, 5), n).random() for n in range(5000)])

    found = draw(wanted.expand(5000, -1), draws.double())

    assert chisquare(found.bincount(minlength=4), 5000 * wanted.double()).pvalue > 0.001


def test_sources_depend_on_seed_prompt_and_repeat():
    first = source_of_draws(1, (2, 3), 0).random()
    assert source_of_draws(1, (2, 3), 0, "another model").random() != first

    assert source_of_draws(1, [2, 3], 0).random() == first
    others = [(2, (2, 3), 0), (1, (3, 2), 0), (1, (2,), 3), (1, (2, 3), 1), (1, (23,), 0)]
    assert len({source_of_draws(*other).random() for other in others} | {first}) == 6


def test_greedy_takes_the_likeliest():
    logits = torch.tensor([[0.0, 3.0, 1.0], [2.0, 1.0, 0.0]])

    assert TokenChooser(Decoding()).choose(logits, torch.zeros(2, 1), []).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, {0, 1, 2, 3}),
        ({"top_k": 2}, {2, 3}),
        ({"top_p": 0.6}, {3}),  # of 0.032, 0.087, 0.237, 0.644
        ({"top_p": 0.7}, {2, 3}),
        ({"temperature": 0.01}, {3}),
    ],
)
def test_what_may_be_drawn(settings, wanted):
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0]).expand(400, -1)
    sources = [random.Random(number) for number in range(400)]
    chooser = TokenChooser(Decoding(**({"temperature": 1.0} | settings)))

    assert set(chooser.choose(logits, torch.zeros(400, 1), sources).tolist()) == wanted


@pytest.mark.parametrize(
    ("size", "history", "wanted"),
    [
        (2, [[9, 9, 1, 3, 1]], [2]),  # 1 3 was there
        (2, [[1, 3, 2, 2, 1]], [2]),
        (2, [[9, 9, 9, 9, 1]], [3]),
        (3, [[9, 9, 9, 9, 1]], [3]),  # what fills up is no n-gram
        (3, [[2, 1, 3, 2, 1]], [2]),
        (3, [[0, 1, 3, 2, 1]], [3]),
        (2, [[9, 9, 1, 3, 1], [0, 0, 0, 0, 0]], [2, 3]),
    ],
)
def test_no_sequence_comes_twice(size, history, wanted):
    logits = torch.tensor([[0.0, 1.0, 2.0, 3.0, *[-1.0] * 5]]).expand(len(history), -1)
    chooser = TokenChooser(Decoding(no_repeat_ngram_size=size))

    assert chooser.choose(logits, torch.tensor(history), []).tolist() == wanted
