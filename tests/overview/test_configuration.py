"""Where each value of a configuration comes from, and what of it is not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_muscle.overview.configuration import describe_settings, without_secrets
from pytest_muscle.settings.file import parse, read_settings
from pytest_muscle.settings.flags import Flags

TEXT = """
[old]
model = "org/old"
revision = "v1"
[new]
model = "org/new"
[gate]
max_nfr = 0.02
confidence = 0.95
[adapter]
epochs = 2
rank = 4
[compat]
epochs = 3
[run]
device = "cpu"
[tasks."my task"]
kind = "classification"
eval = "data.jsonl"
prompt = "{{ question }}"
choices = ["yes", "no"]
gold = "{{ label }}"
[tasks."my task".gate]
max_nfr = 0.03
"""


@pytest.fixture
def entries(tmp_path: Path):
    """A function from flags to (value, source, is_default) by key."""
    path = tmp_path / "muscle.toml"
    path.write_text(TEXT)
    (tmp_path / "data.jsonl").write_text("{}\n")

    def describe(**flags: object) -> dict[str, tuple[str, str, bool]]:
        given = Flags(**flags)
        settings = read_settings(path, given, invocation_dir=tmp_path)
        return {
            entry.key: (entry.value, entry.source, entry.is_default)
            for entry in describe_settings(settings, parse(path), given)
        }

    return describe


def test_a_value_is_the_file_s_the_default_or_another_table_s(entries):
    found = entries()
    assert found["old.revision"] == ('"v1"', "file", False)
    assert found["run.device"] == ('"cpu"', "file", False)
    assert found["run.dtype"] == ('"auto"', "default", True)
    assert found["adapter.rank"] == ("4", "file", False)
    assert found["compat.epochs"] == ("3.0", "file", False)
    assert found["compat.rank"] == ("–", "default", True)
    assert found['tasks."my task".gate.max_nfr'] == ("0.03", "file", False)
    assert found['tasks."my task".gate.confidence'] == ("0.95", "[gate]", False)
    assert found['tasks."my task".choices'] == ('["yes", "no"]', "file", False)
    assert "--muscle-limit" not in found


def test_what_compat_leaves_out_is_the_adapter_s(entries, tmp_path):
    path = tmp_path / "muscle.toml"
    path.write_text(TEXT.replace("[compat]\nepochs = 3\n", ""))
    assert entries()["compat.epochs"] == ("2.0", "[adapter]", False)


def test_a_flag_goes_before_the_file_and_stands_as_the_source(entries):
    found = entries(device="cpu", limit=5, new="other/model@abc", no_train=True)
    assert found["run.device"] == ('"cpu"', "--muscle-device", False)
    assert found["new.model"] == ('"other/model"', "--muscle-new", False)
    assert found["new.revision"] == ('"abc"', "--muscle-new", False)
    assert found["old.model"][1] == "file"
    assert found["--muscle-limit"] == ("5", "flag", False)
    assert found["--muscle-no-train"] == ("true", "flag", False)


def test_every_key_of_the_settings_is_there(entries):
    from dataclasses import fields

    from pytest_muscle.settings import RunSettings, TaskSettings

    found = entries()
    assert {f"run.{field.name}" for field in fields(RunSettings)} <= found.keys()
    keys = {field.name for field in fields(TaskSettings)} - {"gate", "draws"}
    assert {f'tasks."my task".{key}' for key in keys} <= found.keys()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pass@host/x", "https://…@host/x"),
        ("csv:https://host/x?token=abc&split=1", "csv:https://host/x?token=…&split=1"),
        ("hf_abcdefghijklmnopqrst", "hf_…"),
        ("models/hf_small", "models/hf_small"),
        ("org/name@main", "org/name@main"),
        ("datasets:org/name/config@rev#split", "datasets:org/name/config@rev#split"),
        ("User: {{ token }} = {{ x }}", "User: {{ token }} = {{ x }}"),
    ],
)
def test_secrets_are_left_out_and_nothing_else(text, shown):
    assert without_secrets(text) == shown
