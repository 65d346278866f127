"""The answer within a text."""

from __future__ import annotations

import time

import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.tasks import extraction
from pytest_muscle.tasks.extraction import Extraction

WHERE = "muscle.toml: tasks.x.extract"


def find(pattern: str, text: str, which: str = "last") -> str | None:
    return Extraction(pattern, which, where=WHERE).find(text, "q1")


@pytest.mark.parametrize(
    ("pattern", "text", "first", "last"),
    [
        (r"\d+", "2 and 3 make 5.", "2", "5"),
        (r"####\s*(.+)", "so\n#### 12 \n", "12", "12"),
        (r"\((A)\)|\b([AB])\b", "B or (A)", "B", "A"),
        (r"\d*", "a 5 b", "5", "5"),
        (r"answer is (.*?)\.", "The answer is  red . ", "red", "red"),
        (r"x", "abc", None, None),
        (r"()x", "x", None, None),
    ],
)
def test_the_first_group_of_the_first_or_last_match_is_the_answer(pattern, text, first, last):
    assert find(pattern, text, "first") == first
    assert find(pattern, text, "last") == last


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "is not a valid regular expression: missing )"),
        ("a" * 10_001, "is longer than 10,000 characters"),
        ("(" * 5_000, "is not a valid regular expression: "),
        (r"\p{Foo}", "is not a valid regular expression: unknown property"),
        ("((ab){1000}){1000}", "repeats a part 1,000,000 times, which is more than 10,000"),
        ("x{99999999999999}", "repeats a part 999,999,999 times"),
    ],
)
def test_an_expression_that_is_none_is_refused_at_once(pattern, problem):
    with pytest.raises(ConfigurationError) as caught:
        find(pattern, "")
    assert str(caught.value).startswith(f"{WHERE}: {problem}")


def test_an_expression_without_end_is_ended(monkeypatch):
    monkeypatch.setattr(extraction, "TIMEOUT", 0.2)
    start = time.perf_counter()
    with pytest.raises(ConfigurationError) as caught:
        find("(?:(a|aa)+)+c", "a" * 60)
    assert time.perf_counter() - start < 10
    assert "takes more than 0.2 s on the answer to example 'q1'\n  repeats within" in str(
        caught.value
    )
