"""Examples of a definition are kept, and read again when what they are made of changes."""

from __future__ import annotations

import json

import pytest

from pytest_muscle.errors import DataError, PredictionsError
from pytest_muscle.harness import task as harness_task

WORDS = "lm-eval:words?include_path=tasks"
FIRST = 'filter = "first"'


@pytest.fixture
def loads(monkeypatch):
    """What the harness was asked to load so far."""
    loaded = []
    load = harness_task.load_task
    monkeypatch.setattr(harness_task, "load_task", lambda r: loaded.append(r.name) or load(r))
    return loaded


def test_examples_are_read_once(update, loads):
    first = update(WORDS, FIRST).tasks["a"]
    digest, examples = first.digest, list(first.eval)
    second = update(WORDS, FIRST).tasks["a"]
    assert (second.digest, list(second.eval)) == (digest, examples)
    assert [example.fields for example in second.eval] == [each.fields for each in examples]
    assert second.definition == first.definition
    assert loads == ["words"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("data/eval.jsonl", "river", "stream"),
        ("tasks/words.yaml", "max_gen_toks: 12", "max_gen_toks: 13"),
        ("tasks/functions.py", "It has ", "It is "),
    ],
)
def test_a_changed_file_is_read_again(update, definitions, loads, file, old, new):
    before = update(WORDS, FIRST).tasks["a"].digest
    path = definitions / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert update(WORDS, FIRST).tasks["a"].digest != before
    assert loads == ["words", "words"]


def test_another_definition_of_the_name_is_found(update, definitions, loads):
    before = update(WORDS, FIRST).tasks["a"].digest
    (definitions / "tasks" / "a_first.yaml").write_text("task: other\n")
    assert update(WORDS, FIRST).tasks["a"].digest == before
    assert loads == ["words", "words"]


def test_a_damaged_file_is_made_again(update, definitions, loads):
    update(WORDS, FIRST).tasks["a"].digest  # noqa: B018
    (path,) = (definitions / ".muscle_cache" / "definitions").glob("words-eval-*.jsonl")
    path.write_text("{")
    assert len(update(WORDS, FIRST).tasks["a"].eval) == 30
    assert loads == ["words", "words"]


def test_an_edited_example_is_noticed(update, definitions):
    update(WORDS, FIRST).tasks["a"].digest  # noqa: B018
    (path,) = (definitions / ".muscle_cache" / "definitions").glob("words-eval-*.jsonl")
    path.write_text(path.read_text().replace("It has", "It was", 1))
    with pytest.raises(DataError, match="examples of words are damaged"):
        _ = update(WORDS, FIRST).tasks["a"].eval


def test_other_few_shot_examples_are_another_definition(update, definitions):
    def digest() -> str:
        return update("lm-eval:colours?include_path=tasks").tasks["a"].definition.digest

    before = digest()
    path = definitions / "data" / "train.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[1:]))
    assert digest() != before


def test_what_cannot_be_stored_is_used_all_the_same(update, definitions):
    (definitions / ".muscle_cache").mkdir()
    (definitions / ".muscle_cache" / "definitions").write_text("in the way")
    assert len(update(WORDS, FIRST).tasks["a"].eval) == 30


def test_data_that_no_file_tells_of_are_read_each_time(update, definitions, loads):
    (definitions / "tasks" / "words.yaml").write_text(
        """
task: words
custom_dataset: !function made.rows
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
metric_list:
  - metric: exact_match
"""
    )
    (definitions / "tasks" / "made.py").write_text(
        "import datasets\n\ndef rows(**_):\n"
        "    return {'test': datasets.Dataset.from_list([{'question': '?', 'answer': 'a'}])}\n"
    )
    for _ in range(2):
        assert update(WORDS).tasks["a"].eval[0].gold == "a"
    assert loads == ["words", "words"]


@pytest.mark.filterwarnings("ignore::pytest_muscle.errors.MuscleWarning")
def test_a_baseline_of_another_definition_is_refused(update, definitions):
    from pytest_muscle.recording import record_baseline

    record_baseline(update(WORDS, FIRST), "old", "a")
    assert len(update(WORDS, FIRST).predictions("old", "a")) == 30
    path = definitions / "tasks" / "words.yaml"
    path.write_text(path.read_text().replace("max_gen_toks: 12", "max_gen_toks: 13"))
    with pytest.raises(PredictionsError) as caught:
        update(WORDS, FIRST).predictions("old", "a")
    assert "max_new_tokens: 12 when it was recorded, 13 now" in str(caught.value)
    recorded = json.loads(
        next((definitions / "muscle_baselines").glob("a.jsonl")).read_text().splitlines()[0]
    )
    assert recorded["id"].startswith("words/")


def test_another_filter_is_another_table(update):
    one, other = (
        update(WORDS, f'filter = "{name}"').tasks["a"].digest for name in ("first", "whole")
    )
    assert one != other


def test_random_numbers_go_on_as_they_were(update):
    import random

    import numpy as np
    import torch

    def drawn() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), float(torch.rand(1))

    for _ in range(2):
        random.seed(3), np.random.seed(3), torch.manual_seed(3)
        wanted = drawn()
        random.seed(3), np.random.seed(3), torch.manual_seed(3)
        update(WORDS, FIRST).tasks["a"].digest  # noqa: B018
        assert drawn() == wanted
