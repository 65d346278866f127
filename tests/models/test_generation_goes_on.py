"""Writing that was ended goes on: no batch runs twice, and the texts are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_muscle.models import generation
from pytest_muscle.models.generation import generate_texts
from pytest_muscle.models.probe import find_engine
from pytest_muscle.models.writing import Writing
from pytest_muscle.predictions.journal import Journal
from pytest_muscle.progress import SILENT, Progress
from pytest_muscle.tasks.decoding import Decoding

PROMPTS = [(5, 6, 7, 8, 9, *range(20, 21 + number * 5 % 9)) for number in range(12)]
DECODING = Decoding(max_new_tokens=6, temperature=1.0, repeats=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of five of the twelve prompts; what they begin with is shared."""
    monkeypatch.setattr(generation, "WINDOW", 5)
    monkeypatch.setattr(generation, "SHORTEST_PREFIX", 4)


@pytest.fixture
def run_batches(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What was written, batch by batch; `run_batches.end_after` of them Ctrl-C is pressed."""

    class Batches(list[list[tuple[Any, ...]]]):
        end_after = 10**9
        most_rows = 10**9

    batches = Batches()
    write = Writing.write

    def writing(self: Any, way: Any, prefix: Any, batch: Sequence[Any]) -> None:
        if len(batches) >= batches.end_after:
            raise KeyboardInterrupt
        if len(batch) > batches.most_rows:
            raise torch.OutOfMemoryError
        write(self, way, prefix, batch)
        batches.append([(draft.prompt, draft.repeat) for draft in batch])

    monkeypatch.setattr(Writing, "write", writing)
    return batches


@pytest.fixture
def write(make_network, tiny_tokenizer, path) -> Callable[..., list[tuple[str, ...]]]:
    """A function that answers the prompts with the journal, or another one."""
    network = make_network("llama")
    engine = find_engine(network)

    def start(
        journal: Journal | None = None, decoding: Decoding = DECODING, **options: Any
    ) -> list[tuple[str, ...]]:
        return generate_texts(
            network,
            tiny_tokenizer,
            iter(PROMPTS),
            decoding,
            engine=engine,
            total=len(PROMPTS),
            journal=Journal(path, "f") if journal is None else journal,
            **{"batch_tokens": 50, **options},
        )

    return start


def test_wherever_it_was_ended_it_goes_on_there(write, run_batches, path):
    wanted = write(Journal())
    undisturbed = list(run_batches)
    assert len(undisturbed) > 6
    assert max(map(len, undisturbed)) > 1

    for end in range(len(undisturbed)):
        path.unlink(missing_ok=True)
        run_batches.clear()
        run_batches.end_after = end
        with pytest.raises(KeyboardInterrupt):
            write()
        run_batches.end_after = 10**9

        assert write() == wanted
        assert run_batches == undisturbed


def test_where_all_is_there_nothing_runs(write, run_batches):
    wanted = write()
    run_batches.clear()

    assert write() == wanted
    assert run_batches == []


def test_a_halved_batch_is_one_entry_and_its_budget_that_of_what_follows(write, run_batches, path):
    run_batches.most_rows = 6
    wanted = write(batch_tokens=10**6)
    undisturbed = list(run_batches)
    run_batches.clear()
    entries = path.read_bytes().splitlines()
    assert len(entries) - 1 < len(undisturbed)
    path.write_bytes(b"".join(line + b"\n" for line in entries[:2]))

    assert write(batch_tokens=10**6) == wanted
    assert run_batches == undisturbed[-len(run_batches) :]
    assert 0 < len(run_batches) < len(undisturbed)


def test_other_settings_are_not_gone_on_with(write, run_batches):
    first = write()
    run_batches.clear()

    assert write(decoding=Decoding(max_new_tokens=6, temperature=1.0, repeats=2, seed=1)) != first
    assert sum(map(len, run_batches)) == 2 * len(PROMPTS)


class Watched(Progress):
    """Progress that knows where its bar stood at first and at last."""

    def bar(self, total: int, description: str, unit: str, *, done: int = 0) -> Any:
        bar = SILENT.bar(total, description, unit, done=done)
        steps = [done]
        bar.update = steps.append
        object.__setattr__(self, "steps", steps)
        return bar


def test_it_says_where_it_goes_on(write, run_batches, capfd):
    run_batches.end_after = 4
    with pytest.raises(KeyboardInterrupt):
        write(progress=Progress(), description="notes: new model writes")
    assert "going on" not in capfd.readouterr().err
    run_batches.end_after = 10**9
    progress = Watched()

    write(progress=progress, description="notes: new model writes")

    first = progress.steps[0]
    assert 0 < first < len(PROMPTS)
    assert sum(progress.steps) == len(PROMPTS)
    assert capfd.readouterr().err.strip() == (
        f"muscle: notes: new model writes: going on after {first} of 12 examples that were "
        "answered before"
    )
