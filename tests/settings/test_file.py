"""Reading muscle.toml and [tool.muscle]; whatever stands there, one sentence at worst."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings import GateSettings, Settings, read_settings

VALID = """\
# Der Bär tippt – “ganz” normal
[old]
model = "models/v1"
adapter = "adapters/v1"

[new]
model = "org/name"
revision = "5f2c1e"

[tasks.support]
kind = "multiple_choice"
train = "data/train.jsonl"
eval = "data/eval.jsonl"
prompt = "Question: {{ goal }}\\nAnswer:"
choices = ["{{ sol1 }}", "{{ sol2 }}"]
gold = "{{ label }}"
metric = "acc"
slices = ["category"]

[tasks.support.gate]
max_nfr = 0.05

[gate]
max_nfr = 0.02
confidence = 0.95

[adapter]
rank = 64
epochs = 3

[compat]
epochs = 5
strategy = "muscle"

[run]
device = "cpu"
cache = "cache"
"""


def write_project(directory: Path, text: str = VALID) -> Path:
    """Write muscle.toml and empty shells of all that it names."""
    for model in ("v1", "v2"):
        (directory / "models" / model).mkdir(parents=True)
        (directory / "models" / model / "config.json").write_text("{}")
    (directory / "adapters" / "v1").mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (directory / "adapters" / "v1" / name).write_text("{}")
    (directory / "data").mkdir()
    for name in ("train.jsonl", "eval.jsonl"):
        (directory / "data" / name).write_text('{"question": "?"}\n')
    (directory / "muscle.toml").write_text(text, encoding="utf-8")
    return directory / "muscle.toml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project").parent


def read(folder: Path, text: str | None = None, *, file: str = "muscle.toml") -> Settings:
    if text is not None:
        (folder / file).write_text(text, encoding="utf-8")
    return read_settings(folder / file, invocation_dir=folder)


def refusal(folder: Path, text: str | None = None, *, file: str = "muscle.toml") -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text, file=file)
    return str(caught.value)


def test_the_file_is_read_as_it_stands(project):
    found = read(project)
    assert found.root == project
    assert (found.old.model, found.old.adapter) == ("models/v1", "adapters/v1")
    assert (found.new.model, found.new.revision) == ("org/name", "5f2c1e")
    assert list(found.tasks) == ["support"]
    assert found.run.device == "cpu"
    assert (found.limit, found.train) == (None, True)


def test_an_empty_file_has_nothing_but_defaults(project):
    found = read(project, "")
    assert (found.old, found.new, dict(found.tasks)) == (None, None, {})
    assert found.cache == project / ".muscle_cache"


def test_paths_are_relative_to_the_file_wherever_pytest_starts(project, tmp_path):
    found = read_settings(project / "muscle.toml", invocation_dir=tmp_path)
    assert found.cache == project / "cache"
    assert found.resolve("data/eval.jsonl") == project / "data" / "eval.jsonl"
    assert found.resolve("/data") == Path("/data")
    assert found.resolve("~") == Path(os.path.realpath(Path.home()))


def test_a_task_s_gate_overrides_single_keys_of_the_common_one(project):
    found = read(project)
    assert found.tasks["support"].gate == GateSettings(max_nfr=0.05, confidence=0.95)
    assert found.gate == GateSettings(max_nfr=0.02, confidence=0.95)


def test_compat_takes_over_what_adapter_says(project):
    found = read(project)
    assert (found.adapter.rank, found.adapter.epochs) == (64, 3.0)
    assert (found.compat.rank, found.compat.epochs) == (None, 5.0)
    assert found.compat.learning_rate == 1e-4


@pytest.mark.parametrize("line", ["alpha = 16", "dropout = 0.1", 'target_modules = "all-linear"'])
def test_the_shape_of_the_compat_adapter_is_the_task_adapter_s(project, line):
    key = line.split(" ")[0]
    assert refusal(project, f"[compat]\n{line}") == (
        f"muscle.toml: compat.{key}: the compat adapter starts from the new task adapter's weights "
        f"and has its shape\n  set {key} in [adapter]"
    )


def test_a_mistake_in_adapter_is_not_blamed_on_compat(project):
    assert refusal(project, "[adapter]\nrank = 0").startswith("muscle.toml: adapter.rank:")


def test_a_key_of_compat_alone_is_unknown_in_adapter(project):
    message = refusal(project, '[adapter]\nstrategy = "muscle"')
    assert message.startswith("muscle.toml: adapter.strategy: unknown key")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[nwe]\nmodel = 'm'", "muscle.toml: nwe: unknown key\n  did you mean 'new'?"),
        ("model = 'm'", "muscle.toml: model: unknown key\n  known: adapter, compat, gate, new"),
        ("[old]\nmodle = 'm'", "muscle.toml: old.modle: unknown key\n  did you mean 'model'?"),
        ("[gate]\nmax_nrf = 1", "muscle.toml: gate.max_nrf: unknown key\n  did you mean 'max_nfr'"),
        ("[compat]\nrnak = 1", "muscle.toml: compat.rnak: unknown key\n  did you mean 'rank'?"),
        ("[run]\ndevise = 'cpu'", "muscle.toml: run.devise: unknown key\n  did you mean 'device'?"),
        (
            VALID.replace("metric =", "metrik ="),
            "muscle.toml: tasks.support.metrik: unknown key\n  did you mean 'metric'?",
        ),
        (
            VALID.replace("[tasks.support.gate]\nmax_nfr", "[tasks.support.gate]\nmax_nrf"),
            "muscle.toml: tasks.support.gate.max_nrf: unknown key\n  did you mean 'max_nfr'?",
        ),
        ("[old]", "muscle.toml: old.model: missing"),
        ("old = 'models/v1'", "muscle.toml: old: expected a table, found 'models/v1'"),
        ("tasks = []", "muscle.toml: tasks: expected a table, found []"),
        ("tasks.kind = 'x'", "muscle.toml: tasks.kind: expected a table, found 'x'"),
        ("adapter = 'a'", "muscle.toml: adapter: expected a table, found 'a'"),
        ("compat = 1", "muscle.toml: compat: expected a table, found 1"),
        ("run = 1", "muscle.toml: run: expected a table, found 1"),
        ("gate = 0.02", "muscle.toml: gate: expected a table, found 0.02"),
        ("tasks.a.gate = 1", "muscle.toml: tasks.a.gate: expected a table, found 1"),
        ("'a\\nb' = 1", r'muscle.toml: "a\\nb": unknown key'),
    ],
)
def test_a_mistake_is_named_with_file_and_key(project, text, expected):
    assert expected in refusal(project, text)


@pytest.mark.parametrize(
    ("name", "usable"),
    [
        ("support", True),
        ("my task", True),
        ("städte", True),
        ("a.b", True),
        ("a::b", True),
        ("", False),
        ("..", False),
        (".hidden", False),
        ("a ", False),
        ("a/b", False),
        ("a\\\\b", False),
        ("a[1]", False),
        ("a\\u0007", False),
        ("x" * 101, False),
    ],
)
def test_a_task_s_name_must_do_in_test_ids_and_file_names(project, name, usable):
    text = VALID.replace("tasks.support", f'tasks."{name}"')
    if usable:
        assert list(read(project, text).tasks) == [name]
    else:
        assert "a task's name is part of test ids and file names" in refusal(project, text)


# --- the file itself


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "muscle.toml: cannot be read" in refusal(tmp_path)


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "muscle.toml").mkdir()
    assert "muscle.toml: cannot be read" in refusal(tmp_path)


def test_invalid_toml_is_named_with_its_line(project):
    message = refusal(project, '[old]\nmodel = "m"\nmodel = "n"\n')
    assert message.startswith(f"{project}/muscle.toml: is not valid TOML: ")
    assert "line 3" in message


@pytest.mark.parametrize(
    "content", [b"\xff\xfe[\x00", b"x = 1" + b"0" * 5000, b"x = " + b"[" * 5000, b"\x00"]
)
def test_what_no_toml_parser_takes_is_refused_in_words(project, content):
    (project / "muscle.toml").write_bytes(content)
    assert "is not valid TOML" in refusal(project)


def test_windows_line_ends_and_byte_order_mark_do_no_harm(project):
    content = b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode()
    expected = read(project)
    (project / "muscle.toml").write_bytes(content)
    assert read(project) == expected


# --- [tool.muscle]


def test_tool_muscle_of_a_pyproject_is_read(project):
    found = read(project, "[tool.muscle.run]\ndevice = 'cuda'", file="pyproject.toml")
    assert found.run.device == "cuda"


@pytest.mark.parametrize("text", ["", "[tool]\nx = 1", "tool = 1", "[tool]\nmuscle = 1"])
def test_a_pyproject_without_tool_muscle_is_refused_when_named(project, text):
    assert "has no [tool.muscle] table\n  write" in refusal(project, text, file="pyproject.toml")


# --- anything at all

names = st.sampled_from(
    [
        "old",
        "new",
        "tasks",
        "gate",
        "adapter",
        "compat",
        "run",
        "report",
        "dir",
        "history",
        "model",
        "revision",
        "kind",
        "eval",
        "train",
        "prompt",
        "choices",
        "gold",
        "rank",
        "epochs",
        "device",
        "cache",
        "max_nfr",
        "x",
        "confidence",
        "batch_tokens",
        "slices",
        "seed",
        "strategy",
        "support",
    ]
) | st.text(max_size=5)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["models/v1", "data/eval.jsonl", "adapters/v1", "org/name", "~x", "\0", "auto"]
    )
    | st.dates()
    | st.times()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("fuzz") / "project").parent


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=st.dictionaries(names, values, max_size=5))
@example(raw={"run": {"cache": "~nobody-here"}})
@example(raw={"old": {"model": "a\0b"}})
@example(raw={"old": {"model": "x/" * 3000}})
@example(raw={"compat": {"adapter": "x" * 300}})
def test_any_tables_are_read_or_refused(shared, raw):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_muscle.settings.file.tomllib.loads", lambda text: raw)
        read_or_refuse(shared / "muscle.toml", shared)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cuts=st.lists(
        st.tuples(st.integers(0, len(VALID)), st.integers(0, 12), st.binary(max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_any_damaged_file_is_read_or_refused(shared, cuts):
    content = VALID.encode()
    for start, length, new in cuts:
        content = content[:start] + new + content[start + length :]
    path = shared / "damaged.toml"
    path.write_bytes(content)
    read_or_refuse(path, shared)


def read_or_refuse(path: Path, folder: Path) -> None:
    error = None
    try:
        found = read_settings(path, invocation_dir=folder)
    except ConfigurationError as caught:
        error = caught
    if error is None:
        assert found.path == path
        assert found.cache.is_absolute()
    else:
        assert str(error).startswith((f"{path.name}: ", f"{path}: "))
