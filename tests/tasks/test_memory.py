"""Digests of data are remembered by all that they depend on, and by nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import DataError
from pytest_muscle.settings import GateSettings, TaskSettings
from pytest_muscle.tasks import Task, task
from pytest_muscle.tasks.memory import DigestMemory
from pytest_muscle.tasks.rows import Row, read_rows

ROWS = [
    {"id": "a", "key": "1", "question": "Sky?", "options": ["red", "blue"], "label": 1, "place": 1},
    {"id": "b", "key": "2", "question": "Sea?", "options": ["red", "blue"], "label": 0, "place": 2},
]
TABLE = TaskSettings(
    kind="multiple_choice",
    eval="eval.jsonl",
    train="train.jsonl",
    prompt="Q: {{ question }}",
    choices="{{ options }}",
    gold="{{ label }}",
)


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write(tmp_path, "eval.jsonl", ROWS)
    write(tmp_path, "train.jsonl", ROWS)
    return tmp_path


@pytest.fixture
def make(data: Path) -> Callable[..., Task]:
    """A function that makes the task as another pytest run would."""

    def make_task(limit: int | None = None, **keys: Any) -> Task:
        files = FileDigests(data / "cache" / "digests.json")
        memory = DigestMemory(data / "cache" / "tasks.json", files)
        return Task("sky", replace(TABLE, **keys), data, "muscle.toml", limit, memory)

    return make_task


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that rows were read from."""
    sources: list[str] = []

    def counting(source: str, root: Path) -> Any:
        sources.append(source)
        if source.startswith("datasets:"):
            return iter([Row(row, source) for row in ROWS])
        return read_rows(source, root)

    monkeypatch.setattr(task, "read_rows", counting)
    return sources


def test_data_that_have_not_changed_are_not_read_again(make, reads):
    first = make()
    digests = (first.digest, first.train_digest)
    assert reads == ["eval.jsonl", "train.jsonl"]

    second = make()

    assert (second.digest, second.train_digest) == digests
    assert len(reads) == 2
    assert [example.id for example in second.eval] == ["a", "b"]  # now they are
    assert len(reads) == 3


def test_it_is_the_digest_that_is_made_without_memory(make):
    for known in (make(), make()):
        fresh = replace(make(), memory=None)
        assert (known.digest, known.train_digest) == (fresh.digest, fresh.train_digest)


@pytest.mark.parametrize("part", ["eval", "train"])
def test_data_that_have_changed_are_read_again(make, data, reads, part):
    before = make()
    digests = {"eval": before.digest, "train": before.train_digest}
    reads.clear()
    write(data, f"{part}.jsonl", [ROWS[0], ROWS[1] | {"question": "Ice?"}])  # as long as before

    after = make()

    assert after.digest != digests["eval"] or part == "train"
    assert after.train_digest != digests["train"] or part == "eval"
    assert reads == [f"{part}.jsonl"]


@pytest.mark.parametrize(
    "keys",
    [
        {"prompt": "{{ question }}"},
        {"choices": ("red", "pink")},
        {"gold": "{{ 1 - label }}"},
        {"id": "key"},
        {"delimiter": "\n"},
        {"metric": "acc_norm"},
        {"limit": 1},
        {"kind": "classification", "choices": ("red", "blue")},
    ],
)
def test_every_key_that_changes_the_examples_counts(make, reads, keys):
    before = make().digest
    reads.clear()

    assert make(**keys).digest != before
    assert reads == ["eval.jsonl"]


@pytest.mark.parametrize(
    "keys", [{"gate": GateSettings(max_nfr=0.1)}, {"new_adapter": "x"}, {"train": None}]
)
def test_keys_that_examples_do_not_depend_on_do_not_count(make, reads, keys):
    before = make().digest
    reads.clear()

    assert make(**keys).digest == before
    assert reads == []


def test_another_limit_does_not_read_the_train_set_again(make, reads):
    _ = make().train_digest
    reads.clear()

    _ = make(limit=1).train_digest

    assert reads == []


def test_a_copy_of_the_data_elsewhere_is_known(make, data, reads):
    before = make().digest
    reads.clear()
    (data / "copy").mkdir()
    (data / "eval.jsonl").rename(data / "copy" / "eval.jsonl")

    assert make(eval="copy/eval.jsonl").digest == before
    assert reads == []


