"""Log-likelihoods become a table of answers, whatever the size of the data."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_muscle.errors import ModelError
from pytest_muscle.predictions import Prediction
from pytest_muscle.predictions.judging import judge
from pytest_muscle.tasks import Example, Task


def test_each_example_gets_the_answer_that_the_metric_chooses(colour_task: Callable[..., Task]):
    task = colour_task(metric="acc_norm")
    examples = [
        Example("a", "Q1", ("no", "longest"), 0),
        Example("b", "Q2", ("x", "y", "z"), 2),
    ]
    rows = judge(task, examples, [(-2.0, -3.5), (-1.0, -2.0, -0.5)])
    assert list(rows) == [
        Prediction("a", 1, 0, False, 0.0, (-2.0, -3.5), examples[0].digest),  # -1 and -0.5 a sign
        Prediction("b", 2, 2, True, 1.0, (-1.0, -2.0, -0.5), examples[1].digest),
    ]


def test_one_example_is_judged_when_its_numbers_come(colour_task: Callable[..., Task]):
    asked = []

    def examples() -> Iterator[Example]:
        for number in range(3):
            asked.append(number)
            yield Example(str(number), "Q", ("a", "b"), 0)

    def scored() -> Iterator[tuple[float, ...]]:
        for number in range(3):
            assert len(asked) == number + 1
            yield (-1.0, -2.0)

    assert len(judge(colour_task(), examples(), scored())) == 3


def test_numbers_are_neither_missing_nor_left_over(colour_task: Callable[..., Task]):
    task = colour_task()
    with pytest.raises(ValueError, match="shorter"):
        judge(task, task.eval, [(-1.0,) * 4] * 9)
    with pytest.raises(ValueError, match="longer"):
        judge(task, task.eval, [(-1.0,) * 4] * 11)


def test_what_is_not_a_number_is_no_answer(colour_task: Callable[..., Task]):
    with pytest.raises(ModelError, match="example 'a' is not a number"):
        judge(colour_task(), [Example("a", "Q", ("a", "b"), 0)], [(float("nan"), -1.0)])


PEAK = """
import json, resource, sys
from pathlib import Path
from pytest_muscle.predictions import Predictions
from pytest_muscle.predictions.judging import judge
from pytest_muscle.settings import TaskSettings
from pytest_muscle.tasks import Task

count, folder = int(sys.argv[1]), Path(sys.argv[2])
with (folder / f"{count}.jsonl").open("w") as file:
    for number in range(count):
        text = f"Which of the four is number {number}? " * 10
        options = [f"the {word} of {number}" for word in ("first", "second", "third", "fourth")]
        row = {"id": f"q{number}", "question": text, "options": options, "label": number % 4}
        file.write(json.dumps(row) + "\\n")
table = TaskSettings(
    kind="multiple_choice",
    eval=f"{count}.jsonl",
    prompt="Question: {{ question }}\\nAnswer:",
    choices="{{ options }}",
    gold="{{ label }}",
)
task = Task("big", table, folder, "muscle.toml")
assert len(task.eval) == count and len(task.digest) == 64
scored = ((-1.0, -1.5 + number % 2, -2.0, -3.0) for number in range(count))
rows = judge(task, task.eval, scored)
table = Predictions(rows, facts={"digest": task.digest}, examples=task.eval_by_id)
assert table.accuracy == 0.5 and table.examples["q77"].gold == 1
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak if sys.platform == "darwin" else 1024 * peak)
"""


def test_memory_grows_with_the_answers_and_not_with_the_data(tmp_path: Path):
    pytest.importorskip("resource")
    few, many = 2_000, 200_000
    peaks = [
        int(subprocess.check_output([sys.executable, "-c", PEAK, str(count), str(tmp_path)]))
        for count in (few, many)
    ]
    grown = (peaks[1] - peaks[0]) / (many - few)
    # An answer takes 107 bytes and its id 56; while the table is made it takes half as much again.
    # The examples in memory would add 2,200.
    assert grown < 350, f"{grown:.0f} bytes per example"
