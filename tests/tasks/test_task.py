"""From a data file to examples, and from log-likelihoods to an answer."""

from __future__ import annotations

import hashlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from pytest_muscle.errors import ConfigurationError, DataError, ModelError
from pytest_muscle.settings import Settings, TaskSettings
from pytest_muscle.tasks import Example, Task, build_tasks
from pytest_muscle.tasks.decoding import Decoding
from pytest_muscle.tasks.grading import Grade

ROWS = [
    {"question": "Sky?", "options": ["red", "blue"], "label": 1, "place": "up"},
    {"question": "Grass?", "options": ["green", "pink"], "label": 0, "place": "down"},
    {"question": "Snow?", "options": ["black", "white"], "label": 1, "place": "down"},
]


def make_task(folder: Path, rows: list[dict[str, Any]] | str = ROWS, **keys: Any) -> Task:
    """A task over `data.jsonl`, with the usual templates where nothing else is given."""
    text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "data.jsonl").write_text(text, encoding="utf-8")
    limit = keys.pop("limit", None)
    table = {
        "kind": "multiple_choice",
        "eval": "data.jsonl",
        "prompt": "Q: {{ question }}\nA:",
        "choices": "{{ options }}",
        "gold": "{{ label }}",
    } | keys
    return Task("support", TaskSettings(**table), folder, "muscle.toml", limit)


def refusal(folder: Path, rows: list[dict[str, Any]] | str = ROWS, **keys: Any) -> str:
    with pytest.raises(DataError) as caught:
        _ = make_task(folder, rows, **keys).eval
    return str(caught.value)


def row(**columns: Any) -> dict[str, Any]:
    return ROWS[0] | columns


# --- examples


def test_each_row_is_an_example(tmp_path):
    first, *_ = make_task(tmp_path, [row(id="q1")]).eval
    assert (first.id, first.prompt) == ("q1", "Q: Sky?\nA:")
    assert (first.options, first.gold) == (("red", "blue"), 1)
    assert first.fields["place"] == "up"
    assert [first.answer_text(answer) for answer in (0, 1, 2, "x")] == ["red", "blue", "2", "x"]


def test_limit_takes_the_first_and_leaves_the_train_set_alone(tmp_path):
    task = make_task(tmp_path, limit=2, train="data.jsonl")
    assert [example.gold for example in task.eval] == [1, 0]
    assert len(task.train) == 3
    assert list(make_task(tmp_path).train) == []


def test_the_same_data_as_csv_asks_the_same(tmp_path):
    (tmp_path / "data.csv").write_text("question,a,b,label\nSky?,red,blue,1\n")
    found = make_task(tmp_path, eval="data.csv", choices=("{{ a }}", "{{ b }}")).eval
    assert found[0].digest == make_task(tmp_path).eval[0].digest


def test_parquet_lists_are_options(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "data.parquet")
    found = make_task(tmp_path, eval="data.parquet").eval
    assert [example.digest for example in found] == [e.digest for e in make_task(tmp_path).eval]


def test_tasks_are_built_from_settings_and_read_nothing_yet(tmp_path):
    table = make_task(tmp_path).settings
    path = tmp_path / "muscle.toml"
    tasks = build_tasks(Settings(path=path, tasks={"a": table}, limit=2))
    (tmp_path / "data.jsonl").unlink()
    assert (tasks["a"].root, tasks["a"].limit, tasks["a"].gate) == (tmp_path, 2, table.gate)
    with pytest.raises(DataError, match="cannot be read"):
        _ = tasks["a"].eval


# --- ids


def test_ids_from_content_do_not_depend_on_the_order_of_rows_or_keys(tmp_path):
    ids = {example.prompt: example.id for example in make_task(tmp_path).eval}
    turned = [dict(reversed(row.items())) for row in reversed(ROWS)]
    assert {example.prompt: example.id for example in make_task(tmp_path, turned).eval} == ids
    content = '{"label":1,"options":["red","blue"],"place":"up","question":"Sky?"}'
    assert ids["Q: Sky?\nA:"] == hashlib.sha256(content.encode()).hexdigest()


def test_ids_come_from_the_column_that_id_names(tmp_path):
    rows = [row(key=7), row(key=8)]
    assert [example.id for example in make_task(tmp_path, rows, id="key").eval] == ["7", "8"]
    assert [example.id for example in make_task(tmp_path, [row(id=0)]).eval] == ["0"]


def test_duplicate_ids_are_named_with_both_lines(tmp_path):
    message = refusal(tmp_path, [row(id="a"), row(id="b"), row(id="a")])
    assert message.startswith("data.jsonl:3: id 'a' stands already at data.jsonl:1")
    assert "data.jsonl:2: id '1' stands already" in refusal(tmp_path, [row(id=1), row(id="1")])


