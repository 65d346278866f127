"""Which log the answers to a task are read from."""

import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings import read_settings
from pytest_muscle.settings.flags import Flags
from pytest_muscle.settings.logs import find_log

TASK = '[tasks.a]\nkind = "predictions"\n'
OWN = TASK + 'old_predictions = "csv:1"\nnew_predictions = "csv:2"\n'


@pytest.fixture
def read(tmp_path):
    def settings(text: str, **flags: str) -> object:
        (tmp_path / "muscle.toml").write_text(text)
        given = Flags(**{**dict.fromkeys(Flags._fields), **flags})
        return read_settings(tmp_path / "muscle.toml", given, invocation_dir=tmp_path)

    return settings


def test_a_task_names_its_logs(read):
    settings = read(OWN)
    assert (settings.old, settings.new) == (None, None)
    assert find_log(settings, "old", "a") == ("csv:1", "muscle.toml: tasks.a.old_predictions")
    assert find_log(settings, "new", "a") == ("csv:2", "muscle.toml: tasks.a.new_predictions")


def test_a_version_names_the_logs_of_all_tasks(read):
    shared = '[old]\npredictions = "csv:{task}/1"\n[new]\npredictions = "csv:{task}/2"\n'
    settings = read(shared + TASK + TASK.replace("tasks.a", "tasks.b"))
    assert (settings.old, settings.new) == (None, None)
    assert find_log(settings, "old", "a") == ("csv:a/1", "muscle.toml: old.predictions")
    assert find_log(settings, "new", "b").text == "csv:b/2"
    own = read(shared + OWN)
    assert find_log(own, "old", "a").text == "csv:1"


@pytest.mark.parametrize(
    ("text", "problem", "where"),
    [
        (TASK, "missing", "tasks.a.old_predictions"),
        (TASK + 'old_predictions = "csv:1"', "missing", "tasks.a.new_predictions"),
        (OWN + 'prompt = "x"', "has no effect where kind is 'predictions'", "tasks.a.prompt"),
        (OWN + "repeats = 3", "has no effect where kind is 'predictions'", "tasks.a.repeats"),
        (
            OWN.replace('"predictions"', '"generation"'),
            'belongs to kind = "predictions"',
            "tasks.a.old_predictions",
        ),
        (
            '[old]\npredictions = "csv:1"\nmodel = "m"\n' + TASK,
            "has no effect beside predictions",
            "old.model",
        ),
        ('[old]\nrevision = "main"\n' + OWN, "missing", "old.model"),
        (
            '[old]\npredictions = "csv:1"\n[new]\npredictions = "csv:2"\n'
            + TASK
            + TASK.replace("tasks.a", "tasks.b"),
            "names one log for 2 tasks",
            "old.predictions",
        ),
        (
            '[old]\npredictions = "csv:1"\n[tasks.a]\nkind = "generation"\neval = "e.jsonl"\n'
            'gold = "x"\nprompt = "x"\n',
            "[old] names answers, so there is no old model to ask",
            "tasks.a.kind",
        ),
        (TASK + 'old_predictions = ""', "is empty", "tasks.a.old_predictions"),
    ],
)
def test_what_is_refused(read, text, problem, where):
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert problem in caught.value.problem
    assert caught.value.where == f"muscle.toml: {where}"


@pytest.mark.parametrize("key", ["eval", "gold"])
def test_other_kinds_need_data_and_gold_answers(read, key):
    keys = {"eval": "e.jsonl", "gold": "x", "prompt": "x"}
    del keys[key]
    text = "".join(f'{name} = "{value}"\n' for name, value in keys.items())
    with pytest.raises(ConfigurationError) as caught:
        read('[tasks.a]\nkind = "generation"\n' + text)
    assert (caught.value.problem, caught.value.where) == ("missing", f"muscle.toml: tasks.a.{key}")


def test_a_flag_replaces_the_answers_by_a_model(read, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    settings = read('[old]\npredictions = "csv:1"\n' + OWN, old="m")
    assert settings.old_predictions is None
    assert settings.old.model.endswith("m")
