"""Malformed data files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_muscle import ModelUpdate, read_settings
from pytest_muscle.digests import canonical_json
from pytest_muscle.housekeeping import clear_cache
from pytest_muscle.tasks.rows import read_rows
from tests.fuzz.feeding import feed, look, refused
from tests.fuzz.mutations import corpus, each_nasty, mutated

CONFIGURATION = """
[tasks.t]
kind = "multiple_choice"
train = "data/rows.{suffix}"
eval = "data/rows.{suffix}"
prompt = "{{{{ question }}}}"
choices = {choices}
gold = "{{{{ label }}}}"
slices = ["{slice}"]

[run]
cache = "cache"
"""
LIST = '"{{ options }}"'
PAIR = '["{{ first }}", "{{ second }}"]'


def use(project: Path) -> None:
    """Ask a task all that is asked of its data; what is remembered of them is the same again."""
    settings = read_settings(project / "muscle.toml", invocation_dir=project)
    task = ModelUpdate(settings).task("t")
    digest, train_digest = task.digest, task.train_digest
    examples = list(task.eval)
    assert len(task.train) == len(examples) > 0
    for example in examples:
        assert task.eval_by_id[example.id] == example
        example.prompt.encode()
        canonical_json(example.fields)
        assert all(map(str.strip, example.options))
        assert example.answer_text(example.gold) == example.options[example.gold]
        task.continuation(example, example.gold).encode()
    again = ModelUpdate(settings).task("t")
    assert (again.digest, again.train_digest) == (digest, train_digest)


def check_all(project: Path, kind: str, suffix: str, choices: str, slice_: str, seeds) -> None:
    text = CONFIGURATION.format(suffix=suffix, choices=choices, slice=slice_)
    (project / "muscle.toml").write_text(text)
    file = project / "data" / f"rows.{suffix}"
    before = look(project)
    sound = file.read_bytes()

    def check(content: bytes) -> None:
        file.write_bytes(content)
        with refused(file.name):
            use(project)
        clear_cache(project / "cache")
        assert look(project) == before | {file: content}

    for content in [*seeds, *each_nasty(sound)]:
        check(content)
    feed(kind, mutated(seeds), check)


def test_json_lines_are_examples_or_refused_with_their_place(project):
    seeds = corpus("data/*.jsonl")
    check_all(project, "rows of JSON Lines", "jsonl", LIST, "place", seeds)


def test_csv_are_examples_or_refused_with_their_place(project):
    check_all(project, "rows of CSV", "csv", PAIR, "name", corpus("data/*.csv"))


def test_parquet_are_examples_or_refused_with_their_place(project):
    import pyarrow
    import pyarrow.parquet

    rows = [row.columns for row in read_rows("data/rows.jsonl", project)]
    columns = {
        "question": [row["question"] for row in rows],
        "options": [row["options"] for row in rows],
        "label": [int(row["label"]) for row in rows],
        "place": [1.5, float("nan"), None],
    }
    file = project / "data" / "rows.parquet"
    seeds = []
    for options in ({}, {"compression": "none", "use_dictionary": False}):
        pyarrow.parquet.write_table(pyarrow.table(columns), file, **options)
        seeds.append(file.read_bytes())
    check_all(project, "rows of Parquet", "parquet", LIST, "place", seeds)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_sound_ones_are_accepted(project, name):
    suffix = name.partition(".")[2]
    choices, slice_ = (LIST, "place") if suffix == "jsonl" else (PAIR, "name")
    text = CONFIGURATION.format(suffix=suffix, choices=choices, slice=slice_)
    (project / "muscle.toml").write_text(text)
    use(project)