def test_a_mistake_in_the_data_is_found_each_time(make, data):
    write(data, "eval.jsonl", [*ROWS, ROWS[0]])

    for _ in range(2):
        with pytest.raises(DataError, match=r"id 'a' stands already at eval.jsonl:1"):
            _ = make().digest


def test_a_column_that_slices_name_is_looked_for_though_the_data_are_known(make):
    _ = make().digest

    with pytest.raises(DataError, match="there is no column 'planet'"):
        _ = make(slices=("planet",)).digest


def test_what_changes_before_it_is_read_is_not_remembered(make, data, monkeypatch):
    def change_and_read(source: str, root: Path) -> Iterator[Row]:
        write(data, "eval.jsonl", ROWS[:1])
        return read_rows(source, root)

    with monkeypatch.context() as patch:
        patch.setattr(task, "read_rows", change_and_read)
        changed = make().digest
    write(data, "eval.jsonl", ROWS)

    assert make().digest != changed


def test_what_was_read_before_the_file_changed_is_not_remembered_as_the_file_s(make, data):
    early = make()
    assert len(early.eval) == 2
    write(data, "eval.jsonl", ROWS[:1])
    _ = early.digest

    assert make().digest == replace(make(), memory=None).digest


@pytest.mark.parametrize("part", ["eval", "train"])
def test_data_that_change_after_their_digest_was_recalled_are_refused(make, data, part):
    """Else answers to the new questions would be stored as answers to the old ones."""
    for known in (make(), make()):
        _ = known.digest, known.train_digest
    write(data, f"{part}.jsonl", ROWS[:1])

    with pytest.raises(DataError, match=rf"{part}.jsonl: changed while it was in use"):
        _ = getattr(known, part)


def test_what_a_data_set_holds_cannot_be_seen_from_outside(make, reads):
    keys = {"eval": "datasets:someone/sky#test"}

    assert make(**keys).digest == make(**keys).digest == make().digest
    assert reads[:2] == ["datasets:someone/sky#test"] * 2


def test_few_shot_examples_that_have_changed_change_what_is_asked(make, data, reads):
    write(data, "shots.jsonl", [ROWS[0] | {"question": "Ice?"}])
    keys = {"fewshot": 1, "fewshot_data": "shots.jsonl"}
    before = make(**keys)
    digests = (before.digest, before.train_digest)
    assert digests[0] != make().digest
    reads.clear()
    assert (make(**keys).digest, make(**keys).train_digest) == digests
    assert reads == []

    write(data, "shots.jsonl", [ROWS[0] | {"question": "Air?"}])

    after = make(**keys)
    assert after.digest != digests[0]
    assert after.train_digest != digests[1]


def test_few_shot_examples_of_the_train_set_change_with_it(make, data):
    before = make(fewshot=2).digest
    write(data, "train.jsonl", [ROWS[0], ROWS[1] | {"question": "Ice?"}])
    assert make(fewshot=2).digest != before
    assert make().digest == make(train=None).digest


def test_few_shot_examples_that_change_in_between_are_refused(make, data):
    write(data, "shots.jsonl", ROWS)
    keys = {"fewshot": 1, "fewshot_data": "shots.jsonl"}
    for known in (make(**keys), make(**keys)):
        _ = known.digest
    write(data, "shots.jsonl", ROWS[:1])

    with pytest.raises(DataError, match="changed while it was in use"):
        _ = known.eval


def test_a_data_set_of_few_shot_examples_cannot_be_seen_from_outside(make, reads):
    keys = {"fewshot": 1, "fewshot_data": "datasets:someone/sky#test"}
    assert make(**keys).digest == make(**keys).digest
    assert reads.count("eval.jsonl") == 2


def test_tolerance_is_no_part_of_what_is_asked(make, reads):
    keys = {"kind": "generation", "choices": None}
    before = make(**keys).digest
    reads.clear()

    assert make(**keys, tolerance=0.1).digest == before
    assert reads == []


def test_a_missing_file_is_the_reader_s_to_report(make):
    with pytest.raises(DataError, match=r"nowhere.jsonl: cannot be read"):
        _ = make(eval="nowhere.jsonl").digest
