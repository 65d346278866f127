"""Test runs that DeepEval wrote; what is expected was read off the files by hand."""

import json
from pathlib import Path

import pytest

from pytest_muscle import Predictions, compare
from pytest_muscle.errors import ComparisonError, PredictionsError

FILES = Path(__file__).parent / "files" / "deepeval"


def load(path, options="?metric=Exact Match"):
    return Predictions.load(f"deepeval:{path}{options}")


@pytest.fixture
def changed(tmp_path):
    def write(change: object, name: str = "test_run_1.json") -> Path:
        run = json.loads((FILES / "v1.json").read_text(encoding="utf-8"))
        change(run["testCases"])
        (tmp_path / name).write_text(json.dumps(run), encoding="utf-8")
        return tmp_path / name

    return write


def test_answers_that_pass():
    table = load(FILES / "v1.json")
    first, second = table.rows[:2]
    expected = ("capital-0", "Rome", "Rome", True)
    assert (first.id, first.answer, first.gold, first.correct) == expected
    assert (second.answer, second.gold, second.correct) == ("Paris", "Oslo", False)
    assert not table.graded
    example = table.examples["capital-1"]
    assert example.prompt == "What is the capital of Norway?"
    assert example.fields == {"continent": "Europe"}


def test_scores():
    table = load(FILES / "v1.json", "?metric=Length&by=score")
    assert table.graded
    assert [row.score for row in table] == [0.4, 0.5, 0.6, 0.8, 0.4, 0.6]
    passed = load(FILES / "v1.json", "?metric=Length")
    assert [row.correct for row in passed] == [False, True, True, True, False, True]


def test_two_runs_compare():
    report = compare(load(FILES / "v1.json"), load(FILES / "v2.json"))
    assert report.negative_flips == ("capital-5",)
    assert report.positive_flips == ("capital-1",)


@pytest.mark.parametrize("key", ["input", "expectedOutput"])
def test_runs_of_other_cases_are_refused(changed, key):
    other = changed(lambda cases: cases[3].update({key: "another"}))
    with pytest.raises(ComparisonError, match="'capital-3'"):
        compare(load(FILES / "v1.json"), load(other))


def test_the_newest_run_of_a_folder(changed):
    changed(lambda cases: cases.clear(), "test_run_20250101_000000.json")
    newest = changed(lambda cases: cases.pop(), "test_run_20260101_000000.json")
    assert len(load(newest.parent)) == 5


def test_cases_of_one_name(changed):
    path = changed(lambda cases: [case.update(name="test_capital") for case in cases])
    with pytest.raises(PredictionsError, match="'test_capital' stands already at"):
        load(path)
    table = load(path, "?metric=Exact Match&id=input")
    assert table.rows[0].id == "What is the capital of Italy?"


@pytest.mark.parametrize(
    ("options", "problem", "hint"),
    [
        ("", "several metrics could be meant: Exact Match, Length", "?metric=Exact Match"),
        ("?metric=BLEU", "has no metric 'BLEU'", "Exact Match"),
        ("?metric=Length&by=threshold", "by is 'threshold'", "by=success or by=score"),
        ("?metric=Length&id=order", "id is 'order'", "id=name or id=input"),
    ],
)
def test_options_that_are_refused(options, problem, hint):
    with pytest.raises(PredictionsError) as caught:
        load(FILES / "v1.json", options)
    assert problem in caught.value.problem
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda cases: cases[2].pop("input"), "has no 'input', so it is not a log of DeepEval"),
        (lambda cases: cases[2]["metricsData"].pop(0), "has no judgement by Exact Match"),
        (lambda cases: cases[2]["metricsData"][0].update(success=None), "has no judgement"),
        (lambda cases: cases[2]["metricsData"][0].update(success="yes"), "not a finite number"),
    ],
)
def test_cases_that_are_refused(changed, change, problem):
    with pytest.raises(PredictionsError) as caught:
        load(changed(change))
    assert problem in caught.value.problem
    assert caught.value.where == "test_run_1.json: test case 2"


@pytest.mark.parametrize(
    ("text", "problem", "where"),
    [
        ('{"testCases": [\n{"name"', "is not valid JSON", "run.json:2"),
        ("[]", "is not a log of DeepEval", "run.json"),
        ("{}", "has no 'testCases'", "run.json"),
        ('{"testCases": [1]}', "no list of objects", "run.json"),
    ],
)
def test_damaged_files(tmp_path, text, problem, where):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(PredictionsError) as caught:
        load(tmp_path / "run.json")
    assert problem in caught.value.problem
    assert str(caught.value.where).endswith(where)


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(PredictionsError, match=r"holds no test_run_\*\.json"):
        load(tmp_path)
