"""Keys that do not belong to a task's kind, or not beside another, are refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings import TaskSettings, read_settings
from pytest_muscle.settings.kinds import GENERATION_KEYS, message_roles
from pytest_muscle.settings.pins import find_unpinned

CHOICE = {"kind": '"multiple_choice"', "prompt": '"{{ q }}"', "choices": '["a", "b"]'}
GENERATION = {"kind": '"generation"', "prompt": '"{{ q }}"'}
CHAT = {"kind": '"generation"'}


def read(folder: Path, keys: dict[str, str], **more: str) -> TaskSettings:
    """The task of a table whose values are written as TOML."""
    (folder / "data.jsonl").write_text('{"q": "?", "a": "x"}\n')
    table = {"eval": '"data.jsonl"', "gold": '"{{ a }}"'} | keys | more
    lines = [f"{key} = {value}" for key, value in table.items() if value]
    file = folder / "muscle.toml"
    file.write_text("\n".join(["[tasks.sums]", *lines]), encoding="utf-8")
    return read_settings(file, invocation_dir=folder).tasks["sums"]


def refusal(folder: Path, keys: dict[str, str], **more: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, keys, **more)
    message = str(caught.value)
    assert message.startswith("muscle.toml: tasks.sums.")
    return message.removeprefix("muscle.toml: tasks.sums.")


def test_the_least_that_a_kind_needs_is_enough(tmp_path):
    assert read(tmp_path, CHOICE).choices == ("a", "b")
    assert read(tmp_path, GENERATION).max_new_tokens == 256
    assert read(tmp_path, CHAT, chat='["{{ q }}"]').prompt is None
    assert read(tmp_path, GENERATION, chat="true").chat is True


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        (CHOICE, "kind"),
        (CHOICE, "prompt"),
        (CHOICE, "choices"),
        (GENERATION, "prompt"),
        (CHOICE, "gold"),
    ],
)
def test_a_missing_key_is_named_with_what_it_is_for(tmp_path, keys, missing):
    message = refusal(tmp_path, keys | {missing: ""})
    assert message.startswith(f"{missing}: missing\n  ")


VALUES = {
    "chat": "true",
    "extract": "'x'",
    "extract_match": '"last"',
    "normalise": "[]",
    "stop": '"x"',
    "target": '"x"',
    "top_p": "0.5",
}


@pytest.mark.parametrize("key", GENERATION_KEYS)
def test_a_key_of_generation_is_refused_where_options_are(tmp_path, key):
    message = refusal(tmp_path, CHOICE, **{key: VALUES.get(key, "1")})
    assert message == f"{key}: belongs to generation, and kind is 'multiple_choice'"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"choices": '["a", "b"]'}, "choices: belongs to multiple_choice and classification, and"),
        ({"extract_match": '"first"'}, "extract_match: needs extract"),
        ({"stop": '["x", ""]'}, "stop: an empty text would end every answer at once"),
        ({"stop": '""'}, "stop: an empty text would end every answer at once"),
        ({"repeats": "2"}, "repeats: has no effect on greedy answers, which are the same each"),
        ({"repeats": "2", "temperature": "1"}, "repeats: 2 draws cannot tell a flip from noise"),
        ({"top_k": "2", "temperature": "0"}, "top_k: has no effect on greedy answers"),
        ({"top_p": "0.5"}, "top_p: has no effect on greedy answers"),
        ({"top_p": "0", "temperature": "1"}, "top_p: must be greater than 0"),
        ({"repeats": "0"}, "repeats: must be at least 1"),
        ({"temperature": "-1"}, "temperature: must be at least 0"),
        ({"max_new_tokens": "0"}, "max_new_tokens: must be at least 1"),
        ({"tolerance": "-0.1"}, "tolerance: must be at least 0"),
        ({"fewshot": "-1"}, "fewshot: must be at least 0"),
        ({"fewshot": "2"}, "fewshot: there is no train set to take few-shot examples from"),
        ({"fewshot": '["a", 1, "1"]', "train": '"data.jsonl"'}, "fewshot: names '1' twice"),
        ({"fewshot_data": '"data.jsonl"'}, "fewshot_data: has no effect without fewshot"),
        ({"fewshot_separator": '"x"'}, "fewshot_separator: has no effect without fewshot"),
        ({"fewshot": "1", "fewshot_data": '"dat.jsonl"'}, "fewshot_data: no such file"),
        ({"chat": "true", "delimiter": '" "'}, "delimiter: has no effect in a chat"),
        ({"chat": '["a"]'}, "prompt: chat lists the messages, so there is no place for a prompt"),
        ({"chat": '["a", "b"]', "prompt": ""}, "chat[1]: the last message is the assistant's, and"),
        (
            {"chat": '[{role = "system", content = "a"}]', "prompt": ""},
            "chat[0]: the last message is the system's, and",
        ),
        (
            {"chat": '["a", {role = "system", content = "b"}, "c"]', "prompt": ""},
            "chat[1]: the system's message stands first",
        ),
    ],
)
def test_keys_that_do_not_go_together_are_refused(tmp_path, more, problem):
    assert refusal(tmp_path, GENERATION, **more).startswith(problem)


def test_values_without_effect_that_are_the_defaults_pass(tmp_path):
    assert (
        read(tmp_path, GENERATION, repeats="1", temperature="0", top_k="0", top_p="1").repeats == 1
    )


def test_a_choice_task_may_have_few_shot_examples(tmp_path):
    assert read(tmp_path, CHOICE, fewshot="1", fewshot_data='"data.jsonl"').fewshot == 1


def test_roles_follow_each_other(tmp_path):
    chat = '[{role = "system", content = "a"}, "b", "c", {role = "user", content = "d"}, "e", "f"]'
    task = read(tmp_path, CHAT, chat=chat)
    assert message_roles(task.chat) == ["system", "user", "assistant", "user", "assistant", "user"]


def test_few_shot_examples_of_the_hub_are_pinned_like_other_data(tmp_path):
    read(tmp_path, GENERATION, fewshot="1", fewshot_data='"datasets:some/one#train"')
    settings = read_settings(tmp_path / "muscle.toml", invocation_dir=tmp_path)
    (unpinned,) = find_unpinned(settings)
    assert unpinned.where == "muscle.toml: tasks.sums.fewshot_data"


HARNESS = {"task": '"lm-eval:arc"', "eval": "", "gold": ""}


def test_a_definition_needs_no_kind(tmp_path):
    task = read(tmp_path, HARNESS, metric='"acc"', filter='"none"', train='"training"')
    assert (task.task, task.kind, task.filter) == ("lm-eval:arc", None, "none")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"task": '"arc"'}, "task: 'arc' names no definition"),
        ({"task": '"lm-eval:"'}, "task: 'lm-eval:' names no definition"),
        ({"task": '""'}, "task: is empty"),
        ({"kind": '"generation"'}, "kind: has no effect beside task"),
        ({"eval": '"data.jsonl"'}, "eval: has no effect beside task"),
        ({"fewshot": "2"}, "fewshot: is the definition's to say\n  write task = "),
        ({"train": '"data.jsonl"'}, "train: is 'data.jsonl', and the definition brings its own"),
    ],
)
def test_a_definition_says_what_is_asked(tmp_path, more, problem):
    assert refusal(tmp_path, HARNESS, **more).startswith(problem)


def test_a_filter_belongs_to_a_definition(tmp_path):
    assert refusal(tmp_path, CHOICE, filter='"none"').startswith("filter: belongs to a definition")
