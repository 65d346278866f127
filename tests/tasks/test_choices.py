"""Options and gold answers from rows; every mistake with file, line and key."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_muscle.errors import ConfigurationError, DataError
from pytest_muscle.settings import TaskSettings
from pytest_muscle.tasks import Example
from pytest_muscle.tasks.choices import ChoiceRenderer
from pytest_muscle.tasks.rows import Row

ROWS = [
    {"question": "Sky?", "options": ["red", "blue"], "label": 1, "place": "up"},
    {"question": "Grass?", "options": ["green", "pink"], "label": 0, "place": "down"},
    {"question": "Snow?", "options": ["black", "white"], "label": 1, "place": "down"},
]


def render(rows: list[dict[str, Any]] = ROWS, **keys: Any) -> list[Example]:
    """The examples of rows as if they stood in data.jsonl, with the usual templates."""
    table = {
        "kind": "multiple_choice",
        "eval": "data.jsonl",
        "prompt": "Q: {{ question }}\nA:",
        "choices": "{{ options }}",
        "gold": "{{ label }}",
    } | keys
    renderer = ChoiceRenderer(TaskSettings(**table), where="muscle.toml: tasks.support")
    places = [f"data.jsonl:{number}" for number in range(1, len(rows) + 1)]
    return [example for example, _ in renderer.examples(map(Row, rows, places))]


def refusal(rows: list[dict[str, Any]] = ROWS, **keys: Any) -> str:
    with pytest.raises(DataError) as caught:
        render(rows, **keys)
    return str(caught.value)


def row(**columns: Any) -> dict[str, Any]:
    return ROWS[0] | columns


def test_classification_has_the_same_labels_for_all():
    rows = [{"question": "2 > 1?", "label": "yes"}, {"question": "1 > 2?", "label": "no"}]
    for choices in (("no", "yes"), "{{ ['no', 'yes'] }}"):
        found = render(rows, kind="classification", choices=choices)
        assert [example.gold for example in found] == [1, 0]
        assert {example.options for example in found} == {("no", "yes")}


@pytest.mark.parametrize("value", [None, "", "  ", float("nan")])
def test_an_empty_id_is_refused(value):
    message = refusal([row(id="a"), row(id=value)])
    assert message.startswith("data.jsonl:2: column 'id' is empty, and it holds the ids")


# --- missing columns


@pytest.mark.parametrize(
    ("keys", "column", "key", "hint"),
    [
        ({"prompt": "{{ qestion }}"}, "qestion", "prompt", "did you mean 'question'?"),
        ({"choices": "{{ option }}"}, "option", "choices", "did you mean 'options'?"),
        ({"choices": ("{{ sol1 }}", "x")}, "sol1", "choices[0]", "known: label, options, place"),
        ({"gold": "{{ lable }}"}, "lable", "gold", "did you mean 'label'?"),
        ({"id": "questions"}, "questions", "id", "did you mean 'question'?"),
        ({"slices": ("question", "palce")}, "palce", "slices", "did you mean 'place'?"),
    ],
)
def test_a_missing_column_is_named_with_line_and_key(keys, column, key, hint):
    message = refusal(**keys)
    expected = (
        f"data.jsonl:1: there is no column {column!r}, which muscle.toml: tasks.support.{key} "
    )
    assert message.startswith(expected)
    assert hint in message


def test_a_column_that_a_later_row_lacks_is_named_there():
    rows = [dict(row) for row in ROWS]
    del rows[2]["question"]
    assert refusal(rows).startswith("data.jsonl:3: there is no column 'question'")


# --- options


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "gives 0 options\n  give two or more"),
        (["red"], "gives 1 options\n  give two or more"),
        (["red", " "], "gives an empty option"),
        (["red", ""], "gives an empty option"),
        (["red", "red"], "gives the option 'red' twice"),
        (["1", 1], "gives the option '1' twice"),
        (["red", None], "gives the option None\n  options are texts or numbers"),
        (["red", ["blue"]], "gives the option ['blue']"),
        ("red, blue", "is str 'red, blue', not a list"),
        ({"a": 1}, "is dict {'a': 1}, not a list"),
        (None, "is NoneType None, not a list"),
    ],
)
def test_options_that_are_none_are_named_with_line_and_key(options, expected):
    message = refusal([ROWS[1], row(options=options)])
    assert message.startswith("data.jsonl:2: muscle.toml: tasks.support.choices ")
    assert expected in message


def test_numbers_are_options_by_their_text():
    (example,) = render([row(options=[1.5, 20], label=1)])
    assert example.options == ("1.5", "20")


def test_a_filter_that_gives_no_list_is_named():
    message = refusal(choices="{{ options | map('upper') }}")
    assert "is generator " in message


# --- gold answers


@pytest.mark.parametrize(
    ("options", "label", "gold"),
    [
        (["red", "blue"], 1, 1),
        (["red", "blue"], "1", 1),
        (["red", "blue"], " 1 ", 1),
        (["red", "blue"], "blue", 1),
        (["no", "yes"], True, 1),
        (["no", "yes"], False, 0),
        (["False", "True"], True, 1),
        (["4", "5"], 1, 1),  # a whole number is an index
        (["4", "5"], "5", 1),  # "5" is no index here
        (["0", "1"], "1", 1),  # index and text agree
    ],
)
def test_a_gold_answer_is_an_index_or_an_option_s_text(options, label, gold):
    (example,) = render([row(options=options, label=label)])
    assert example.gold == gold


def test_letters_are_turned_into_indices_by_the_template():
    gold = '{{ "ABCD".index(answer) }}'
    (example,) = render([row(answer="B")], gold=gold)
    assert example.gold == 1
    assert refusal([row(answer="E")], gold=gold).startswith(
        "data.jsonl:1: muscle.toml: tasks.support.gold fails on this row: ValueError"
    )


@pytest.mark.parametrize(
    "label", [2, -1, "2", "-1", "Blue", "blue ", "", 1.0, 0.5, None, [1], {"a": 1}, 10**30, "٣"]
)
def test_a_gold_answer_that_is_no_option_is_named_with_the_options(label):
    message = refusal([ROWS[1], row(label=label)])
    assert message.startswith(
        f"data.jsonl:2: muscle.toml: tasks.support.gold is {label!r}, neither"
    )
    assert "options: 0: 'red', 1: 'blue'" in message


def test_a_whole_number_with_a_point_comes_with_the_way_to_mend_it():
    assert "column | int }}" in refusal([row(label=1.0)])
    (example,) = render([row(label=1.0)], gold="{{ label | int }}")
    assert example.gold == 1


@pytest.mark.parametrize(
    ("options", "label"),
    [(["1", "0"], "1"), (["True", "False"], True), (["true", "false"], False)],
)
def test_a_gold_answer_with_two_meanings_is_refused(options, label):
    message = refusal([row(options=options, label=label)])
    assert "an option's text and also another option's index" in message
    (example,) = render([row(options=options, label=label)], gold="{{ label | int }}")
    assert example.gold == int(label)


# --- the table in muscle.toml


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"prompt": "{{ question"}, "prompt: is not a valid template"),
        ({"gold": "{{ }}"}, "gold: is not a valid template"),
        ({"choices": ("{{ a }}", "{{ b")}, "choices[1]: is not a valid template"),
        ({"choices": ("red",)}, "choices: needs at least two options"),
        ({"choices": "red"}, "choices: 'red' is not one expression"),
        ({"choices": "{{ a }}{{ b }}"}, "choices: '{{ a }}{{ b }}' is not one expression"),
        ({"kind": "classification", "choices": ("x", "{{ y }}")}, "choices: names columns"),
        ({"kind": "classification"}, "choices: names columns"),
        ({"metric": "acc_nrm"}, "metric: there is no metric 'acc_nrm'\n  did you mean 'acc_norm'?"),
        ({"metric": "no_such_module:f"}, "metric: the metric 'no_such_module:f' cannot be import"),
    ],
)
def test_a_mistake_in_the_table_is_named_with_file_and_key(keys, expected):
    with pytest.raises(ConfigurationError) as caught:
        render(**keys)
    assert str(caught.value).startswith(f"muscle.toml: tasks.support.{expected}")


# --- anything at all

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "question": values,
                "options": st.lists(values, max_size=3) | values,
                "label": st.sampled_from([0, 1, "0", True]) | values,
                "id": values,
                "place": values,
            },
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_rows_are_examples_or_refused_with_their_line(rows):
    try:
        examples = render(rows, slices=("place",))
    except DataError as caught:
        message = str(caught)
    else:
        message = "data.jsonl:"
        assert len(examples) == len(rows)
        assert all(0 <= example.gold < len(example.options) for example in examples)
        assert all(len(set(example.options)) > 1 for example in examples)
    assert message.startswith("data.jsonl:")
