"""Malformed tables of predictions, a baseline among them, and their manifests."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_muscle import Predictions, compare
from pytest_muscle.predictions.keys import PredictionKey
from pytest_muscle.predictions.store import PredictionStore
from pytest_muscle.progress import SILENT
from tests.fuzz.feeding import feed, look, refused
from tests.fuzz.mutations import CORPUS, corpus, each_nasty, mutated

KEY = PredictionKey("t", "old", {"made": "of"})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A sound table of a store."""
    path = PredictionStore(tmp_path / "predictions", SILENT).path(KEY)
    path.parent.mkdir()
    path.write_bytes((CORPUS / "tables" / "answers.jsonl").read_bytes())
    manifest_of(path).write_bytes((CORPUS / "tables" / "answers.jsonl.manifest.json").read_bytes())
    return path


def manifest_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.manifest.json")


def use(path: Path) -> None:
    """Read a table and do with it what is done with one."""
    predictions = Predictions.load(path)
    assert len(list(predictions)) == len(predictions)
    repr(predictions)
    if predictions.unasked:
        return
    report = compare(predictions, predictions)
    assert report.negative_flips == ()
    assert report.negative_flip_rate == 0


def check(path: Path, changed: Path, content: bytes) -> None:
    before = look(path.parent)
    changed.write_bytes(content)
    with refused(path.name, "t:", "old", "new"):
        use(path)
    PredictionStore(path.parent, SILENT).find(KEY)  # damage is no error there
    assert look(path.parent) == before | {changed: content}


def test_a_sound_one_is_accepted(table):
    use(table)


@pytest.mark.parametrize("kind", ["tables", "manifests"])
def test_a_file_of_it_is_read_or_refused_with_its_place(table, kind):
    changed = table if kind == "tables" else manifest_of(table)
    for content in each_nasty(changed.read_bytes()):
        check(table, changed, content)
    seeds = corpus("tables/*.jsonl" if kind == "tables" else "tables/*.manifest.json")
    feed(kind, mutated(seeds), lambda content: check(table, changed, content))
