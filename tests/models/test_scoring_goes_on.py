"""Scoring that was ended goes on: no batch runs twice, and the numbers are the same to the bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_muscle.models import LoglikelihoodRequest, scoring
from pytest_muscle.models.probe import find_engine
from pytest_muscle.models.scoring import score_loglikelihoods
from pytest_muscle.predictions.journal import Journal
from pytest_muscle.progress import SILENT, Progress

WORDS = ("cloud", "apple", "house", "red apple", "green river", "stone", "letter of the moor")
REQUESTS = [
    LoglikelihoodRequest(
        f"Question: the {word} of {place}?\nAnswer:",
        (" red", " blue apple and blue", " green") if number % 3 else (" black",),
    )
    for number, word in enumerate(WORDS)
    for place in ("hill", "northern shore")
]
Rows = list[tuple[int, ...]]


@pytest.fixture(params=["llama", "longrope"])
def network(request: pytest.FixtureRequest, make_network, tiny_tokenizer):
    """Of the second some sequences of an example are short, and run apart from its others."""
    return make_network(request.param, vocab_size=len(tiny_tokenizer))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of five of the fourteen requests; what they begin with is shared."""
    monkeypatch.setattr(scoring, "WINDOW", 5)
    monkeypatch.setattr(scoring, "SHORTEST_PREFIX", 4)


@pytest.fixture
def run_batches(monkeypatch: pytest.MonkeyPatch) -> list[Rows]:
    """What was run, batch by batch; `run_batches.end_after` of them Ctrl-C is pressed."""

    class Batches(list[Rows]):
        end_after = 10**9
        most_rows = 10**9

    batches = Batches()
    add = scoring._Scorer._add

    def adding(self: Any, layout: Any, batch: Sequence[Any], results: Any) -> None:
        if len(batches) >= batches.end_after:
            raise KeyboardInterrupt
        if len(batch) > batches.most_rows:
            raise torch.OutOfMemoryError
        add(self, layout, batch, results)
        batches.append([tuple(row.tree.tokens) for row in batch])

    monkeypatch.setattr(scoring._Scorer, "_add", adding)
    return batches


@pytest.fixture
def score(network, tiny_tokenizer, path) -> Callable[..., list[tuple[float, ...]]]:
    """A function that scores the requests with the journal, or another one."""
    engine = find_engine(network)

    def start(journal: Journal | None = None, **options: Any) -> list[tuple[float, ...]]:
        return score_loglikelihoods(
            network,
            tiny_tokenizer,
            iter(REQUESTS),
            engine=engine,
            total=len(REQUESTS),
            journal=Journal(path, "f") if journal is None else journal,
            **{"batch_tokens": 45, **options},
        )

    return start


def run_undisturbed(score, run_batches) -> tuple[list[tuple[float, ...]], list[Rows]]:
    """The answers and the batches of a run that nobody ends."""
    wanted = score(Journal())
    batches = list(run_batches)
    run_batches.clear()
    return wanted, batches


def end_after(number: int, score, run_batches) -> None:
    """Run until so many batches were run, in all runs together."""
    run_batches.end_after = number
    with pytest.raises(KeyboardInterrupt):
        score()
    run_batches.end_after = 10**9


def test_wherever_it_was_ended_it_goes_on_there(score, run_batches, path):
    wanted, undisturbed = run_undisturbed(score, run_batches)
    assert len(undisturbed) > 6
    assert max(map(len, undisturbed)) > 1

    for end in range(len(undisturbed)):
        path.unlink(missing_ok=True)
        run_batches.clear()
        end_after(end, score, run_batches)

        assert score() == wanted
        assert run_batches == undisturbed


def test_ended_again_and_again(score, run_batches):
    wanted, undisturbed = run_undisturbed(score, run_batches)
    for end in range(len(undisturbed)):
        end_after(end, score, run_batches)

    assert score() == wanted
    assert run_batches == undisturbed


def test_where_all_is_there_nothing_runs(score, run_batches, monkeypatch):
    wanted = score()
    run_batches.clear()
    monkeypatch.setattr(scoring, "encode_pairs", lambda *_: pytest.fail("it was tokenised again"))

    assert score() == wanted
    assert run_batches == []


