"""What a teacher said is not asked again where it is complete, and made anew where it is not."""

import json
import os

import pytest
import torch

from pytest_muscle.models import LanguageModel
from pytest_muscle.progress import Progress
from pytest_muscle.training import teachers
from tests.training.teaching import record


class Stop(Progress):
    """Ctrl-C after some sequences."""

    def bar(self, total, description, unit) -> object:
        bar = super().bar(total, description, unit)

        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        bar.update = interrupt
        return bar


@pytest.fixture
def runs(monkeypatch) -> list[int]:
    """How many batches teachers have run."""
    counted = []
    written = teachers._record

    def count(*args: object) -> None:
        counted.append(1)
        written(*args)

    monkeypatch.setattr(teachers, "_record", count)
    return counted


def test_states_that_are_complete_are_taken_as_they_are(
    save_model, base_of, sequences, tmp_path, runs
):
    path, _ = save_model("llama")
    first = record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states")
    wanted = first.states.clone()
    done = len(runs)

    again = record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states")

    assert len(runs) == done > 0
    assert torch.equal(again.states, wanted)
    places = torch.arange(5)
    torch.testing.assert_close(again.logits(places), first.logits(places))


def spoil_mark(directory) -> None:
    (directory / "t.json").write_text('{"tok')


def lose_mark(directory) -> None:
    (directory / "t.json").unlink()


def other_type(directory) -> None:
    about = json.loads((directory / "t.json").read_text())
    (directory / "t.json").write_text(json.dumps(about | {"dtype": "torch.bfloat16"}))


def lose_states(directory) -> None:
    (directory / "t.states").unlink()


def cut_states(directory) -> None:
    os.truncate(directory / "t.states", 64)


def link_states(directory) -> None:
    (directory / "t.states").replace(directory / "elsewhere")
    (directory / "t.states").symlink_to("elsewhere")


@pytest.mark.parametrize(
    "spoil", [spoil_mark, lose_mark, other_type, lose_states, cut_states, link_states]
)
def test_states_that_are_not_complete_are_made_again(
    save_model, base_of, sequences, tmp_path, monkeypatch, spoil
):
    """Also where the second try is interrupted too."""
    monkeypatch.setattr(teachers, "token_budget", lambda _: 1)
    monkeypatch.setattr(teachers, "ROW", 1)  # sequence by sequence
    path, _ = save_model("llama")
    wanted = record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states").states.clone()
    if (tmp_path / "t.states").exists():
        (tmp_path / "t.states").write_bytes(b"\1" * 4 * wanted.numel())
    spoil(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states", Stop(enabled=False))

    found = record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states").states

    assert torch.equal(found, wanted)
