"""One TOML table becomes one dataclass, or one sentence says why not."""

from __future__ import annotations

import tomllib

import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings import (
    CompatSettings,
    GateSettings,
    ModelSettings,
    RecipeSettings,
    RunSettings,
    TaskSettings,
)
from pytest_muscle.settings.keys import MessageSettings
from pytest_muscle.settings.table import join, read_table, show

TASK = """
kind = "multiple_choice"
eval = "eval.jsonl"
prompt = "{{ question }}"
choices = ["a", "b"]
gold = "{{ label }}"
"""


def read(kind, text, key="run"):
    return read_table(kind, tomllib.loads(text), file="muscle.toml", key=key)


def refusal(kind, text, key="run") -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(kind, text, key)
    return str(caught.value)


def test_keys_left_out_have_their_defaults():
    assert read(RunSettings, "") == RunSettings(
        device="auto", dtype="auto", batch_tokens="auto", cache=".muscle_cache"
    )


def test_a_whole_number_is_good_where_a_number_is_asked():
    gate = read(GateSettings, "max_nfr = 0\nmax_accuracy_drop = -1", "gate")
    assert (gate.max_nfr, gate.max_accuracy_drop) == (0.0, -1.0)
    assert isinstance(gate.max_nfr, float)


def test_lists_become_tuples():
    task = read(TaskSettings, TASK + 'slices = ["place", "kind"]')
    assert task.choices == ("a", "b")
    assert task.slices == ("place", "kind")


def test_a_list_may_hold_texts_numbers_and_tables():
    text = TASK + 'chat = [{role = "system", content = "Hi"}, "{{ q }}"]\nfewshot = [7, "b"]'
    task = read(TaskSettings, text)
    assert task.chat == (MessageSettings(role="system", content="Hi"), "{{ q }}")
    assert task.fewshot == (7, "b")
    assert read(TaskSettings, TASK + "chat = true\nfewshot = 3").chat is True


def test_an_array_of_tables_is_a_list_of_tables():
    text = TASK + '[[chat]]\nrole = "user"\ncontent = "a"\n[[chat]]\nrole = "user"\ncontent = "b"'
    task = read(TaskSettings, text)
    assert [message.content for message in task.chat] == ["a", "b"]


def test_batch_tokens_is_a_number_or_the_word_auto():
    assert read(RunSettings, "batch_tokens = 4096").batch_tokens == 4096
    assert read(RunSettings, 'batch_tokens = "auto"').batch_tokens == "auto"
    assert refusal(RunSettings, 'batch_tokens = "atuo"') == (
        "muscle.toml: run.batch_tokens: expected a whole number or 'auto', found 'atuo'\n"
        "  did you mean 'auto'?"
    )


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (RunSettings, "device = 1", "run.device: expected 'auto' or 'cpu' or 'cuda' or 'mps'"),
        (RunSettings, 'device = "cdua"', "did you mean 'cuda'?"),
        (RunSettings, "cache = 1", "run.cache: expected a string, found 1"),
        (RunSettings, 'score = "needd"', "run.score: expected 'all' or 'needed', found 'needd'"),
        (RunSettings, "batch_tokens = true", "run.batch_tokens: expected a whole number or 'auto'"),
        (RunSettings, "batch_tokens = 1.0", "found 1.0"),
        (RecipeSettings, "rank = true", "run.rank: expected a whole number, found True"),
        (RecipeSettings, 'rank = "8"', "run.rank: expected a whole number, found '8'"),
        (RecipeSettings, "rank = 8.0", "run.rank: expected a whole number, found 8.0"),
        (RecipeSettings, "epochs = true", "run.epochs: expected a finite number, found True"),
        (RecipeSettings, "epochs = nan", "run.epochs: expected a finite number, found nan"),
        (RecipeSettings, "epochs = inf", "run.epochs: expected a finite number, found inf"),
        (RecipeSettings, "epochs = 2026-01-01", "expected a finite number, found datetime.date"),
        (RecipeSettings, "gradient_checkpointing = 1", "expected true or false, found 1"),
        (RecipeSettings, "target_modules = [1]", "expected a list of strings or a string"),
        (TaskSettings, TASK + 'slices = "place"', "run.slices: expected a list of strings"),
        (
            TaskSettings,
            TASK + 'slices = ["place", 1]',
            "expected a list of strings, found ['place'",
        ),
        (TaskSettings, TASK + "chat = 1", "true or false or a list of strings or tables, found 1"),
        (TaskSettings, TASK + "chat = [[]]", "a list of strings or tables, found [[]]"),
        (TaskSettings, TASK + "chat = [{}]", "run.chat[0].role: missing"),
        (
            TaskSettings,
            TASK + 'chat = ["a", {role = "usr", content = ""}]',
            "run.chat[1].role: expected 'system' or 'user' or 'assistant', found 'usr'",
        ),
        (
            TaskSettings,
            TASK + 'chat = [{role = "user", content = "", x = 1}]',
            "run.chat[0].x: unknown key",
        ),
        (
            TaskSettings,
            TASK + "fewshot = [1.5]",
            "run.fewshot: expected a whole number or a list of strings or whole numbers",
        ),
        (TaskSettings, TASK + "fewshot = true", "found True"),
        (
            TaskSettings,
            TASK + 'normalise = ["space"]',
            "run.normalise: expected a list of 'case' or 'punctuation' or 'articles'",
        ),
        (ModelSettings, "model = {}", "run.model: expected a string, found {}"),
        (ModelSettings, 'model = "m"\nrevision = 7', "run.revision: expected a string, found 7"),
    ],
)
def test_a_wrong_type_is_named_with_what_was_expected(kind, text, expected):
    message = refusal(kind, text)
    assert message.startswith("muscle.toml: run.")
    assert expected in message


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (GateSettings, "max_nfr = 1.5", "max_nfr: must be at most 1, found 1.5"),
        (GateSettings, "max_nfr = -0.1", "max_nfr: must be at least 0, found -0.1"),
        (GateSettings, "confidence = 0", "confidence: must be greater than 0, found 0.0"),
        (GateSettings, "confidence = 1", "confidence: must be less than 1, found 1.0"),
        (RecipeSettings, "rank = 0", "rank: must be at least 1, found 0"),
        (RecipeSettings, "learning_rate = 0", "learning_rate: must be greater than 0"),
        (RecipeSettings, "dropout = 1", "dropout: must be less than 1"),
        (RecipeSettings, "seed = 4294967296", "seed: must be at most 4294967295"),
        (RecipeSettings, "validation_fraction = 1.0", "validation_fraction: must be less than 1"),
        (CompatSettings, "distillation_weight = 1.1", "distillation_weight: must be at most 1"),
        (CompatSettings, "temperature = 0", "temperature: must be greater than 0"),
    ],
)
def test_a_value_out_of_its_limits_is_named_with_the_limit(kind, text, expected):
    assert f"run.{expected}" in refusal(kind, text)