def test_with_other_free_memory_batches_stay_what_they_were(score, run_batches, monkeypatch):
    monkeypatch.setattr(scoring, "token_budget", lambda _: 45)
    wanted = score(Journal(), batch_tokens="auto")
    undisturbed = list(run_batches)
    run_batches.clear()
    run_batches.end_after = 3
    with pytest.raises(KeyboardInterrupt):
        score(batch_tokens="auto")
    run_batches.end_after = 10**9
    monkeypatch.setattr(scoring, "token_budget", lambda _: 10**9)

    assert score(batch_tokens="auto") == wanted
    assert run_batches == undisturbed


def test_a_smaller_batch_that_is_asked_for_is_obeyed_and_no_answer_is_lost(score, run_batches):
    """As after a kill for lack of memory."""
    wanted = score(Journal())
    undisturbed = list(run_batches)
    run_batches.clear()
    run_batches.end_after = 3
    with pytest.raises(KeyboardInterrupt):
        score()
    run_batches.end_after = 10**9

    found = score(batch_tokens=1)

    assert run_batches[:3] == undisturbed[:3]
    assert max(map(len, undisturbed[3:])) > 1
    assert {len(batch) for batch in run_batches[3:]} == {1}
    rows = [row for batch in run_batches for row in batch]
    assert len(rows) == len(set(rows))
    for found_row, wanted_row in zip(found, wanted, strict=True):
        assert found_row == pytest.approx(wanted_row, abs=1e-4)


def test_a_halved_batch_counts_when_both_halves_are_there(score, run_batches):
    run_batches.most_rows = 2
    wanted = score(Journal(), batch_tokens=10**9)
    undisturbed = list(run_batches)
    first = sum(map(len, undisturbed[:2]))
    assert first in (3, 4, 5)
    run_batches.clear()
    run_batches.end_after = 1  # after the first half of the first batch
    with pytest.raises(KeyboardInterrupt):
        score(batch_tokens=10**9)
    run_batches.end_after = 10**9
    del run_batches[:]

    assert score(batch_tokens=10**9) == wanted
    assert run_batches == undisturbed


def test_the_budget_of_a_halved_batch_is_that_of_what_follows(score, run_batches, path):
    run_batches.most_rows = 2
    wanted = score(Journal(), batch_tokens=200)
    undisturbed = list(run_batches)
    for end in range(2, len(undisturbed), 2):
        path.unlink(missing_ok=True)
        run_batches.clear()
        run_batches.most_rows = 2
        run_batches.end_after = end
        with pytest.raises(KeyboardInterrupt):
            score(batch_tokens=200)
        run_batches.end_after = 10**9
        entries = len(path.read_bytes().splitlines()) - 1

        assert score(batch_tokens=200) == wanted
        assert entries <= end  # a batch whose halves ran is one entry


def test_other_windows_are_not_gone_on_with(score, run_batches, monkeypatch):
    wanted = score()
    run_batches.clear()
    monkeypatch.setattr(scoring, "WINDOW", 6)

    for found_row, wanted_row in zip(score(), wanted, strict=True):
        assert found_row == pytest.approx(wanted_row, abs=1e-4)
    assert run_batches


class Watched(Progress):
    """Progress that knows where its bar stood at first and at last."""

    def bar(self, total: int, description: str, unit: str, *, done: int = 0) -> Any:
        bar = SILENT.bar(total, description, unit, done=done)
        steps = [done]
        bar.update = steps.append
        object.__setattr__(self, "steps", steps)
        return bar


def test_it_says_where_it_goes_on(score, run_batches, capfd):
    run_batches.end_after = 4
    with pytest.raises(KeyboardInterrupt):
        score(progress=Progress(), description="colours: new model answers")
    assert "going on" not in capfd.readouterr().err
    run_batches.end_after = 10**9
    progress = Watched()

    score(progress=progress, description="colours: new model answers")

    first = progress.steps[0]
    assert 0 < first < len(REQUESTS)
    assert sum(progress.steps) == len(REQUESTS)
    assert capfd.readouterr().err.strip() == (
        f"muscle: colours: new model answers: going on after {first} of 14 examples that were "
        "answered before"
    )


def test_where_nothing_can_be_kept_all_is_answered(score, run_batches, tmp_path, capfd):
    wanted = score(Journal())
    journal = Journal(tmp_path / "missing" / "journal", "f", Progress())

    assert score(journal) == wanted
    assert capfd.readouterr().err.count("answers are not kept before all are there") == 1
