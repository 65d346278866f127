"""A model update's predictions: stored, and never one model's answers in place of another's."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_muscle import ModelUpdate, Predictions, read_settings
from pytest_muscle.errors import DataError, TrainingError
from pytest_muscle.models import LanguageModel, answering
from pytest_muscle.settings.flags import Flags
from pytest_muscle.tasks import task as task_module

CONFIGURATION = """\
[old]
model = "v1"

[new]
model = "v2"
adapter = "v2-adapter"

[compat]
adapter = "compat-adapter"

[tasks.colours]
kind = "multiple_choice"
eval = "eval.jsonl"
prompt = "Question: {{ question }}\\nAnswer:"
choices = "{{ options }}"
gold = "{{ label }}"

[run]
device = "cpu"
dtype = "float32"
"""
SIDES = ("old", "new", "compat")


@pytest.fixture(scope="module")
def made(
    make_tiny_model: Callable[..., Path],
    make_tiny_adapter: Callable[..., Path],
    trained_cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A project whose adapters are all given: nothing is trained, all is scored and stored."""
    folder = tmp_path_factory.mktemp("made")
    for seed, name in enumerate(("v1", "v2")):
        make_tiny_model(folder / name, seed, initializer_range=0.2)
    for seed, name in enumerate(("v2-adapter", "compat-adapter")):
        make_tiny_adapter(folder / "v2", folder / name, seed)
    shutil.copy(trained_cache.parent / "data" / "eval.jsonl", folder)
    (folder / "muscle.toml").write_text(CONFIGURATION)
    predictions_of(folder)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A copy of it of this test's own."""
    return shutil.copytree(made, tmp_path / "project")


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What models answered, by the bars' descriptions."""
    descriptions: list[str] = []
    answer = answering.answer

    def counting(*arguments: Any, description: str, **options: Any) -> Predictions:
        descriptions.append(description)
        return answer(*arguments, description=description, **options)

    monkeypatch.setattr(answering, "answer", counting)
    return descriptions


def update_of(folder: Path, flags: Flags = Flags()) -> ModelUpdate:  # noqa: B008
    settings = read_settings(folder / "muscle.toml", flags, invocation_dir=folder)
    return ModelUpdate(settings)


def predictions_of(folder: Path, **flags: Any) -> dict[str, Predictions]:
    """Return all three tables as another pytest run would get them."""
    update = update_of(folder, Flags(**flags))
    return {side: update.predictions(side, "colours") for side in SIDES}


def bars(*sides: str) -> list[str]:
    return [f"colours: {side} model answers" for side in sides]


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_has_not_changed_is_read_and_is_what_was_scored(project, scored, tmp_path):
    stored = predictions_of(project)
    assert scored == []

    fresh = predictions_of(project, cache=str(tmp_path / "empty"))

    assert scored == bars(*SIDES)
    for side in SIDES:
        assert stored[side].rows == fresh[side].rows
        assert (stored[side].task, stored[side].model) == (fresh[side].task, fresh[side].model)
        assert stored[side].facts["made_of"] == fresh[side].facts["made_of"]
        assert stored[side].facts["task_digest"] == fresh[side].facts["task_digest"]
        assert stored[side].facts["dtype"] == fresh[side].facts["dtype"] == "float32"
    assert stored["compat"].model == "v2 + compat-adapter"


def other_weights(folder: Path) -> None:
    """Put other weights of the same size and time in the place of the new model's."""
    path = folder / "v2" / "model.safetensors"
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[-64:] = bytes(64)
    copy = folder / "copy"
    copy.write_bytes(content)
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.replace(copy, path)


def other_adapter(folder: Path) -> None:
    replace_in(folder / "v2-adapter" / "adapter_config.json", '"lora_alpha": 8', '"lora_alpha": 7')


def other_data(folder: Path) -> None:
    replace_in(folder / "eval.jsonl", "Which colour", "What colours")


def other_gold(folder: Path) -> None:
    replace_in(folder / "eval.jsonl", '"label": 0', '"label": 1')


def other_prompt(folder: Path) -> None:
    replace_in(folder / "muscle.toml", "Question:", "Riddle:")


def other_metric(folder: Path) -> None:
    replace_in(folder / "muscle.toml", "[tasks.colours]", '[tasks.colours]\nmetric = "acc_norm"')


def other_dtype(folder: Path) -> None:
    replace_in(folder / "muscle.toml", "float32", "bfloat16")


