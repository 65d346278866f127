"""Tables of answers: made from lists, saved, and read back as they were or not at all."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_muscle.errors import PredictionsError
from pytest_muscle.predictions import Prediction, Predictions


def table(*rows: Prediction, **about: Any) -> Predictions:
    return Predictions(rows or (prediction(),), **about)


def prediction(**values: Any) -> Prediction:
    usual = {"id": "a", "answer": 1, "gold": 1, "correct": True, "score": 1.0}
    return Prediction(**(usual | values))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- from lists


def test_answers_that_equal_their_gold_are_correct():
    made = Predictions.from_lists(
        ["a", "b", "c"], [1, "x", [1, 2]], [1, "y", [1, 2]], task="support", model="v1"
    )
    assert [row.id for row in made] == ["a", "b", "c"]
    assert [row.correct for row in made] == [True, False, True]
    assert [row.score for row in made] == [1.0, 0.0, 1.0]
    assert (len(made), made.task, made.model) == (3, "support", "v1")
    assert made.accuracy == pytest.approx(2 / 3)


def test_lists_may_be_arrays_ranges_and_generators():
    import numpy as np

    made = Predictions.from_lists(range(2), np.array([1, 0]), (gold for gold in [1, 1]))
    assert [(row.id, row.answer, row.correct) for row in made] == [(0, 1, True), (1, 0, False)]
    assert type(made.rows[0].answer) is int


def test_tensors_are_numbers_not_objects():
    torch = pytest.importorskip("torch")
    made = Predictions.from_lists(torch.arange(2), torch.tensor([1, 0]), torch.tensor([1, 1]))
    assert [row.id for row in made] == [0, 1]
    with pytest.raises(PredictionsError, match="id 5 stands twice"):
        Predictions.from_lists(torch.tensor([5, 5]), [1, 1], [1, 1])


@pytest.mark.parametrize(
    ("ids", "answers", "gold", "expected"),
    [
        ([], [], [], "support: a table of predictions needs at least one row"),
        (["a"], [1, 2], [1], "support: 1 ids, 2 answers and 1 gold answers\n  give one answer"),
        (["a", "b", "a"], [1, 2, 3], [1, 2, 3], "support: id 'a' stands twice, in rows 0 and 2"),
        ([1, 1.0], [1, 2], [1, 2], "support: id 1.0 stands twice, in rows 0 and 1"),
        (["a", None], [1, 2], [1, 2], "support: None in row 1 is not an id\n  ids are strings"),
        ([["a"]], [1], [1], "support: ['a'] in row 0 is not an id"),
        ([math.nan], [1], [1], "support: nan in row 0 is not an id"),
    ],
)
def test_lists_that_make_no_table_are_refused(ids, answers, gold, expected):
    with pytest.raises(PredictionsError) as caught:
        Predictions.from_lists(ids, answers, gold, task="support")
    assert str(caught.value).startswith(expected)


def test_answers_that_cannot_be_compared_are_named():
    import numpy as np

    with pytest.raises(PredictionsError, match="the answer to example 'b' cannot be compared"):
        Predictions.from_lists(["a", "b"], [1, np.ones(2)], [1, np.ones(2)])


# --- saved and read back


def test_a_table_comes_back_as_it_was(tmp_path):
    path = tmp_path / "baselines" / "support.jsonl"
    saved = table(
        prediction(id="ä\u2028\n", answer="“x”", gold=[1, {"b": None}], correct=False, score=0.25),
        prediction(id=7, loglikelihoods=(-1.5, -math.inf, 0.1), digest="d" * 64),
        task="support",
        model="org/name@5f2c1e",
        facts={"dtype": "float32", "n": {"x": [1]}},
    )
    saved.save(path)
    assert Predictions.load(path) == saved
    assert Predictions.load(str(path)) == saved
    assert names(path.parent) == ["support.jsonl", "support.jsonl.manifest.json"]


def test_a_table_is_plain_json_a_line_each(tmp_path):
    table(prediction(loglikelihoods=(-1.0, -math.inf))).save(tmp_path / "t.jsonl")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    (line,) = (tmp_path / "t.jsonl").read_text().splitlines()
    record = json.loads(line, parse_constant=refuse)
    unchecked = line[: line.index(', "check"')] + "}"
    assert record.pop("check") == hashlib.sha256(unchecked.encode()).hexdigest()[:16]
    assert record == {
        "id": "a",
        "answer": 1,
        "gold": 1,
        "correct": True,
        "score": 1.0,
        "loglikelihoods": [-1.0, "-inf"],
        "digest": None,
    }


def test_numpy_s_numbers_are_saved_as_numbers(tmp_path):
    import numpy as np

    row = prediction(id=np.int64(3), answer=np.int32(1), loglikelihoods=(np.float32(-0.5),))
    table(row).save(tmp_path / "t.jsonl")
    (found,) = Predictions.load(tmp_path / "t.jsonl")
    assert (found.id, found.answer, found.loglikelihoods) == (3, 1, (-0.5,))


def test_saving_again_replaces_both_files(tmp_path):
    path = tmp_path / "t.jsonl"
    table(prediction(), prediction(id="b")).save(path)
    table(prediction(answer=0, correct=False, score=0.0)).save(path)
    assert [row.answer for row in Predictions.load(path)] == [0]


def test_git_s_line_ends_do_no_harm(tmp_path):
    path = tmp_path / "t.jsonl"
    saved = table(prediction(), prediction(id="b"))
    saved.save(path)
    for file in tmp_path.iterdir():
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert Predictions.load(path) == saved


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"score": math.nan}, "example 'a' cannot be written as JSON"),
        ({"score": math.inf}, "example 'a' cannot be written as JSON"),
        ({"answer": math.nan}, "example 'a' cannot be written as JSON"),
        ({"answer": "\ud83d"}, "surrogates not allowed"),
        ({"answer": b"x"}, "bytes is not JSON"),
        ({"answer": {1, 2}}, "set is not JSON"),
        ({"id": frozenset()}, "cannot be written as JSON: frozenset is not JSON"),
        ({"id": ("a", 1)}, "the id of example ('a', 1) would be read back as ['a', 1]"),
        ({"answer": (1, 2)}, "the answer of example 'a' would be read back as [1, 2]"),
        ({"gold": {1: 2}}, "the gold of example 'a' would be read back as {'1': 2}"),
    ],
)
def test_what_would_not_come_back_is_not_saved_and_nothing_is_left(tmp_path, values, expected):
    path = tmp_path / "t.jsonl"
    before = table(prediction(answer="before"))
    before.save(path)
    with pytest.raises(PredictionsError) as caught:
        table(prediction(id="first"), prediction(**values)).save(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert Predictions.load(path) == before
    assert names(tmp_path) == ["t.jsonl", "t.jsonl.manifest.json"]


def test_facts_that_are_no_json_are_refused(tmp_path):
    with pytest.raises(PredictionsError, match="the manifest cannot be written as JSON"):
        table(facts={"x": {1, 2}}).save(tmp_path / "t.jsonl")
    assert names(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PredictionsError, match=r"file/t\.jsonl: cannot be written: "):
        table().save(tmp_path / "file" / "t.jsonl")
    (tmp_path / "t.jsonl").mkdir()
    with pytest.raises(PredictionsError, match=r"t\.jsonl: cannot be written: "):
        table().save(tmp_path / "t.jsonl")


# --- a model that was not asked everything


def partial(**about: Any) -> Predictions:
    """A table of two rows, of a task with two more examples."""
    return table(prediction(), prediction(id=7), unasked=("z", 8), **about)


def test_a_table_says_what_was_not_asked_and_still_does_when_read_back(tmp_path):
    partial(task="support").save(tmp_path / "t.jsonl")
    found = Predictions.load(tmp_path / "t.jsonl")
    assert found == partial(task="support")
    assert found != table(*found.rows, task="support")
    assert found.unasked == ("z", 8)
    assert (len(found), [row.id for row in found]) == (2, ["a", 7])
    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    said = [{key: json.loads(line)[key] for key in ("id", "asked")} for line in lines[2:]]
    assert said == [{"id": "z", "asked": False}, {"id": 8, "asked": False}]


def test_nothing_may_have_been_asked(tmp_path):
    nothing = Predictions((), unasked=("a", "b"))
    nothing.save(tmp_path / "t.jsonl")
    assert Predictions.load(tmp_path / "t.jsonl") == nothing
    assert list(nothing) == []


def test_accuracy_is_not_known_where_not_all_was_asked():
    with pytest.raises(PredictionsError) as caught:
        _ = partial(task="support").accuracy
    assert str(caught.value) == (
        "support: accuracy is not known: 2 of 4 examples were not asked\n  set [run] "
        'score = "all" and [gate] sequential = false'
    )


@pytest.mark.parametrize(
    ("unasked", "expected"),
    [
        (("b", "a"), "id 'a' stands twice, in rows 0 and 2"),
        (("b", "b"), "id 'b' stands twice, in rows 1 and 2"),
        ((None,), "None in row 1 is not an id"),
        (([],), "[] in row 1 is not an id"),
    ],
)
def test_ids_that_were_not_asked_are_ids_of_their_own(unasked, expected):
    with pytest.raises(PredictionsError) as caught:
        table(unasked=unasked)
    assert str(caught.value).startswith(expected)


def test_a_table_that_lost_what_was_not_asked_is_found(tmp_path):
    partial().save(tmp_path / "t.jsonl")
    whole = (tmp_path / "t.jsonl").read_text()
    (tmp_path / "t.jsonl").write_text("".join(whole.splitlines(keepends=True)[:3]))
    assert "has 3 rows where its manifest counts 4" in refusal(tmp_path / "t.jsonl")
    (tmp_path / "t.jsonl").write_text(whole.replace('"id": 8, ', ""))
    assert refusal(tmp_path / "t.jsonl").startswith(f"{tmp_path}/t.jsonl:4: is not a prediction")


# --- damaged files


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    rows = [prediction(id=id_, loglikelihoods=(-1.0, -2.0)) for id_ in ("a", "b", "c")]
    table(*rows, task="support").save(tmp_path / "t.jsonl")
    return tmp_path / "t.jsonl"


def refusal(path: Path) -> str:
    with pytest.raises(PredictionsError) as caught:
        Predictions.load(path)
    return str(caught.value)


def write_line(path: Path, number: int, line: str) -> None:
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n")


def test_a_file_that_is_not_there_is_named(saved):
    assert refusal(saved.with_name("x")).startswith(f"{saved.with_name('x')}.manifest.json: cannot")
    manifest = saved.with_name("t.jsonl.manifest.json")
    text = manifest.read_text()
    manifest.unlink()
    assert refusal(saved).startswith(f"{manifest}: cannot be read: ")
    assert "keep them together" in refusal(saved)
    manifest.write_text(text)
    saved.unlink()
    assert refusal(saved).startswith(f"{saved}: cannot be read: ")


def test_a_file_cut_short_within_a_line_is_named_with_that_line(saved):
    saved.write_text(saved.read_text()[:-20])
    assert refusal(saved).startswith(f"{saved}:3: is not a prediction (JSONDecodeError")


def test_a_file_cut_short_between_lines_is_found_by_its_count(saved):
    saved.write_text("".join(saved.read_text().splitlines(keepends=True)[:2]))
    assert refusal(saved).startswith(f"{saved}: has 2 rows where its manifest counts 3\n")


def test_an_answer_changed_by_hand_is_found(saved):
    saved.write_text(saved.read_text().replace('"answer": 1', '"answer": 0', 1))
    assert refusal(saved).startswith(f"{saved}:1: the line of example 'a' is not the one that was")


def test_a_table_beside_another_table_s_manifest_is_found(saved):
    other = saved.with_name("other.jsonl")
    table(*[prediction(id=id_, answer=0, gold=0) for id_ in "abc"], task="support").save(other)
    other.replace(saved)
    assert "is not the table that its manifest was written for" in refusal(saved)


def test_a_duplicate_id_is_named_with_the_file(saved):
    text = saved.read_text().replace('"id": "b"', '"id": "a"')
    saved.write_text(text)
    manifest = saved.with_name("t.jsonl.manifest.json")
    sha = hashlib.sha256(text.encode()).hexdigest()
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"sha256": sha, "format": 1}))
    assert refusal(saved).startswith(f"{saved}: id 'a' stands twice, in rows 0 and 1\n")


@pytest.mark.parametrize(
    "change",
    [
        {"correct": 1},
        {"correct": "true"},
        {"correct": None},
        {"score": "high"},
        {"score": None},
        {"score": math.nan},
        {"score": 10**400},
        {"loglikelihoods": 5},
        {"loglikelihoods": ["x"]},
        {"loglikelihoods": {"1": 2}},
        {"digest": 7},
        {"id": ...},
        {"answer": ...},
        {"gold": ...},
        {"score": ...},
    ],
)
def test_an_edited_line_is_named(saved, change):
    record = json.loads(saved.read_text().splitlines()[1]) | change
    kept = {key: value for key, value in record.items() if value is not ...}
    write_line(saved, 2, json.dumps(kept))
    message = refusal(saved)
    assert message.startswith(f"{saved}:2: is not a prediction (")
    assert "record the predictions again" in message


@pytest.mark.parametrize("line", ["[]", "7", "null", '"x"', "{}", "<<<<<<< HEAD", "[" * 100_000])
def test_a_line_that_is_no_prediction_is_named(saved, line):
    write_line(saved, 2, line)
    assert refusal(saved).startswith(f"{saved}:2: is not a prediction (")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", "is not valid JSON"),
        (b"\xff", "cannot be read: "),
        (b"[]", "is not a manifest of predictions"),
        (b"{}", "is not a manifest of predictions"),
        (b'{"format": "1"}', "is not a manifest of predictions"),
        (b'{"format": true}', "is not a manifest of predictions"),
        (b'{"format": 0}', "is not a manifest of predictions"),
        (b'{"format": 1, "facts": [1]}', "is not a manifest of predictions"),
        (b"[" * 100_000, "is not valid JSON"),
        (b'{"format": 4}', "has format 4; this version reads up to 3\n  update pytest-muscle"),
    ],
)
def test_a_manifest_that_is_none_is_named(saved, content, expected):
    manifest = saved.with_name("t.jsonl.manifest.json")
    manifest.write_bytes(content)
    assert refusal(saved).startswith(f"{manifest}: {expected}")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.integers(0, 500),
    length=st.integers(0, 6),
    new=st.binary(max_size=4),
    name=st.sampled_from(["t.jsonl", "t.jsonl.manifest.json"]),
)
def test_any_damage_is_found_or_harmless(tmp_path, start, length, new, name):
    whole = table(prediction(), prediction(id="b", loglikelihoods=(-1.0,)), facts={"x": 1})
    whole.save(tmp_path / "t.jsonl")
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:start] + new + content[start + length :])
    try:
        found = Predictions.load(tmp_path / "t.jsonl")
    except PredictionsError as caught:
        message = str(caught)
    else:
        message = str(tmp_path)
        assert found.rows == whole.rows
    assert message.startswith(str(tmp_path))
