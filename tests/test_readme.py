"""README and the guides say what is true: their tables list every key, flag, fixture, assertion.

`python tests/test_readme.py` writes the tables of configuration keys into their guide.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from pathlib import Path

import pytest

import pytest_muscle
from pytest_muscle import fixtures
from pytest_muscle.settings import keys

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PACKAGE = ROOT / "pytest_muscle"
KEYS = PACKAGE / "settings" / "README.md"
COMPARISON = PACKAGE / "comparison" / "README.md"
DOCUMENTS = [
    README,
    ROOT / "CHANGELOG.md",
    ROOT / "example_project" / "README.md",
    ROOT / "tests" / "benchmarks" / "README.md",
    *sorted(PACKAGE.rglob("*.md")),
]
TABLES = {
    "[old], [new]": keys.ModelSettings,
    "[tasks.NAME]": keys.TaskSettings,
    "[gate], [tasks.NAME.gate]": keys.GateSettings,
    "[noise]": keys.NoiseSettings,
    "[adapter]": keys.RecipeSettings,
    "[compat]": keys.CompatSettings,
    "[run]": keys.RunSettings,
    "[report]": keys.ReportSettings,
}


def key_rows(kind: type) -> list[str]:
    """README's rows of one table's keys: name, default, meaning."""
    fields = dataclasses.fields(kind)
    hints = typing.get_type_hints(kind)
    if kind is keys.CompatSettings:
        inherited = {field.name for field in dataclasses.fields(keys.TrainingSettings)}
        fields = tuple(field for field in fields if field.name not in inherited)
    rows = []
    for field in fields:
        if field.name == "gate" or "help" not in field.metadata:
            continue
        default = field.default
        if default is None:
            optional = type(None) in typing.get_args(hints[field.name])
            shown = "–" if optional else "required"
        elif default == "":  # the key's help says where it is needed
            shown = "–"
        elif isinstance(default, bool):
            shown = f"`{str(default).lower()}`"
        elif isinstance(default, str | tuple):
            shown = f"`{json.dumps(default)}`"
        else:
            shown = f"`{default:g}`"
        rows.append(f"| `{field.name}` | {shown} | {field.metadata['help']} |")
    return rows


@pytest.mark.parametrize("table", TABLES)
def test_every_configuration_key_stands_in_its_guide(table):
    text = KEYS.read_text(encoding="utf-8")
    assert f"`{table}`" in text
    _, _, after = text.partition(f"**`{table}`**\n\n| key | default | meaning |\n|---|---|---|\n")
    shown, _, _ = after.partition("\n\n")
    assert shown.splitlines() == key_rows(TABLES[table])


def test_every_flag_stands_in_readme(pytester):
    text = README.read_text(encoding="utf-8")
    help_text = pytester.runpytest_inprocess("--help").stdout.str()
    flags = set(re.findall(r"^ +(--muscle-[a-z-]+)", help_text, re.MULTILINE))
    assert len(flags) > 5
    assert {flag for flag in flags if f"`{flag}" not in text} == set()


def test_every_fixture_stands_in_readme():
    text = README.read_text(encoding="utf-8")
    assert [name for name in fixtures.FIXTURES if f"`{name}`" not in text] == []


def test_every_public_name_stands_in_readme_or_a_guide():
    text = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    names = [name for name in pytest_muscle.__all__ if not name.startswith("__")]
    assert [name for name in names if f"`{name}" not in text] == []


def test_an_undecided_gate_reads_as_readme_shows_it():
    old = pytest_muscle.Predictions.from_lists(range(200), [1] * 200, [1] * 200)
    new = pytest_muscle.Predictions.from_lists(range(200), [0] * 3 + [1] * 197, [1] * 200)
    with pytest.raises(AssertionError) as caught:
        pytest_muscle.assert_negative_flip_rate(old, new, max_rate=0.02, confidence=0.95)
    said = "\n".join(str(caught.value).splitlines()[:2])
    assert f"```text\n{said}\n```" in COMPARISON.read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("https://"):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_guide_is_named_in_readme():
    text = README.read_text(encoding="utf-8")
    guides = [str(path.relative_to(ROOT)) for path in DOCUMENTS[2:]]
    assert [guide for guide in guides if f"]({guide}" not in text] == []


def write_tables() -> None:
    """Replace the guide's tables of configuration keys by what the keys say of themselves."""
    text = KEYS.read_text(encoding="utf-8")
    for table, kind in TABLES.items():
        head = f"**`{table}`**\n\n| key | default | meaning |\n|---|---|---|\n"
        before, found, after = text.partition(head)
        assert found, f"{KEYS} has no table of {table}"
        _, _, rest = after.partition("\n\n")
        text = before + head + "\n".join(key_rows(kind)) + "\n\n" + rest
    KEYS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_tables()