def test_a_duplicate_is_found_however_far_away(tmp_path):
    rows = [row(id=number % 299) for number in range(300)]
    message = refusal(tmp_path, rows)
    assert message.startswith("data.jsonl:300: id '0' stands already at data.jsonl:1")
    assert len(make_task(tmp_path, rows, limit=299).eval) == 299


def test_duplicate_rows_are_duplicate_ids(tmp_path):
    message = refusal(tmp_path, [*ROWS, dict(reversed(ROWS[1].items()))])
    assert message.startswith("data.jsonl:4: id ")
    assert "stands already at data.jsonl:2" in message


def test_an_odd_name_is_written_as_toml_writes_it(tmp_path):
    task = make_task(tmp_path, prompt="{{")
    odd = Task("my task", task.settings, tmp_path, "muscle.toml")
    with pytest.raises(ConfigurationError, match=r'tasks\."my task"\.prompt: is not a valid'):
        _ = odd.eval


# --- what the model is asked, and what it chooses


@pytest.mark.parametrize(
    ("prompt", "delimiter", "expected"),
    [
        ("Q:", " ", " red"),
        ("Q:", "", "red"),
        ("Q:", "\n", "\nred"),
        ("Q: ", " ", "red"),
        ("Q:\n", " ", "red"),
        ("", " ", "red"),
    ],
)
def test_the_delimiter_stands_between_prompt_and_option_once(tmp_path, prompt, delimiter, expected):
    task = make_task(tmp_path, prompt=prompt, delimiter=delimiter)
    assert task.continuation(task.eval[0], 0) == expected


@pytest.mark.parametrize(("metric", "answer"), [("acc", 0), ("acc_norm", 1), ("acc_bytes", 1)])
def test_the_metric_of_the_table_chooses(tmp_path, metric, answer):
    task = make_task(tmp_path, [row(options=["no", "much"], label=0)], metric=metric)
    assert task.answer((-6.0, -8.0), task.eval[0]) == answer  # per character: -3 and -2


@pytest.fixture
def own_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    module: Any = types.ModuleType("own_metrics")
    module.last = lambda values, options: np.int64(len(options) - 1)
    module.beyond = lambda values, options: len(options)
    module.before = lambda values, options: -1
    module.text = lambda values, options: options[0]
    module.nothing = lambda values, options: None
    module.broken = lambda values: 0
    monkeypatch.setitem(sys.modules, "own_metrics", module)


@pytest.mark.usefixtures("own_metrics")
def test_your_own_metric_chooses_or_is_refused(tmp_path):
    def answer(name: str) -> object:
        task = make_task(tmp_path, metric=f"own_metrics:{name}")
        return task.answer((-1.0, -2.0), task.eval[0])

    assert answer("last") == 1
    assert type(answer("last")) is int
    for name in ("beyond", "before", "text", "nothing", "broken"):
        with pytest.raises(ConfigurationError) as caught:
            answer(name)
        assert str(caught.value).startswith("muscle.toml: tasks.support.metric: own_metrics:")


def test_what_is_not_a_number_is_no_answer(tmp_path):
    task = make_task(tmp_path, [row(id="q1")])
    with pytest.raises(ModelError, match="a log-likelihood of example 'q1' is not a number"):
        task.answer((-1.0, float("nan")), task.eval[0])


def test_a_digest_changes_with_all_that_is_asked_and_nothing_else(tmp_path):
    digest = make_task(tmp_path).digest
    assert make_task(tmp_path, slices=("place",)).digest == digest
    others = [
        make_task(tmp_path, prompt="{{ question }}").digest,
        make_task(tmp_path, delimiter="").digest,
        make_task(tmp_path, metric="acc_norm").digest,
        make_task(tmp_path, gold="{{ 1 - label }}").digest,
        make_task(tmp_path, choices="{{ options | reverse | list }}").digest,
        make_task(tmp_path, limit=2).digest,
        make_task(tmp_path, [*ROWS, row(id="x")]).digest,
    ]
    assert len({digest, *others}) == 8


def test_digests_are_those_of_the_first_versions(tmp_path):
    """Computed before examples were streamed; adapters and baselines are found by them."""
    task = make_task(tmp_path, train="data.jsonl")
    assert task.digest == "08210beed1359c5d12a07419e067f5d073026b341a5931cdfd8251c52dedad06"
    assert task.train_digest == "7b1d7dcf46f12aeb5d94f15b212f67da06c3d787e51f42356bab1e9b24cb143e"
    odd = make_task(tmp_path, [row(id='ä\u2028"\\')], delimiter="")
    assert odd.digest == "cf724023abd675e0a95b84dc921ba16f45f94b55775afd867f6831c0731febdd"
    none = make_task(tmp_path).train_digest
    assert none == "d5736720f81ecb6b2eab212403f51c447d02c6017a81146d8250eb4842fefe1a"


# --- generation

GENERATION = {"kind": "generation", "choices": None, "gold": "{{ options[label] }}"}


