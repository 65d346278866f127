"""Errors say what is wrong, where, and what to do."""

from __future__ import annotations

import copy
import pickle

import pytest

from pytest_muscle import errors
from pytest_muscle.errors import ConfigurationError, DataError, MuscleError, nearest

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and kind.__module__ == errors.__name__
    if not issubclass(kind, Warning)
]


def test_a_message_has_place_problem_and_hint():
    error = DataError("has no rows", where="a.jsonl", hint="give it at least one example")
    assert str(error) == "a.jsonl: has no rows\n  give it at least one example"
    assert str(DataError("has no rows", where="a.jsonl")) == "a.jsonl: has no rows"
    assert str(DataError("has no rows")) == "has no rows"
    assert (error.problem, error.where) == ("has no rows", "a.jsonl")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_muscle_error_and_survives_the_way_from_a_worker(kind):
    error = kind("wrong", where="here", hint="mend it")
    assert isinstance(error, MuscleError)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert str(twin) == "here: wrong\n  mend it"


def test_one_class_for_each_kind_of_mistake():
    assert len(KINDS) >= 7
    assert not issubclass(DataError, ConfigurationError)


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("modle", ["model", "adapter"], "did you mean 'model'?"),
        ("zzz", ["b", "a"], "known: a, b"),
        ("x", [], "none is known"),
        ("", ["a"], "known: a"),
        (1, ["a", 2], "known: 2, a"),
    ],
)
def test_the_nearest_name_or_all_of_them(name, known, expected):
    assert nearest(name, known) == expected


def test_of_many_names_the_first_ten_are_listed():
    names = [f"name-{number:02}" for number in range(25)]
    assert nearest("zzz", names) == f"known: {', '.join(names[:10])} and 15 more"


def test_a_message_stays_readable_whatever_it_quotes():
    error = MuscleError("a" * 5_000 + "z", where="muscle.toml: " + "b" * 5_000, hint="c" * 5_000)
    assert len(str(error)) < 3_100
    assert str(error).startswith("muscle.toml: bbb")
    assert "az\n  c" in str(error)
    assert str(MuscleError("half an emoji: \ud83d")) == "half an emoji: \\ud83d"
