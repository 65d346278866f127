"""Malformed baselines and their manifests, through what a run asks of them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from pytest_muscle import ModelUpdate, Prediction, Predictions, read_settings
from pytest_muscle.errors import BaselineWarning
from pytest_muscle.settings.flags import Flags
from tests.fuzz.feeding import feed, look, refused
from tests.fuzz.mutations import each_nasty, mutated

CONFIGURATION = """
[tasks.t]
kind = "multiple_choice"
eval = "rows.jsonl"
prompt = "{{ question }}"
choices = "{{ options }}"
gold = "{{ label }}"
"""
FACTS = {
    "dtype": "float32",
    "made_of": {"model": {"base": {"files": "aa"}}, "device": "cpu", "dtype": "float32"},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a sound baseline and without an old model."""
    (tmp_path / "muscle.toml").write_text(CONFIGURATION)
    rows = [
        {"id": name, "question": f"What is {name}?", "options": ["this", "that"], "label": 1}
        for name in "abc"
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    update = update_of(tmp_path)
    task = update.task("t")
    answers = [Prediction(e.id, 1, 1, True, 1.0, (-2.5, -1.25), e.digest) for e in task.eval]
    update.baselines.write(task, Predictions(answers, model="v1", facts=FACTS))
    return tmp_path


def update_of(project: Path) -> ModelUpdate:
    flags = Flags(accept_changes=True, cache=str(project.parent / "cache"))
    return ModelUpdate(read_settings(project / "muscle.toml", flags, invocation_dir=project))


def use(project: Path) -> None:
    """Read the baseline as `old_predictions` does, and hold it against itself."""
    update = update_of(project)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BaselineWarning)
        table = update.predictions("old", "t")
    assert 0 < len(table) <= 3
    for row in table:
        assert table.examples is not None
        assert table.examples[row.id].prompt
    update.baselines.read(update.task("t"), accept=True)


def test_a_sound_one_is_accepted(project):
    use(project)


@pytest.mark.parametrize("change", ["", "data"])
@pytest.mark.parametrize("kind", ["baselines", "manifests of baselines"])
def test_a_file_of_it_is_read_or_refused_with_its_place(project, kind, change):
    """Also where the data have changed, so that what differs is looked for."""
    if change:
        data = project / "rows.jsonl"
        data.write_text(data.read_text().replace("What is b?", "Where is b?"))
    path = project / "muscle_baselines" / "t.jsonl"
    changed = path if kind == "baselines" else path.with_name("t.jsonl.manifest.json")
    sound = changed.read_bytes()

    def check(content: bytes) -> None:
        before = look(project)
        changed.write_bytes(content)
        with refused("t.jsonl", "t:"):
            use(project)
        assert look(project) == before | {changed: content}

    for content in each_nasty(sound):
        check(content)
    feed(kind, mutated([sound]), check)
