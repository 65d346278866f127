"""What the user names is one of ours, or a function of theirs."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_muscle.errors import ConfigurationError, MuscleError
from pytest_muscle.references import find, is_reference, source_digest, split_options

OURS: dict[str, Callable[..., float]] = {"root": math.sqrt, "sine": math.sin}


def look_up(name: str, error: type[MuscleError] = ConfigurationError) -> Callable[..., float]:
    return find(name, OURS, what="measure", error=error, where="muscle.toml: run.measure")


def refusal(name: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        look_up(name)
    return str(caught.value)


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_ours_is_found_by_its_name():
    assert look_up("root") is math.sqrt


def test_theirs_is_imported(theirs):
    (theirs / "their_measures.py").write_text("def double(x): return 2 * x\n")
    assert look_up("their_measures:double")(4) == 8
    assert look_up("math:cos") is math.cos


def test_an_unknown_name_comes_with_the_nearest_and_with_how_to_name_yours():
    assert refusal("rooot") == (
        "muscle.toml: run.measure: there is no measure 'rooot'\n"
        "  did you mean 'root'?\n"
        "  name your own as package.module:function"
    )
    assert "known: root, sine\n" in refusal("zzz")


@pytest.mark.parametrize(
    "name",
    [
        "no_such_module:f",
        "math:no_such",
        "math:",
        ":f",
        ":",
        "..x:f",
        ".math:cos",
        "a b:c",
        "math:a:b",
    ],
)
def test_what_cannot_be_imported_is_named(name):
    message = refusal(name)
    assert f"muscle.toml: run.measure: the measure {name!r} cannot be imported: " in message


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
    ],
)
def test_whatever_their_module_does_is_told_in_words(theirs, source, expected, request):
    name = f"their_broken_{abs(hash(request.node.name))}"
    (theirs / f"{name}.py").write_text(source)
    assert expected in refusal(f"{name}:f")


def test_what_is_no_function_is_refused():
    assert "the measure 'math:pi' is not a function" in refusal("math:pi")


# --- where theirs comes from


def test_a_source_s_digest_is_that_of_its_module_s_file(theirs):
    """Whole: the function may call what stands beside it."""
    path = theirs / "their_source.py"
    path.write_text("def helper(x): return x\ndef double(x): return 2 * helper(x)\n")
    look_up("their_source:double")
    before = source_digest("their_source:double")
    assert before == source_digest("their_source:double")

    path.write_text("def helper(x): return -x\ndef double(x): return 2 * helper(x)\n")

    assert source_digest("their_source:double") not in (before, None)


def test_a_source_that_is_imported_from_elsewhere_counts_too(theirs):
    (theirs / "their_front.py").write_text("from their_back import double\n")
    back = theirs / "their_back.py"
    back.write_text("def double(x): return 2 * x\n")
    look_up("their_front:double")
    before = source_digest("their_front:double")

    back.write_text("def double(x): return x + x\n")

    assert source_digest("their_front:double") not in (before, None)


def test_a_source_that_is_out_of_sight(monkeypatch):
    module = types.ModuleType("their_made_up")
    exec("def double(x): return 2 * x", module.__dict__)
    monkeypatch.setitem(sys.modules, "their_made_up", module)

    assert source_digest("their_made_up:double") is None
    assert source_digest("time:time") is None  # built into Python


def test_a_reference_has_a_colon():
    assert is_reference("package.module:function")
    assert not is_reference("acc_norm")


@pytest.mark.parametrize(
    ("text", "place", "options"),
    [
        ("arc", "arc", {}),
        ("arc?shots=5&path=a%26b", "arc", {"shots": "5", "path": "a&b"}),
        ("what?", "what?", {}),
        ("what?/log.jsonl?task=arc", "what?/log.jsonl", {"task": "arc"}),
    ],
)
def test_options_follow_a_question_mark(text, place, options):
    assert split_options(text, form="NAME", error=ConfigurationError) == (place, options)


@pytest.mark.parametrize("text", ["arc?shots=", "arc?shots=1&shots=2", "arc?shots=1&five"])
def test_an_option_has_one_value(text):
    with pytest.raises(ConfigurationError, match="is not an option"):
        split_options(text, form="NAME", error=ConfigurationError)
