"""Prompts, chats and gold texts from rows, with and without few-shot examples."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_muscle.errors import ConfigurationError, DataError
from pytest_muscle.settings import TaskSettings
from pytest_muscle.settings.keys import MessageSettings
from pytest_muscle.tasks import Example
from pytest_muscle.tasks.fewshot import Shots
from pytest_muscle.tasks.generation import GenerationRenderer
from pytest_muscle.tasks.rows import Row

SKY = {"id": "a", "question": "Sky?", "answer": "blue", "place": "up"}
ROSE = {"id": "b", "question": "Rose?", "answer": ["red", "pink"], "place": "down"}
SYSTEM = MessageSettings(role="system", content="Be brief about {{ place }}.")


def make(**keys: Any) -> GenerationRenderer:
    table = {
        "kind": "generation",
        "eval": "data.jsonl",
        "prompt": "Q: {{ question }}\nA:",
        "gold": "{{ answer }}",
    } | keys
    return GenerationRenderer(TaskSettings(**table), where="muscle.toml: tasks.support")


def render(*rows: dict[str, Any], shots: Shots = Shots(), **keys: Any) -> list[Example]:  # noqa: B008
    places = [f"data.jsonl:{number}" for number in range(1, len(rows) + 1)]
    return [example for example, _ in make(**keys).examples(map(Row, rows, places), shots)]


def shots(*rows: dict[str, Any], **keys: Any) -> Shots:
    return Shots(tuple(make(**keys).question(Row(row, "train.jsonl")) for row in rows))


def test_a_row_is_a_prompt_and_its_right_answers():
    sky, rose = render(SKY, ROSE)
    assert (sky.id, sky.prompt, sky.options, sky.gold) == ("a", "Q: Sky?\nA: ", (), "blue")
    assert (sky.messages, sky.question, sky.golds) == (None, sky.prompt, ("blue",))
    assert rose.gold == rose.golds == ("red", "pink")
    assert [rose.answer_text(answer) for answer in (rose.gold, None, "x", ["a", "b"])] == [
        "red | pink",
        "(no answer found)",
        "x",
        "a | b",
    ]


@pytest.mark.parametrize(
    ("prompt", "delimiter", "expected"),
    [
        ("Q:", " ", "Q: "),
        ("Q:", "", "Q:"),
        ("Q:", "\n", "Q:\n"),
        ("Q: ", " -> ", "Q: "),
        ("Q:\n", " ", "Q:\n"),
        ("", " ", ""),
    ],
)
def test_the_delimiter_is_the_prompt_s_end_once(prompt, delimiter, expected):
    (example,) = render(SKY, prompt=prompt, delimiter=delimiter)
    assert example.prompt == expected


@pytest.mark.parametrize(
    ("answer", "gold"),
    [(5, "5"), (2.5, "2.5"), (True, "True"), (["x"], "x"), (["x", "y", "x"], ("x", "y"))],
)
def test_what_can_be_written_is_a_gold_answer(answer, gold):
    (example,) = render(SKY | {"answer": answer})
    assert example.gold == gold


@pytest.mark.parametrize("answer", [None, "", " \n", [], ["x", None], [""], {"a": 1}, float("nan")])
def test_what_is_no_text_is_no_gold_answer(answer):
    with pytest.raises(DataError) as caught:
        render(ROSE, SKY | {"answer": answer})
    message = str(caught.value)
    assert message.startswith("data.jsonl:2: muscle.toml: tasks.support.gold is ")


# --- chats


def test_a_chat_of_one_message_is_the_prompt():
    (example,) = render(SKY, chat=True, prompt="{{ question }}")
    assert example.messages == (("user", "Sky?"),)
    assert example.prompt == "user: Sky?"


def test_texts_are_the_user_s_and_the_assistant_s_in_turn():
    chat = (SYSTEM, "Hello", "Hello!", "{{ question }}")
    (example,) = render(SKY, chat=chat, prompt=None)
    assert example.messages == (
        ("system", "Be brief about up."),
        ("user", "Hello"),
        ("assistant", "Hello!"),
        ("user", "Sky?"),
    )
    assert example.prompt == (
        "system: Be brief about up.\n\nuser: Hello\n\nassistant: Hello!\n\nuser: Sky?"
    )


def test_a_template_of_a_message_is_named_by_its_place():
    with pytest.raises(ConfigurationError, match=r"tasks\.support\.chat\[1\]: is not a valid temp"):
        make(chat=(SYSTEM, "{{"), prompt=None)
    with pytest.raises(DataError, match=r"no column 'x', which muscle\.toml: tasks\.support\.chat"):
        render(SKY, chat=("{{ x }}",), prompt=None)


# --- few-shot examples


def test_few_shot_examples_stand_before_the_question():
    (example,) = render(SKY, shots=shots(ROSE), fewshot_separator="\n---\n")
    assert example.prompt == "Q: Rose?\nA: red\n---\nQ: Sky?\nA: "
    assert example.question == "Q: Sky?\nA: "


def test_in_a_chat_they_are_earlier_messages():
    keys = {"chat": (SYSTEM, "{{ question }}"), "prompt": None}
    (example,) = render(SKY, shots=shots(ROSE, **keys), **keys)
    assert example.messages == (
        ("system", "Be brief about up."),
        ("user", "Rose?"),
        ("assistant", "red"),
        ("user", "Sky?"),
    )
    assert example.question == "user: Sky?"


def test_a_question_is_not_its_own_few_shot_example():
    keys = {"chat": True, "prompt": "{{ question }}"}
    for table in ({}, keys):
        first, second = render(SKY, ROSE, shots=shots(ROSE, **table), **table)
        assert first.shots > 0
        assert second.shots == 0
        assert second == render(ROSE, **table)[0]


def test_a_digest_is_that_of_prompt_gold_and_messages():
    sky = render(SKY)[0]
    others = [
        render(SKY, shots=shots(ROSE))[0],
        render(SKY | {"answer": "grey"})[0],
        render(SKY, delimiter="\n")[0],
        render(SKY, chat=True, prompt="{{ question }}")[0],
        render(SKY, chat=("{{ question }}\n\nassistant: \n\nuser: x",), prompt=None)[0],
        render(SKY, chat=("{{ question }}", "", "x"), prompt=None)[0],
    ]
    assert len({sky.digest, *(example.digest for example in others)}) == 7
    assert render(SKY | {"place": "there"})[0].digest == sky.digest
