"""Which few-shot examples are shown, and before which questions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_muscle.errors import DataError
from pytest_muscle.settings import TaskSettings
from pytest_muscle.tasks import Example, Task
from pytest_muscle.tasks.fewshot import Shots, draw_rows
from pytest_muscle.tasks.rows import Row

NUMBERS = [{"id": f"n{number}", "q": f"{number}?", "a": str(number)} for number in range(30)]


def make_task(folder: Path, train: list[dict[str, Any]] = NUMBERS, **keys: Any) -> Task:
    """A task that asks for two numbers, whose train set are all numbers."""
    data = {"train": train, "eval": [{"id": f"e{n}", "q": f"e{n}?", "a": "x"} for n in range(2)]}
    for name, rows in data.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    table = {
        "kind": "generation",
        "eval": "eval.jsonl",
        "train": "train.jsonl",
        "prompt": "{{ q }}",
        "gold": "{{ a }}",
        "fewshot": 3,
    } | keys
    return Task("support", TaskSettings(**table), folder, "muscle.toml")


def shown(example: Example) -> list[str]:
    """The questions of the few-shot examples."""
    return [part.split()[0] for part in example.prompt[: example.shots].split("\n\n") if part]


def test_all_questions_have_the_same_ones_drawn_with_the_seed(tmp_path):
    first, second = make_task(tmp_path).eval
    assert len(shown(first)) == len(set(shown(first))) == 3
    assert shown(first) == shown(second)
    other = make_task(tmp_path, seed=1).eval[0]
    assert shown(other) != shown(first)
    assert first.question == "e0? "


def test_the_order_of_the_rows_makes_no_difference(tmp_path):
    before = make_task(tmp_path)
    digest, prompts = before.digest, [example.prompt for example in before.eval]
    after = make_task(tmp_path, NUMBERS[::-1])
    assert after.digest == digest
    assert [example.prompt for example in after.eval] == prompts


def test_a_draw_is_even():
    rows = [Row({"id": str(number)}, "") for number in range(10)]
    counts = dict.fromkeys(map(str, range(10)), 0)
    for seed in range(1000):
        for row in draw_rows(rows, 3, seed, lambda row: row.columns["id"]):
            counts[row.columns["id"]] += 1
    assert all(240 < count < 360 for count in counts.values())  # 300 and 4 standard deviations


def test_a_training_example_is_not_shown_before_itself(tmp_path):
    task = make_task(tmp_path)
    usual = shown(task.eval[0])
    for example in task.train:
        assert example.question.strip() not in shown(example)
        assert len(shown(example)) == 3
        if example.question.strip() not in usual:
            assert shown(example) == usual


def test_where_there_is_no_spare_one_less_is_shown(tmp_path):
    task = make_task(tmp_path, NUMBERS[:3])
    assert [len(shown(example)) for example in task.train] == [2, 2, 2]
    assert len(shown(task.eval[0])) == 3


def test_an_evaluation_example_of_the_train_set_is_not_shown_before_itself(tmp_path):
    task = make_task(tmp_path, eval="train.jsonl")
    assert all(example.question.strip() not in shown(example) for example in task.eval)


def test_an_id_alone_does_not_make_two_examples_one():
    shot, other = Example("1", "a?", (), "x"), Example("1", "b?", (), "x")
    again = Example("2", "a?", (), "y")
    assert Shots((shot,)).before(other) == [shot]
    assert Shots((shot,)).before(again) == []
    assert Shots((shot,), other).before(again) == [other]
    assert Shots((shot,), again).before(again) == []


def test_listed_ones_are_shown_in_their_order(tmp_path):
    task = make_task(tmp_path, fewshot=("n7", "n2"))
    assert shown(task.eval[0]) == ["7?", "2?"]
    assert shown(task.train[7]) == ["2?"]
    rows = [row | {"id": number} for number, row in enumerate(NUMBERS)]
    assert shown(make_task(tmp_path, rows, fewshot=(7, "2")).eval[0]) == ["7?", "2?"]


def test_other_data_can_be_shown(tmp_path):
    rows = [{"id": "z", "q": "z?", "a": ["one", "two"]}]
    (tmp_path / "shots.jsonl").write_text(json.dumps(rows[0]))
    task = make_task(tmp_path, fewshot=1, fewshot_data="shots.jsonl")
    assert task.eval[0].prompt == "z? one\n\ne0? "
    assert task.train[0].prompt == "z? one\n\n0? "
    without = replace(task, settings=replace(task.settings, train=None))
    assert list(without.eval) == list(task.eval)


def test_choices_have_few_shot_examples_too(tmp_path):
    keys = {"kind": "classification", "choices": ("x", "y"), "fewshot": 1}
    rows = [{"id": "t", "q": "t?", "a": "y"}]
    task = make_task(tmp_path, rows, **keys)
    example = task.eval[0]
    assert example.prompt == "t? y\n\ne0?"
    assert (example.gold, example.question) == (0, "e0?")
    assert task.continuation(example, 0) == " x"
    assert task.digest != make_task(tmp_path, rows, **keys, fewshot_separator="\n").digest


@pytest.mark.parametrize(
    ("keys", "rows", "problem"),
    [
        ({"fewshot": 31}, NUMBERS, "train.jsonl has 30 examples, fewer than 31"),
        (
            {"fewshot": ("n2", "n77")},
            NUMBERS,
            "there is no example 'n77' in train.jsonl\n  did you mean 'n7'?",
        ),
        (
            {"fewshot": ("n2",)},
            [*NUMBERS, NUMBERS[2]],
            "train.jsonl:31: id 'n2' stands already at train.jsonl:3",
        ),
    ],
)
def test_examples_that_are_not_there_are_named(tmp_path, keys, rows, problem):
    with pytest.raises(DataError) as caught:
        _ = make_task(tmp_path, rows, **keys).eval
    assert problem in str(caught.value)
    assert "muscle.toml: tasks.support.fewshot" in str(caught.value)
