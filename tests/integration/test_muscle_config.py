"""--muscle-config, muscle.toml and [tool.muscle]."""

from __future__ import annotations

import pytest

SHOW = """
    def test_show(model_update):
        print("FILE", model_update.settings.path.name, sorted(model_update.tasks))
"""


def test_muscle_toml_in_rootdir_is_found(tiny_project):
    tiny_project.makepyfile(SHOW)
    result = tiny_project.runpytest_inprocess("-s")
    result.stdout.fnmatch_lines(["muscle: muscle.toml, tasks: colours", "*FILE muscle.toml*"])


@pytest.mark.parametrize("workers", [[], ["-n2"]])
def test_a_cache_elsewhere_does_not_hide_it(tiny_project, tmp_path_factory, workers):
    """To pytest that folder is one of tests, and its parent the rootdir."""
    (tiny_project.path / "tox.ini").unlink()
    tiny_project.makepyfile(SHOW)
    cache = tmp_path_factory.mktemp("cache")

    result = tiny_project.runpytest_subprocess("-rP", "--muscle-cache", cache, *workers)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["muscle: muscle.toml, tasks: colours", "*FILE muscle.toml*"])


def test_the_header_shows_both_versions(tiny_project, tiny_models):
    tiny_project.makepyfile(SHOW)
    result = tiny_project.runpytest_inprocess()
    result.stdout.fnmatch_lines(
        [f"muscle: old = {tiny_models}/v1 (local)", f"muscle: new = {tiny_models}/v2 (local)"]
    )


def test_a_file_elsewhere_is_named_by_the_flag(tiny_project):
    folder = tiny_project.mkdir("elsewhere")
    (tiny_project.path / "muscle.toml").rename(folder / "check.toml")
    (tiny_project.path / "data").rename(folder / "data")
    tiny_project.makepyfile(SHOW)
    result = tiny_project.runpytest_inprocess("-s", "--muscle-config=elsewhere/check.toml")
    result.stdout.fnmatch_lines(["*FILE check.toml*"])


def test_tool_muscle_of_pyproject_is_read(tiny_project):
    text = (tiny_project.path / "muscle.toml").read_text()
    (tiny_project.path / "muscle.toml").unlink()
    tables = "\n".join(
        f"[tool.muscle.{line[1:]}" if line.startswith("[") else line for line in text.splitlines()
    )
    (tiny_project.path / "pyproject.toml").write_text(tables)
    tiny_project.makepyfile(SHOW)
    result = tiny_project.runpytest_inprocess("-s")
    result.stdout.fnmatch_lines(["*FILE pyproject.toml*colours*"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rank = 8", "rnak = 8", "*muscle.toml: adapter.rnak: unknown key*"),
        ("rank = 8", "rank = 'eight'", "*muscle.toml: adapter.rank: expected a whole number*"),
        ("data/eval.jsonl", "data/evil.jsonl", "*muscle.toml: tasks.colours.eval: no such file*"),
        ("/v2", "/v3", "*muscle.toml: new.model: no such file or directory*"),
        ("[run]", "[run", "*muscle.toml: is not valid TOML*line*"),
    ],
)
def test_a_mistake_ends_the_run_with_one_usage_error(tiny_project, old, new, message):
    path = tiny_project.path / "muscle.toml"
    path.write_text(path.read_text().replace(old, new))
    tiny_project.makepyfile(SHOW)
    result = tiny_project.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    result.stderr.no_fnmatch_line("*Traceback*")


def test_a_missing_file_is_a_usage_error(pytester):
    result = pytester.runpytest_inprocess("--muscle-config=nowhere.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --muscle-config: no such file: *nowhere.toml"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[compat]\nstrategy = "musle"', "*muscle.toml: compat.strategy: *'musle'*"),
        ('metric = "acc_nrom"', "*muscle.toml: tasks.colours.metric: *'acc_nrom'*"),
        ('prompt = "{{ question"', "*muscle.toml: tasks.colours.prompt: is not a valid template*"),
    ],
)
def test_what_no_path_shows_is_found_before_anything_is_trained(tiny_project, table, message):
    path = tiny_project.path / "muscle.toml"
    text = path.read_text()
    if table.startswith("prompt"):
        text = "\n".join(line for line in text.splitlines() if not line.startswith("prompt"))
    if not table.startswith("["):
        text, table = text.replace("[tasks.colours]", f"[tasks.colours]\n{table}"), ""
    path.write_text(f"{text}\n{table}\n")
    tiny_project.makepyfile("def test_flips(old_predictions): pass")
    result = tiny_project.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])
    assert not list(tiny_project.path.glob(".muscle_cache/adapters/colours*"))