@pytest.mark.parametrize(
    ("change", "sides"),
    [
        (other_weights, ("new", "compat")),
        (other_adapter, ("new",)),
        (other_data, SIDES),
        (other_gold, SIDES),
        (other_prompt, SIDES),
        (other_metric, SIDES),
        (other_dtype, SIDES),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_has_changed_is_scored_again_and_nothing_else(
    project, scored, tmp_path, change, sides
):
    before = predictions_of(project)
    change(project)

    after = predictions_of(project)

    assert scored == bars(*sides)
    fresh = predictions_of(project, cache=str(tmp_path / "empty"))
    for side in SIDES:
        assert after[side].rows == fresh[side].rows
        assert (after[side].rows != before[side].rows) == (side in sides)
    scored.clear()
    assert predictions_of(project)["new"].rows == after["new"].rows
    assert scored == []


def test_a_limit_is_another_question_and_going_back_is_not(project, scored):
    all_of_them = predictions_of(project)
    first = predictions_of(project, limit=3)
    assert scored == bars(*SIDES)

    for side in SIDES:
        assert [row.id for row in first[side]] == [row.id for row in all_of_them[side]][:3]
        assert [row.digest for row in first[side]] == [row.digest for row in all_of_them[side]][:3]
    assert predictions_of(project)["old"].rows == all_of_them["old"].rows
    assert len(scored) == 3


def test_another_batch_size_or_place_is_not_another_question(project, scored, tmp_path):
    replace_in(project / "muscle.toml", "[run]", "[run]\nbatch_tokens = 64")
    moved = project.rename(tmp_path / "moved")

    predictions_of(moved)

    assert scored == []


def test_a_model_that_a_flag_names_has_its_own_predictions(project, scored):
    before = predictions_of(project)["old"]

    after = update_of(project, Flags(old="v2")).predictions("old", "colours")

    assert scored == bars("old")
    assert after.rows != before.rows
    assert after.model == str(project / "v2")


def test_data_are_not_read_until_a_flip_shows_them(project, monkeypatch):
    predictions_of(project)  # this place's files are known
    reads: list[str] = []
    read_rows = task_module.read_rows

    def counting(source: str, root: Path) -> Iterator[Any]:
        reads.append(source)
        return read_rows(source, root)

    monkeypatch.setattr(task_module, "read_rows", counting)
    update = update_of(project)
    report = update.flip_report("colours", "compat")
    assert (report.n, reads) == (40, [])

    flips = report.list_negative_flips()

    assert flips
    assert all(flip.example is not None and flip.example.id == flip.id for flip in flips)
    assert reads == ["eval.jsonl"]


def test_a_mistake_in_the_data_shows_before_a_model_loads(project, monkeypatch):
    lines = (project / "eval.jsonl").read_text().splitlines()
    (project / "eval.jsonl").write_text("\n".join([*lines, lines[0]]))
    monkeypatch.setattr(LanguageModel, "network", property(lambda _: pytest.fail("it was loaded")))

    with pytest.raises(DataError, match=r"stands already at eval.jsonl:1"):
        update_of(project).predictions("old", "colours")


def test_a_model_that_changes_while_it_answers_is_not_stored(project, monkeypatch):
    other_weights(project)  # so that it is scored
    answer = answering.answer

    def answer_and_change(*arguments: Any, **options: Any) -> Predictions:
        table = answer(*arguments, **options)
        other_adapter(project)
        return table

    monkeypatch.setattr(answering, "answer", answer_and_change)
    before = set((project / ".muscle_cache" / "predictions").iterdir())

    assert len(update_of(project).predictions("new", "colours")) == 40

    after = set((project / ".muscle_cache" / "predictions").iterdir())
    assert [path.suffix for path in after - before] == [".lock"]


def test_where_models_run_is_corrected_before_answers_are_stored(project, scored):
    """Remembered from when this machine had a GPU."""
    replace_in(project / "muscle.toml", 'device = "cpu"', 'device = "auto"')
    predictions_of(project)
    note = project / ".muscle_cache" / "device.json"
    known = json.loads(note.read_text())
    (machine,) = [key for key in known if '"device":"auto"' in key]
    if known[machine]["device"] != "cpu":
        pytest.skip("there is a better device than the CPU")
    note.write_text(json.dumps(known | {machine: {"device": "cuda", "dtype": "float32"}}))
    other_prompt(project)
    scored.clear()

    tables = predictions_of(project)

    assert scored == bars(*SIDES)
    assert {table.facts["made_of"]["device"] for table in tables.values()} == {"cpu"}
    assert json.loads(note.read_text())[machine] == known[machine]


def test_a_stored_compat_adapter_is_found_though_no_tokenizer_can_be_loaded(
    trained_cache, tmp_path
):
    update = update_of(shutil.copytree(trained_cache.parent, tmp_path / "project"))
    for version in ("old", "new"):
        update.base(version).__class__ = Untouchable

    assert update.compat_adapter("colours").origin == "stored"


class Untouchable:
    """A model of which nothing may be asked."""

    def __getattribute__(self, name: str) -> Any:
        pytest.fail(f"{name} was asked")


def test_vocabularies_are_compared_before_two_adapters_are_trained(
    trained_cache, tiny_models, tmp_path
):
    folder = shutil.copytree(trained_cache.parent, tmp_path / "project")
    shutil.rmtree(folder / ".muscle_cache")
    other = shutil.copytree(tiny_models / "v1", tmp_path / "other")
    content = json.loads((other / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["zzz"] = vocabulary.pop(max(vocabulary, key=vocabulary.get))
    content["model"]["merges"].pop()
    (other / "tokenizer.json").write_text(json.dumps(content))
    update = update_of(folder, Flags(old=str(other)))

    with pytest.raises(TrainingError, match="different vocabularies"):
        update.compat_adapter("colours")
    assert not list(folder.glob(".muscle_cache/adapters/*"))