def test_a_generation_task_writes_and_grades(tmp_path):
    task = make_task(tmp_path, **GENERATION, extract="is (.*)", tolerance=0.1)
    assert (task.generates, task.metric, task.tolerance) == (True, "exact_match", 0.1)
    assert task.eval[0].gold == "blue"
    assert task.grade("It is Blue.", task.eval[0]) == Grade("blue", 1.0, True, False)
    assert task.grade("Blue.", task.eval[0]) == Grade(None, 0.0, False, False)


def test_a_choice_task_writes_nothing(tmp_path):
    task = make_task(tmp_path)
    assert (task.generates, task.metric, task.decoding, task.conditions) == (False, "acc", None, {})


def test_how_answers_are_written_is_what_the_table_says(tmp_path):
    assert make_task(tmp_path, **GENERATION).decoding == Decoding()
    keys = {
        "max_new_tokens": 5,
        "stop": ("\n", "Q:"),
        "no_repeat_ngram_size": 2,
        "temperature": 0.7,
        "top_k": 40,
        "top_p": 0.9,
        "repeats": 3,
        "seed": 8,
    }
    assert make_task(tmp_path, **GENERATION, **keys).decoding == Decoding(**keys)


@pytest.mark.parametrize(
    ("keys", "stop"),
    [
        ({"stop": "\n"}, ("\n",)),
        ({"fewshot": 1}, ("\n\n",)),
        ({"fewshot": 1, "stop": ()}, ()),
        ({"fewshot": 1, "stop": "Q:"}, ("Q:",)),
        ({"fewshot": 1, "fewshot_separator": ""}, ()),
        ({"fewshot": 1, "chat": True}, ()),
    ],
)
def test_an_answer_ends_where_the_next_example_would_begin(tmp_path, keys, stop):
    decoding = make_task(tmp_path, **GENERATION, train="data.jsonl", **keys).decoding
    assert decoding is not None
    assert decoding.stop == stop


def test_a_digest_changes_with_all_that_makes_texts_and_scores(tmp_path):
    def make(**keys: Any) -> Task:
        return make_task(tmp_path, train="data.jsonl", **(GENERATION | keys))

    before = make()
    others = [
        make_task(tmp_path),
        make(prompt="{{ question }}"),
        make(gold="{{ options[1 - label] }}"),
        make(gold="{{ options }}"),
        make(delimiter="\n"),
        make(chat=True),
        make(metric="f1"),
        make(extract=".*"),
        make(extract=".*", extract_match="first"),
        make(normalise=("case",)),
        make(max_new_tokens=7),
        make(stop="x"),
        make(no_repeat_ngram_size=2),
        make(temperature=0.5),
        make(temperature=0.5, seed=1),
        make(temperature=0.5, repeats=2),
        make(temperature=0.5, top_k=2),
        make(temperature=0.5, top_p=0.5),
        make(fewshot=1),
        make(fewshot=1, fewshot_separator="\n"),
        make(fewshot=2),
    ]
    assert len({before.digest, *(task.digest for task in others)}) == 22
    same = [make(tolerance=0.5), make(metric="exact_match"), make(slices=("place",))]
    assert {task.digest for task in same} == {before.digest}


def test_what_is_learnt_changes_with_what_is_shown_and_nothing_else(tmp_path):
    def digest(**keys: Any) -> str:
        return make_task(tmp_path, train="data.jsonl", **(GENERATION | keys)).train_digest

    same = {digest(), digest(metric="f1"), digest(temperature=1.0), digest(max_new_tokens=2)}
    assert same == {digest()}
    others = [digest(prompt="x"), digest(delimiter=""), digest(chat=True), digest(fewshot=1)]
    assert len({*same, *others}) == 5


@pytest.mark.parametrize("keys", [{"metric": "acc"}, {"extract": "("}, {"metric": "bleau"}])
def test_a_mistake_in_the_table_shows_before_a_model_is_loaded(tmp_path, keys):
    with pytest.raises(ConfigurationError, match=rf"tasks\.support\.{next(iter(keys))}: "):
        _ = make_task(tmp_path, **GENERATION, **keys).digest


def test_an_example_is_found_by_its_id(tmp_path):
    task = make_task(tmp_path, [row(id="a"), row(id="b", label=0)])
    assert task.eval_by_id["b"] == task.eval[1]


def test_an_example_s_digest_is_that_of_prompt_options_and_gold():
    example = Example("a", "Q:", ("x", "y"), 1, {"any": 1})
    assert example.digest == hashlib.sha256(b'["Q:",["x","y"],1]').hexdigest()


def test_examples_by_id_are_read_when_the_first_one_is_asked_for(colour_task):
    task = colour_task()
    examples = task.eval_by_id
    assert "_evaluation" not in vars(task)

    assert examples["q4-1"] == task.eval[1]
    assert examples.get("q9-1") is None
    assert list(examples) == [example.id for example in task.eval]
    assert len(examples) == 10
