"""What of the hub is pinned: a warning else, and refused with --muscle-strict."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings import read_settings
from pytest_muscle.settings.flags import Flags
from pytest_muscle.settings.pins import find_unpinned, is_commit

COMMIT = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"


def read(folder: Path, text: str, flags: Flags = Flags()):  # noqa: B008
    (folder / "muscle.toml").write_text(text)
    return read_settings(folder / "muscle.toml", flags, invocation_dir=folder)


def task(**keys: str) -> str:
    table = {
        "kind": "multiple_choice",
        "eval": f"datasets:o/d@{COMMIT}",
        "prompt": "{{ q }}",
        "choices": "{{ o }}",
        "gold": "{{ g }}",
    } | keys
    return "[tasks.t]\n" + "".join(f'{key} = "{value}"\n' for key, value in table.items())


@pytest.mark.parametrize(
    ("revision", "pinned"),
    [
        (COMMIT, True),
        (None, False),
        ("main", False),
        ("v1.0", False),
        (COMMIT[:7], False),
        (COMMIT[:39], False),
        (COMMIT + "0", False),
        (COMMIT.upper(), False),
        (COMMIT + "\n", False),
    ],
)
def test_only_a_whole_commit_is_a_pin(revision, pinned):
    assert is_commit(revision) is pinned


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ('[old]\nmodel = "o/n"', "old.model", 'add revision = "COMMIT" beside it'),
        (
            f'[old]\nmodel = "o/n"\nrevision = "{COMMIT[:7]}"',
            "old.model",
            'add revision = "COMMIT"',
        ),
        (
            f'[new]\nmodel = "o/n"\nrevision = "{COMMIT}"\ntokenizer = "o/t"',
            "new.tokenizer",
            'add tokenizer_revision = "COMMIT"',
        ),
        (
            f'[new]\nmodel = "o/n"\nrevision = "{COMMIT}"\nadapter = "o/a"',
            "new.adapter",
            'add adapter_revision = "COMMIT"',
        ),
        ('[compat]\nadapter = "o/a"', "compat.adapter", 'add adapter_revision = "COMMIT"'),
        (task(old_adapter="o/a"), "tasks.t.old_adapter", 'add old_adapter_revision = "COMMIT"'),
        (task(compat_adapter="o/a"), "tasks.t.compat_adapter", "add compat_adapter_revision ="),
        (
            task(train="datasets:o/d/config#train"),
            "tasks.t.train",
            'write "datasets:o/d/config@COMMIT#train"',
        ),
        (task(eval="datasets:o/d@main"), "tasks.t.eval", 'write "datasets:o/d@COMMIT"'),
    ],
)
def test_what_is_not_pinned_is_named_with_the_way_to_pin_it(tmp_path, text, where, hint):
    found = [str(error) for error in find_unpinned(read(tmp_path, text))]
    assert len(found) == 1
    assert found[0].startswith(f"muscle.toml: {where}: ")
    assert "is not pinned to a commit" in found[0]
    assert f"\n  {hint}" in found[0]
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text, Flags(strict=True))
    assert str(caught.value) == found[0]


def test_a_model_that_a_flag_names_is_pinned_there(tmp_path):
    flags = Flags(old="o/n@main", new=f"o/n@{COMMIT}")
    text = task(old_adapter="o/a")  # which the flag stands in for
    (found,) = find_unpinned(read(tmp_path, text, flags))
    assert str(found).startswith("--muscle-old: 'o/n' at revision 'main' is not pinned")
    assert "write --muscle-old=o/n@COMMIT: a whole commit" in str(found)


def test_local_paths_and_whole_commits_are_pinned(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m/config.json").write_text("{}")
    (tmp_path / "data").mkdir()
    text = (
        '[old]\nmodel = "./m"\ntokenizer = "./m"\n'
        f'[new]\nmodel = "o/n"\nrevision = "{COMMIT}"\n'
        f'tokenizer = "o/t"\ntokenizer_revision = "{COMMIT}"\n'
        f'adapter = "o/a"\nadapter_revision = "{COMMIT}"\n'
        + task(train="datasets:data", new_adapter="o/a", new_adapter_revision=COMMIT)
    )
    settings = read(tmp_path, text, Flags(strict=True))
    assert settings.strict
    assert list(find_unpinned(settings)) == []