@pytest.mark.parametrize(
    ("kind", "text", "key"),
    [
        (ModelSettings, 'model = ""', "model"),
        (TaskSettings, TASK.replace("eval.jsonl", ""), "eval"),
        (TaskSettings, TASK.replace('["a", "b"]', "[]"), "choices"),
        (TaskSettings, TASK + "chat = []", "chat"),
        (TaskSettings, TASK + 'chat = [{role = "user", content = ""}]', "chat[0].content"),
        (TaskSettings, TASK + 'extract = ""', "extract"),
        (RunSettings, 'cache = ""', "cache"),
        (RecipeSettings, "target_modules = []", "target_modules"),
    ],
)
def test_what_must_not_be_empty_is_refused_where_it_is(kind, text, key):
    assert refusal(kind, text).startswith(f"muscle.toml: run.{key}: is empty\n  ")


def test_an_empty_delimiter_is_a_choice():
    assert read(TaskSettings, TASK + 'delimiter = ""').delimiter == ""


def test_a_missing_key_is_named_with_what_it_is_for():
    message = refusal(MessageSettings, 'content = "Hello"', "tasks.support.chat[0]")
    assert message.startswith("muscle.toml: tasks.support.chat[0].role: missing\n  ")
    assert len(message.splitlines()[1].strip()) > 10


def test_an_unknown_key_comes_with_the_nearest_known_one():
    assert refusal(RecipeSettings, "learning_rte = 1e-4", "adapter") == (
        "muscle.toml: adapter.learning_rte: unknown key\n  did you mean 'learning_rate'?"
    )


def test_an_unknown_key_that_is_like_none_comes_with_all():
    assert "known: baselines, batch_tokens, cache, device, dtype" in refusal(RunSettings, "zzz = 1")


def test_the_session_s_own_fields_are_no_keys():
    assert "unknown key" in refusal(TaskSettings, TASK + "limit = 3")


def test_what_is_no_table_is_refused():
    with pytest.raises(ConfigurationError, match=r"muscle\.toml: old: expected a table, found 'x'"):
        read_table(ModelSettings, "x", file="muscle.toml", key="old")


def test_numbers_of_any_size_are_refused_in_words():
    assert "run.epochs: expected a finite number" in refusal(
        RecipeSettings, f"epochs = 1{'0' * 400}"
    )
    assert "run.device: expected 'auto'" in refusal(RunSettings, f"device = 0x1{'0' * 5000}")
    assert "run.seed: must be at most" in refusal(RecipeSettings, f"seed = 0x1{'0' * 5000}")


def test_tables_of_any_depth_are_refused_in_words():
    message = refusal(RunSettings, f"[device{'.a' * 3000}]")
    assert "run.device: expected 'auto'" in message
    assert len(message) < 300


def test_values_are_shown_in_sixty_characters():
    assert show("x" * 100) == "'" + "x" * 56 + "…"
    assert show(1.5) == "1.5"


def test_keys_are_written_as_toml_writes_them():
    assert join("tasks", "my-task_1") == "tasks.my-task_1"
    assert join("tasks", "my task") == 'tasks."my task"'
    assert join("tasks", "a\nb") == r'tasks."a\nb"'
    assert join("", "old") == "old"


def test_a_whole_number_has_the_size_that_libraries_take():
    accepted = read_table(RecipeSettings, {"max_steps": 2**63 - 1}, file="f")
    assert accepted.max_steps == 2**63 - 1
    with pytest.raises(ConfigurationError, match=r"f: max_steps: must be at most 9223372036854775"):
        read_table(RecipeSettings, {"max_steps": 2**63}, file="f")
