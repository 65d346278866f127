"""Results that promptfoo wrote; what is expected was read off the files by hand."""

import json
from pathlib import Path

import pytest

from pytest_muscle import Predictions, compare
from pytest_muscle.errors import ComparisonError, PredictionsError

FILES = Path(__file__).parent / "files" / "promptfoo"
CAPITALS = FILES / "capitals.json"


def load(path, options="?provider=v1&id=country"):
    return Predictions.load(f"promptfoo:{path}{options}")


@pytest.fixture
def changed(tmp_path):
    def write(change: object) -> Path:
        whole = json.loads(CAPITALS.read_text(encoding="utf-8"))
        change(whole["results"]["results"])
        (tmp_path / "changed.json").write_text(json.dumps(whole), encoding="utf-8")
        return tmp_path / "changed.json"

    return write


def test_tests_that_pass():
    table = load(CAPITALS)
    assert [(row.id, row.answer, row.gold, row.correct) for row in table] == [
        ("Italy", "Rome", "Rome", True),
        ("Norway", "Paris", "Oslo", False),
        ("Spain", "Madrid", None, True),  # of two assertions none is the gold answer
        ("Malta", "Valletta", "Valletta", True),
    ]
    assert (table.model, table.graded) == ("v1", False)
    example = table.examples["Norway"]
    assert example.prompt == "What is the capital of Norway?"
    assert example.fields["continent"] == "Europe"


def test_two_providers_of_one_file():
    report = compare(load(CAPITALS), load(CAPITALS, "?provider=capitals:v2&id=country"))
    assert report.negative_flips == ("Malta",)
    assert report.positive_flips == ("Norway",)


def test_repetitions_become_draws():
    table = load(FILES / "repeated.json")
    assert table.graded
    assert [(row.id, row.draws) for row in table] == [
        ("Italy", (1, 1, 1)),
        ("Norway", (0, 0, 0)),
    ]
    report = compare(table, load(FILES / "repeated.json", "?provider=v2&id=country"))
    assert report.positive_flips == ("Norway",)


def test_without_a_variable_the_id_is_the_content():
    ids = [row.id for row in load(CAPITALS, "?provider=v1")]
    assert ids == [row.id for row in load(CAPITALS, "?provider=v2")]
    assert len(set(ids)) == 4


def test_a_variable_named_id(changed):
    def name(rows: list[dict[str, dict[str, str]]]) -> None:
        for row in rows:
            row["vars"]["id"] = f"capital of {row['vars']['country']}"

    assert load(changed(name), "?provider=v1").rows[0].id == "capital of Italy"


def test_scores_and_named_metrics(changed):
    table = load(changed(lambda rows: rows[0].update(score=0.25)), "?provider=v1&by=score")
    assert (table.graded, table.rows[0].score) == (True, 0.25)

    def keep_spain(rows: list[object]) -> None:
        rows[:] = [row for row in rows if row["vars"]["country"] == "Spain"]

    assert load(changed(keep_spain), "?provider=v1&metric=exact").accuracy == 1


def test_other_assertions_are_refused(changed):
    other = changed(lambda rows: rows[0]["testCase"]["assert"][0].update(value="Roma"))
    with pytest.raises(ComparisonError, match="'Italy'"):
        compare(load(CAPITALS), load(other))


def test_what_promptfoo_itself_sets_is_not_asked(changed):
    other = changed(lambda rows: [row["vars"].update(sessionId=id(row)) for row in rows])
    assert compare(load(CAPITALS), load(other)).n == 4


@pytest.mark.parametrize(
    ("file", "options", "problem", "hint"),
    [
        ("capitals.json", "", "several providers could be meant: v1, v2", "?provider=v1"),
        ("capitals.json", "?provider=v3", "has no provider 'v3'", "capitals:v1"),
        ("capitals.json", "?provider=v1&prompt=x", "has no prompt 'x'", "{{country}}"),
        ("capitals.json", "?provider=v1&metric=exact", "has no metric 'exact'", "none is known"),
        ("capitals.json", "?provider=v1&by=pass", "by is 'pass'", "by=success or by=score"),
        ("capitals.json", "?provider=v1&id=city", "has no variable 'city'", "country, continent"),
        ("capitals.json", "?provider=v1&id=continent", "id 'Europe' stands already", "two runs"),
        ("failed.json", "?id=country", "was not judged: no connection", "promptfoo retry"),
    ],
)
def test_what_is_refused(file, options, problem, hint):
    with pytest.raises(PredictionsError) as caught:
        load(FILES / file, options)
    assert problem in caught.value.problem
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "problem", "where"),
    [
        ('{"results":\n', "is not valid JSON", "run.json:2"),
        ("[]", "is not a log of promptfoo", "run.json"),
        ("{}", "has no 'results'", "run.json"),
        ('{"results": []}', "no list of objects", "run.json"),
        ('{"results": {"results": []}}', "has no provider", "run.json"),
    ],
)
def test_damaged_files(tmp_path, text, problem, where):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(PredictionsError) as caught:
        load(tmp_path / "run.json", "")
    assert problem in caught.value.problem
    assert str(caught.value.where).endswith(where)
