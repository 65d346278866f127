"""Generation tasks on the real models of the example project: minutes of computing.

Run with `pytest -m heavy`, with the packages of the extra `example`. GSM8K's questions come from
the file that the variable MUSCLE_GSM8K names, one JSON object a line with `question` and `answer`
(https://github.com/openai/grade-school-math).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_muscle import Predictions

from .docstrings import docstring_rows

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(7200)]

MODELS = """\
[old]
model = "{models}/v1"

[new]
model = "{models}/v2"
"""

GSM8K = """
[tasks.gsm8k]
kind = "generation"
eval = "eval.jsonl"
fewshot_data = "shots.jsonl"
fewshot = 4
prompt = "Question: {{ question }}\\nAnswer:"
gold = "{{ answer.split('####')[1] }}"
target = "{{ answer }}"
extract = "-?[$0-9.,]*[0-9]"
max_new_tokens = 128
stop = ["Question:"]
"""

SUMMARIES = """
[tasks.docstrings]
kind = "generation"
train = "train.jsonl"
eval = "eval.jsonl"
prompt = "{{ article }}\\nSummary:"
gold = "{{ summary }}"
metric = "rouge1"
tolerance = 0.05
max_new_tokens = 40
no_repeat_ngram_size = 2

[adapter]
rank = 16
epochs = 2
learning_rate = 4e-4
gradient_accumulation = 1

[compat]
learning_rate = 4e-4
"""


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(folder: Path, test: str) -> str:
    (folder / "test_update.py").write_text(test)
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**environment, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tables(folder: Path, task: str) -> dict[str, Predictions]:
    paths = (folder / ".muscle_cache" / "predictions").glob(f"{task}-*.jsonl")
    return {path.name.split("-")[1]: Predictions.load(path) for path in paths}


@pytest.mark.skipif("MUSCLE_GSM8K" not in os.environ, reason="MUSCLE_GSM8K names no file")
def test_gsm8k_s_numbers_are_found_in_what_the_model_writes(example: Path, tmp_path: Path):
    lines = Path(os.environ["MUSCLE_GSM8K"]).read_text().splitlines()
    rows = [json.loads(line) for line in lines[:120]]
    write_rows(tmp_path / "eval.jsonl", rows[:100])
    write_rows(tmp_path / "shots.jsonl", rows[100:])
    (tmp_path / "muscle.toml").write_text(MODELS.format(models=example / "models") + GSM8K)
    run(tmp_path, "def test_update(flip_report):\n    assert flip_report.n == 100\n")
    for side, table in tables(tmp_path, "gsm8k").items():
        found = [row for row in table if row.answer is not None]
        print(side, f"{len(found)} answers found, {table.accuracy:.2%} right")
        assert len(table) == 100
        assert all(bool(re.search(r"\d", row.text)) == (row.answer is not None) for row in table)
        for row in found:  # the last number that stands in the text, as one reads it
            last = re.findall(r"\d[\d,.]*", row.text)[-1].strip(".,").replace(",", "")
            assert float(row.answer) == pytest.approx(float(last)) or "-" in row.text
        for row in table:
            right = row.answer is not None and float(row.answer) == float(
                str(row.gold).replace(",", "")
            )
            assert row.correct == right


def test_summaries_of_real_texts_are_graded_and_flip(example: Path, tmp_path: Path):
    rows = docstring_rows()
    write_rows(tmp_path / "train.jsonl", rows[:400])
    write_rows(tmp_path / "eval.jsonl", rows[400:600])
    (tmp_path / "muscle.toml").write_text(MODELS.format(models=example / "models") + SUMMARIES)
    run(
        tmp_path,
        "def test_update(flip_report, compat_predictions):\n    assert flip_report.n == 200\n",
    )
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1"], use_stemmer=True)
    made = tables(tmp_path, "docstrings")
    assert set(made) == {"old", "new", "compat"}
    for side, table in made.items():
        print(side, f"ROUGE-1 {table.accuracy:.4f}")
        assert table.graded
        for row in table:
            again = scorer.score(row.gold, row.text.strip())["rouge1"].fmeasure
            assert row.score == pytest.approx(again)
