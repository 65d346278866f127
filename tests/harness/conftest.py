"""A folder of small definitions over local data, and what lm-evaluation-harness makes of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import colour_rows, write_jsonl

DATA = """
dataset_path: json
dataset_kwargs:
  data_files: {train: data/train.jsonl, test: data/eval.jsonl}
  cache_dir: hub
training_split: train
test_split: test
"""
CHOICE = """
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{options}}"
"""
DEFINITIONS = {
    "colours": f"""{DATA}{CHOICE}
doc_to_target: label
num_fewshot: 2
description: "Colours of things.\\n\\n"
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
""",
    "lengths": f"""{DATA}
output_type: multiple_choice
doc_to_text: "{{{{question}}}} "
doc_to_choice: "{{{{words}}}}"
doc_to_target: "{{{{words[label]}}}}"
target_delimiter: ""
metric_list:
  - metric: acc
  - metric: acc_norm
  - metric: acc_bytes
  - metric: mcc
""",
    "blanks": f"""{DATA}
output_type: multiple_choice
doc_to_text: label
doc_to_target: "of the {{{{place}}}}."
doc_to_choice: !function functions.fill
num_fewshot: 1
metric_list:
  - metric: acc
""",
    "words": f"""{DATA}
output_type: generate_until
doc_to_text: !function functions.ask
doc_to_target: R
generation_kwargs:
  until: ["\\n\\n", "no"]
  max_gen_toks: 12
filter_list:
  - name: first
    filter:
      - function: regex
        regex_pattern: "([a-zA-Z])"
      - function: take_first
  - name: whole
    filter:
      - function: take_first
metric_list:
  - metric: exact_match
    ignore_case: true
    regexes_to_ignore: [","]
""",
    "marks": f"""{DATA}
output_type: generate_until
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{options}}}}"
process_results: !function functions.mark
num_fewshot: 1
generation_kwargs: {{until: ["Question:"], max_gen_toks: 20, do_sample: false}}
metric_list:
  - {{metric: letters, aggregation: mean, higher_is_better: true}}
  - {{metric: short, aggregation: mean, higher_is_better: true}}
  - {{metric: faults, aggregation: mean, higher_is_better: false}}
""",
    "corpus": f"""{DATA}
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{options[label]}}}}"
metric_list:
  - metric: bleu
""",
    "stories": f"""{DATA}
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{question}}}}"
""",
    "dice": f"""{DATA}
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{options[label]}}}}"
generation_kwargs: {{until: ["."], do_sample: true, temperature: 0.7}}
metric_list:
  - metric: exact_match
""",
    "zero": f"""{DATA}{CHOICE}
doc_to_target: label
num_fewshot: 0
metric_list:
  - metric: acc
""",
    "shuffled": f"""{DATA}{CHOICE}
process_docs: !function functions.shuffle
doc_to_target: label
metric_list:
  - metric: acc
""",
    "broken": f"""{DATA}{CHOICE}
doc_to_target: "{{{{nothing.at.all}}}}"
""",
    "elsewhere": f"""
dataset_path: owner/nothing-of-that-name
test_split: test
{CHOICE}
doc_to_target: label
""",
}
FUNCTIONS = """
import random


def shuffle(docs):
    def shuffled(doc):
        right = doc["options"][doc["label"]]
        options = random.sample(doc["options"], len(doc["options"]))
        return {"options": options, "label": options.index(right)}

    return docs.map(shuffled)

def ask(doc):
    return f"{doc['question']} It has "


def fill(doc):
    return [f"The {option} stone" for option in doc["options"]]


def mark(doc, results):
    text = results[0]
    found = sum(option[0] in text for option in doc["options"]) / len(doc["options"])
    return {"letters": found, "short": int(len(text) % 2), "faults": text.count("x")}
"""


def write_definitions(folder: Path) -> Path:
    """Write the definitions and their data; return the folder."""
    rows = colour_rows(60, 7)
    more = ["größer", "a long answer of many words", "日本の北", "r"]
    for number, row in enumerate(rows):
        row["words"] = [*list(map(str, row["options"]))[:2], more[number % 4], more[-number % 3]]
    write_jsonl(folder / "data" / "train.jsonl", rows[:30])
    write_jsonl(folder / "data" / "eval.jsonl", rows[30:])
    tasks = folder / "tasks"
    tasks.mkdir()
    for name, text in DEFINITIONS.items():
        (tasks / f"{name}.yaml").write_text(f"task: {name}\n{text}", encoding="utf-8")
    (tasks / "group.yaml").write_text("group: all_words\ntask: [words, marks]\n")
    (tasks / "functions.py").write_text(FUNCTIONS)
    return folder


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    """A folder with definitions in `tasks` and data in `data`."""
    return write_definitions(tmp_path)


@pytest.fixture(scope="session")
def steep_model(make_tiny_model: Callable[..., Path], tmp_path_factory: Any) -> Path:
    """A tiny model whose answers are not all alike."""
    folder = tmp_path_factory.mktemp("steep")
    return make_tiny_model(folder / "m", 5, initializer_range=0.3, max_position_embeddings=512)


@pytest.fixture(scope="session")
def peer(steep_model: Path, tmp_path_factory: Any) -> Callable[..., list[dict[str, Any]]]:
    """A function that returns the samples of a definition as the harness itself evaluates it."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    folder = write_definitions(tmp_path_factory.mktemp("peer"))
    model = HFLM(pretrained=str(steep_model), dtype="float32", device="cpu", batch_size=4)

    def evaluate(name: str, filter_: str = "none", **options: Any) -> list[dict[str, Any]]:
        with contextlib.chdir(folder):
            manager = TaskManager(include_path="tasks", include_defaults=False)
            found = simple_evaluate(
                model=model, tasks=[name], task_manager=manager, bootstrap_iters=0, **options
            )
        return [row for row in found["samples"][name] if row["filter"] == filter_]

    return evaluate


@pytest.fixture
def update(definitions: Path, steep_model: Path) -> Callable[..., Any]:
    """A function that returns the update of a project with one task, named `a`."""
    from pytest_muscle import ModelUpdate, read_settings

    def make(reference: str, *keys: str, limit: int | None = None) -> Any:
        from pytest_muscle.settings.flags import Flags

        lines = [
            f'[old]\nmodel = "{steep_model}"\n[new]\nmodel = "{steep_model}"',
            f'[run]\ndevice = "cpu"\ndtype = "float32"\n[tasks.a]\ntask = "{reference}"',
            *keys,
        ]
        path = definitions / "muscle.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        settings = read_settings(path, Flags(limit=limit), invocation_dir=definitions)
        return ModelUpdate(settings)

    return make
