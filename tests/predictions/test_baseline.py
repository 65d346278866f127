"""Baselines: written by id, checked line by line, held against what is asked today."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_muscle.errors import PredictionsError
from pytest_muscle.predictions import Prediction, Predictions
from pytest_muscle.predictions.baseline import Baselines, check_model, describe_other_settings
from pytest_muscle.predictions.differences import find_differences
from pytest_muscle.settings import TaskSettings
from pytest_muscle.tasks import Task

ROWS = [
    {"id": "b", "q": "Is it red?", "o": ["yes", "no"], "g": 0},
    {"id": "a", "q": "Is it blue?", "o": ["yes", "no"], "g": 1},
    {"id": "c", "q": "Is it green?", "o": ["yes", "no"], "g": 0},
]


def make_task(root: Path, rows: list[dict[str, object]], *, limit: int | None = None, **keys: str):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (root / "eval.jsonl").write_text(text, encoding="utf-8")
    settings = TaskSettings(
        kind="multiple_choice",
        eval="eval.jsonl",
        **{"prompt": "{{ q }}", "choices": "{{ o }}", "gold": "{{ g }}", **keys},
    )
    return Task("colours", settings, root, "muscle.toml", limit)


def answer(task: Task) -> Predictions:
    rows = tuple(
        Prediction(
            example.id, 0, example.gold, example.gold == 0, 1.0, (-1 / 3, -2.0), example.digest
        )
        for example in task.eval
    )
    return Predictions(rows, task="colours", model="v1", facts={"dtype": "float32"})


@pytest.fixture
def baselines(tmp_path: Path) -> Baselines:
    return Baselines(tmp_path / "baselines", tmp_path)


@pytest.fixture
def recorded(baselines: Baselines, tmp_path: Path) -> Baselines:
    task = make_task(tmp_path, ROWS)
    baselines.write(task, answer(task))
    return baselines


def test_a_line_holds_what_was_asked_and_answered(recorded):
    lines = recorded.path("colours").read_text(encoding="utf-8").splitlines()

    assert [json.loads(line)["id"] for line in lines] == ["a", "b", "c"]
    first = json.loads(lines[0])
    assert first["prompt"] == "Is it blue?"
    assert first["options"] == ["yes", "no"]
    assert first["loglikelihoods"] == [-0.3333, -2.0]
    assert first["correct"] is False


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_it_is_read_where_the_same_is_asked_in_any_order(recorded, tmp_path, order):
    task = make_task(tmp_path, [ROWS[number] for number in order])

    table, differences = recorded.read(task)

    assert not differences
    assert {row.id: row.correct for row in table} == {"a": False, "b": True, "c": True}


def test_a_row_may_be_added_to_the_data_only_if_that_is_accepted(recorded, tmp_path):
    task = make_task(tmp_path, [*ROWS, {**ROWS[0], "id": "d"}])

    with pytest.raises(PredictionsError, match="1 example not in the baseline: 'd'"):
        recorded.read(task)
    table, differences = recorded.read(task, accept=True)

    assert differences.fresh == ("d",)
    assert len(table) == 3


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("q", "Is it dark red?", "'b' prompt: 'Is it red?' -> 'Is it dark red?'"),
        ("o", ["yes", "never"], "'b' options: \"['yes', 'no']\" -> \"['yes', 'never']\""),
        ("g", 1, "'b' gold: '0' -> '1'"),
    ],
)
def test_whatever_changes_in_an_example_is_shown(recorded, tmp_path, key, value, shown):
    task = make_task(tmp_path, [{**ROWS[0], key: value}, *ROWS[1:]])

    with pytest.raises(PredictionsError) as caught:
        recorded.read(task)

    assert shown in str(caught.value)
    table, _ = recorded.read(task, accept=True)
    assert [row.id for row in table] == ["a", "c"]


def test_a_long_text_is_shown_from_where_it_differs(recorded, tmp_path, baselines):
    long = "word " * 100
    task = make_task(tmp_path, [{**ROWS[0], "q": f"{long} left {long}"}])
    baselines.write(task, answer(task))
    task = make_task(tmp_path, [{**ROWS[0], "q": f"{long} right {long}"}])

    with pytest.raises(PredictionsError) as caught:
        baselines.read(task)

    (line,) = [line for line in str(caught.value).splitlines() if "'b' prompt" in line]
    assert "left" in line
    assert "right" in line
    assert len(line) < 180


def test_ten_changes_are_shown_whole_however_long_the_list_is(baselines, tmp_path):
    rows = [
        {**ROWS[0], "id": f"example-{number:02}", "q": f"Is it red, {'or not, ' * 9}{number:02}?"}
        for number in range(12)
    ]
    task = make_task(tmp_path, rows)
    baselines.write(task, answer(task))
    task = make_task(tmp_path, [{**row, "q": f"Now: {row['q']}"} for row in rows])

    with pytest.raises(PredictionsError) as caught:
        baselines.read(task)

    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines[2:12]] == [f"'example-{n:02}'" for n in range(10)]
    assert all("'Is it red, " in line and "'Now: Is it red" in line for line in lines[2:12])
    assert lines[12].strip() == "… and 2 more"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_limit_leaves_out_what_it_leaves_out(recorded, tmp_path):
    table, differences = recorded.read(make_task(tmp_path, ROWS, limit=2))

    assert not differences
    assert {row.id for row in table} == {"a", "b"}


def test_nothing_in_common_is_never_accepted(recorded, tmp_path):
    task = make_task(tmp_path, [{**ROWS[0], "id": "z"}])

    with pytest.raises(PredictionsError, match="no example of the baseline is asked today"):
        recorded.read(task, accept=True)


@pytest.mark.parametrize(("key", "value"), [("metric", "acc_bytes"), ("delimiter", "\n")])
def test_another_judgement_is_never_accepted(recorded, tmp_path, key, value):
    task = make_task(tmp_path, ROWS)
    task = replace(task, settings=replace(task.settings, **{key: value}))

    with pytest.raises(PredictionsError, match=f"{key}: "):
        recorded.read(task, accept=True)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, {"extract": "[a-z]+"}),
        ({"extract": "[a-z]+"}, {}),
        ({"extract": "[a-z]+"}, {"extract": "[a-z]+", "extract_match": "first"}),
    ],
)
def test_answers_found_otherwise_in_texts_are_never_accepted(baselines, tmp_path, before, now):
    def written(**keys: str) -> Task:
        task = make_task(tmp_path, ROWS)
        settings = replace(task.settings, kind="generation", choices=None, gold="{{ o[g] }}")
        return replace(task, settings=replace(settings, **keys))

    task = written(**before)
    baselines.write(task, answer(task))
    assert not baselines.read(task, accept=True)[1]
    with pytest.raises(PredictionsError, match=r"extract\w*: .* when it was recorded"):
        baselines.read(written(**now), accept=True)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(
    "edit",
    [
        lambda line: line.replace('"answer": 0', '"answer": 1'),
        lambda line: line.replace("-2.0", "-2.5"),
        lambda line: line[: line.index(', "check"')] + "}",
        lambda line: line.replace("Is it", "Was it"),
    ],
)
def test_an_edited_line_is_named_even_where_the_manifest_was_edited_with_it(recorded, number, edit):
    path = recorded.path("colours")
    lines = path.read_text(encoding="utf-8").splitlines()
    edited = edit(lines[number])
    assert edited != lines[number]
    lines[number] = edited
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    manifest = Path(f"{path}.manifest.json")
    content = json.loads(manifest.read_text(encoding="utf-8"))
    del content["sha256"]
    manifest.write_text(json.dumps(content), encoding="utf-8")

    with pytest.raises(PredictionsError) as caught:
        recorded.load("colours")

    assert caught.value.where == f"{path}:{number + 1}"
    assert "--muscle-update-baseline" in str(caught.value)


def test_a_table_without_checks_of_the_first_format_is_read(recorded):
    path = recorded.path("colours")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        del line["check"], line["prompt"], line["options"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    manifest = Path(f"{path}.manifest.json")
    content = json.loads(manifest.read_text(encoding="utf-8"))
    del content["sha256"]
    manifest.write_text(json.dumps({**content, "format": 1}), encoding="utf-8")

    assert len(recorded.load("colours")) == 3


def test_line_ends_of_another_system_are_no_edit(recorded):
    path = recorded.path("colours")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert len(recorded.load("colours")) == 3


@pytest.mark.parametrize("missing", ["", ".manifest.json"])
def test_half_a_baseline_is_an_error_and_not_none(recorded, missing):
    Path(f"{recorded.path('colours')}{missing}").unlink()

    assert recorded.has("colours")
    with pytest.raises(PredictionsError, match="cannot be read"):
        recorded.load("colours")


def test_the_data_are_not_read_where_their_digest_is_that_of_the_baseline(recorded, tmp_path):
    task = make_task(tmp_path, ROWS)
    table = recorded.load("colours")
    digest = task.digest
    fresh = make_task(tmp_path, ROWS)
    vars(fresh)["digest"] = digest
    (tmp_path / "eval.jsonl").unlink()

    assert not find_differences(table, fresh, dict)


def test_a_model_that_is_not_the_recorded_one(recorded):
    facts = {"made_of": {"model": {"base": {"files": "aa"}}}}
    table = replace(recorded.load("colours"), facts=facts)

    check_model(table, {"files": "aa"}, "here")
    check_model(recorded.load("colours"), {"files": "bb"}, "here")  # nothing is known of its origin
    with pytest.raises(PredictionsError, match="here: was recorded from another model"):
        check_model(table, {"files": "bb"}, "here")


@pytest.mark.parametrize("nonsense", [None, [1], "text", 7, {"model": [1]}, {"model": None}])
def test_facts_of_another_form_say_nothing(recorded, tmp_path, nonsense):
    table = replace(recorded.load("colours"), facts={"asked": [nonsense], "made_of": nonsense})

    check_model(table, {"files": "bb"}, "here")
    assert describe_other_settings(table, table) is None
    assert not find_differences(table, make_task(tmp_path, ROWS), dict)


def test_answers_computed_otherwise_are_told(recorded):
    def computed(device: str, dtype: str) -> Predictions:
        facts = {"made_of": {"device": device, "dtype": dtype}}
        return replace(recorded.load("colours"), facts=facts)

    old, new = computed("cuda", "bfloat16"), computed("cpu", "float32")
    assert describe_other_settings(old, old) is None
    said = describe_other_settings(old, new)
    assert said is not None
    assert "in bfloat16 on cuda, today's in float32 on cpu" in said
