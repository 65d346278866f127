"""A model that is looked at while it answers ends where it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_muscle.models import LanguageModel, LoglikelihoodRequest, scoring
from pytest_muscle.models.looks import Look
from pytest_muscle.predictions.journal import Journal
from pytest_muscle.tasks.decoding import Decoding
from tests.conftest import colour_rows

ROWS = colour_rows(20, 1)


class Seen(list[int]):
    """How many answers were there at each look; enough is `enough`."""

    def __init__(self, enough: int) -> None:
        self.enough = enough

    def look(self, answers: Sequence[Any]) -> bool:
        self.append(len(answers))
        return len(answers) >= self.enough


@pytest.fixture
def model(tiny_models: Path, base_of: Any) -> LanguageModel:
    return LanguageModel(base_of(tiny_models / "v1"))


def requests() -> list[LoglikelihoodRequest]:
    return [LoglikelihoodRequest(str(row["question"]), (" red", " blue")) for row in ROWS]


def test_scoring_ends_after_the_look_that_has_enough(model):
    whole, seen = model.loglikelihoods(requests()), Seen(12)
    some = model.loglikelihoods(requests(), look=Look(6, seen.look))
    assert seen == [6, 12]
    assert len(some) == 12
    for part, one in zip(some, whole, strict=False):
        assert part == pytest.approx(one, abs=1e-4)
    seen = Seen(100)
    assert len(model.loglikelihoods(requests(), look=Look(6, seen.look))) == 20
    assert seen == [6, 12, 18, 20]


def test_a_window_that_is_full_before_is_looked_at_too(model, monkeypatch):
    monkeypatch.setattr(scoring, "WINDOW", 4)
    seen = Seen(12)
    model.loglikelihoods(requests(), look=Look(6, seen.look))
    assert seen == [4, 6, 10, 12]


def test_what_was_answered_before_is_looked_at_again(model, tmp_path):
    def ask(enough: int) -> tuple[list[int], Any]:
        seen = Seen(enough)
        journal = Journal(tmp_path / "journal")
        return seen, model.loglikelihoods(
            requests(), journal=journal, look=Look(6, seen.look), total=20
        )

    first = ask(6)
    size = (tmp_path / "journal").stat().st_size
    again = ask(6)
    assert first == again
    assert (tmp_path / "journal").stat().st_size == size
    seen, answers = ask(12)
    assert seen == [6, 12]
    assert answers[:6] == first[1]


def test_writing_ends_after_the_look_that_has_enough(model):
    decoding = Decoding(max_new_tokens=4, repeats=2, temperature=1.0, seed=3)
    prompts = [tuple(model.tokenizer(str(row["question"]))["input_ids"]) for row in ROWS]
    whole, seen = model.generate(prompts, decoding), Seen(10)
    some = model.generate(prompts, decoding, look=Look(5, seen.look))
    assert seen == [5, 10]
    assert some == whole[:10]
