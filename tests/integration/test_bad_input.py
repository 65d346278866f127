"""What a user sees of bad input: exit code 4 or a failed test, a message, never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

USE = "def test_flips(flip_report): pass\n"


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8", errors="surrogateescape")


def files_of(folder: Path) -> dict[Path, bytes]:
    kept = {"__pycache__", ".pytest_cache", ".muscle_cache"}
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not kept.intersection(path.parts)
    }


def run(project: pytest.Pytester, *flags: str) -> pytest.RunResult:
    project.makepyfile(USE)
    before = files_of(project.path)
    result = project.runpytest_inprocess("--muscle-no-train", *flags)
    assert files_of(project.path) == before
    for output in (result.stdout, result.stderr):
        output.no_fnmatch_line("*Traceback*")
        output.no_fnmatch_line("*INTERNALERROR*")
    return result


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe[\x00r\x00", "*muscle.toml: is not valid TOML: *"),
        (b"a = " + b"[" * 100_000, "*muscle.toml: is not valid TOML: *"),
        (b"[adapter]\nepochs = nan", "muscle.toml: adapter.epochs: expected a finite number*"),
        (b"[adapter]\nrank = 1" + b"0" * 4000, "muscle.toml: adapter.rank: *"),
        (b"[run]\ncache = '/dev/null'", "muscle.toml: run.cache: /dev/null is not a directory"),
        (b'[run]\ncache = "a\\u0000b"', "muscle.toml: run.cache: cannot be a directory: *"),
        (b"[tasks.'../../out']\nkind = 'classification'", "muscle.toml: tasks.*: a task's name*"),
        (b"#" * (4 * 1024 * 1024 + 1), "*muscle.toml: is larger than 4,194,304 bytes"),
    ],
)
def test_a_configuration_ends_the_run_as_a_usage_error(tiny_project, content, message):
    (tiny_project.path / "muscle.toml").write_bytes(content)
    result = run(tiny_project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR == 4
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('{"id"', '{"id', "DataError: eval.jsonl:1: is not valid JSON: *"),
        ('"label": ', '"label": NaN, "x": ', "DataError: eval.jsonl:1: is not valid JSON: NaN*"),
        ('"question"', '"q"', "DataError: eval.jsonl:1: there is no column 'question', which *"),
        ("Which", "\udcff", "DataError: eval.jsonl:1: is not UTF-8 text: *"),
        ("Which", "\\ud800", "DataError: eval.jsonl:1: is not valid JSON: *"),
    ],
)
def test_data_fail_the_test_that_needs_them(tiny_project, old, new, message):
    spoil(tiny_project.path / "data" / "eval.jsonl", old, new)
    result = run(tiny_project)
    assert result.ret == pytest.ExitCode.TESTS_FAILED == 1
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_pipe_in_place_of_notes_does_not_hold_the_run(tiny_project):
    (tiny_project.path / ".muscle_cache").mkdir()
    for name in ("digests.json", "tasks.json", "device.json"):
        os.mkfifo(tiny_project.path / ".muscle_cache" / name)
    result = run(tiny_project)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*TrainingError: *the old adapter of task 'colours' is not*"])


def test_a_link_out_of_the_cache_is_a_usage_error(tiny_project):
    (tiny_project.path / ".muscle_cache").mkdir()
    (tiny_project.path / ".muscle_cache" / "adapters").symlink_to(tiny_project.path)
    result = run(tiny_project, "--muscle-cache-clear")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: muscle.toml: run.cache: *leads out of the cache"])


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_refused_with_a_sentence(tiny_project, name):
    model = tiny_project.path / "pickled"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama"}')
    (model / name).write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    spoil(tiny_project.path / "muscle.toml", "train =", "# train =")
    result = run(tiny_project, "--muscle-old=pickled")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            f"*ModelError: --muscle-old: *has only pickled weights ({name})",
            "*save the model as saf*",
        ]
    )
    assert not (tiny_project.path / "pwned").exists()
