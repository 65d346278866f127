"""What a definition says of answers and their marks is what the harness does with it."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.harness.definition import Definition, _decoding, is_number
from pytest_muscle.harness.reference import Reference
from pytest_muscle.tasks.decoding import Decoding

REFERENCE = Reference("lm-eval:a", "muscle.toml: tasks.a.task", "a")
FACTS = {
    "name": "a",
    "kind": "generation",
    "others": ("bleu",),
    "filters": ("none",),
    "delimiter": " ",
    "in_prompt": False,
    "trains": True,
    "num_fewshot": 0,
    "decoding": {},
    "digest": "d",
    "lm_eval": "0.4.13",
}


@pytest.mark.parametrize(
    ("arguments", "tokens", "stop"),
    [
        ({"until": ["\n\n"]}, 256, ("\n\n",)),
        ({"until": "Q:", "max_gen_toks": 7}, 7, ("Q:",)),
        ({"until": ["a", ""], "max_new_tokens": 8, "do_sample": False}, 8, ("a",)),
        ({"until": [], "do_sample": False, "temperature": 0.7, "top_p": 0.9}, 256, ()),
        ({"temperature": 0.0, "num_beams": 1}, 256, ()),
    ],
)
def test_likeliest_answers(arguments, tokens, stop):
    found = _decoding(arguments, REFERENCE)
    assert found == Decoding(max_new_tokens=tokens, stop=stop).to_json()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"do_sample": True, "temperature": 0.7}, "a draws its answers"),
        ({"temperature": 0.7}, "a draws its answers"),
        ({"num_beams": 4}, "with num_beams = 4"),
        ({"repetition_penalty": 1.2}, "with repetition_penalty = 1.2"),
    ],
)
def test_other_answers_are_refused(arguments, said):
    with pytest.raises(ConfigurationError, match=said):
        _decoding(arguments, REFERENCE)


@pytest.mark.parametrize("value", [0, 1.5, True, np.float64(0.5), np.int64(1), np.bool_(True)])
def test_a_mark_is_a_number(value):
    assert is_number(value)


@pytest.mark.parametrize("value", ["1", None, (1, 2), [1], np.array([1.0]), float("nan"), {"a": 1}])
def test_what_is_no_mark(value):
    assert not is_number(value)


@pytest.mark.parametrize(
    ("metrics", "named", "wanted"),
    [
        (["f1", "acc"], None, "acc"),
        (["f1", "exact_match"], None, "exact_match"),
        (["f1", "exact_match"], "f1", "f1"),
        (["prompt_level"], None, "prompt_level"),
    ],
)
def test_the_metric(metrics, named, wanted):
    definition = Definition(**FACTS, metrics=dict.fromkeys(metrics, False))
    assert definition.choose_metric(named, "a.metric") == wanted


def test_facts_come_back_as_they_were():
    definition = Definition(**FACTS, metrics={"acc": False})
    assert Definition.from_json(definition.to_json()) == definition
