"""What a reference to a log means, and what is refused."""

from pathlib import Path

import pytest

from pytest_muscle import Predictions
from pytest_muscle.errors import PredictionsError
from pytest_muscle.importers import IMPORTERS, check_reference, import_predictions
from pytest_muscle.importers.registry import parse_reference

TABLE = "id,answer,gold,correct\na,1,1,true\nb,2,1,false\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "v1.csv"
    path.write_text(TABLE)
    return path


def test_a_registered_name_is_an_importer(table):
    predictions = Predictions.load(f"csv:{table}")
    assert [row.correct for row in predictions] == [True, False]


def test_every_importer_is_there():
    from importlib import import_module

    for module in IMPORTERS.values():
        assert callable(import_module(f"pytest_muscle.importers.{module}").read_log)


@pytest.mark.parametrize("name", ["v1:best.jsonl", "C:old.jsonl", "plain.jsonl"])
def test_any_other_path_is_a_saved_table(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = Predictions.from_lists(["a"], [1], [1])
    saved.save(Path(name))
    assert Predictions.load(name) == saved
    assert import_predictions(name, tmp_path).rows == saved.rows


def test_a_path_object_is_never_an_importer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = Predictions.from_lists(["a"], [1], [1])
    saved.save(Path("csv:table"))
    assert Predictions.load(Path("csv:table")) == saved


@pytest.mark.parametrize("text", ["C:/logs/v1.jsonl", r"C:\logs\v1.jsonl"])
def test_a_drive_is_no_importer(tmp_path, text):
    assert parse_reference(text, tmp_path).importer is None


@pytest.mark.parametrize(
    ("text", "path", "options"),
    [
        ("csv:a/b.csv", "a/b.csv", {}),
        ("csv:a/b.csv?id=key&gold=right", "a/b.csv", {"id": "key", "gold": "right"}),
        ("csv:what?.csv", "what?.csv", {}),
        ("csv:what?.csv?id=a%26b", "what?.csv", {"id": "a&b"}),
        ("csv:a:b.csv?id=x=y", "a:b.csv", {"id": "x=y"}),
    ],
)
def test_path_and_options(tmp_path, text, path, options):
    reference = parse_reference(text, tmp_path)
    assert reference[1:] == ("csv", tmp_path / path, options)


def test_paths_are_relative_to_the_root_given(table):
    assert len(import_predictions("csv:v1.csv", table.parent)) == 2


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("cvs:v1.csv", "no importer 'cvs'", "did you mean 'csv'?"),
        ("csv:v2.csv", "no such file or directory", "relative to"),
        ("csv:v1.csv?gild=x", "csv has no option 'gild'", "did you mean 'gold'?"),
        ("csv:v1.csv?id=a&id=b", "'id=b' is not an option", "each option once"),
        ("csv:v1.csv?id=", "'id=' is not an option", "option=value"),
    ],
)
def test_what_is_refused_before_the_log_is_read(table, text, problem, hint):
    for refuse in (import_predictions, check_reference):
        with pytest.raises(PredictionsError) as caught:
            refuse(text, table.parent)
        assert problem in caught.value.problem
        assert caught.value.where == text
        assert hint in str(caught.value.hint)


def test_graded_scores_that_happen_to_be_0_and_1(table):
    assert not import_predictions("csv:v1.csv", table.parent).graded
    assert import_predictions("csv:v1.csv?graded=true", table.parent).graded
    with pytest.raises(PredictionsError, match="graded is 'maybe'"):
        import_predictions("csv:v1.csv?graded=maybe", table.parent)
