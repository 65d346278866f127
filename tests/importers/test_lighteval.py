"""Details that LightEval wrote; what is expected was read off the files, or is lm-eval's."""

import shutil
from pathlib import Path

import pytest

from pytest_muscle import Predictions, compare
from pytest_muscle.errors import ComparisonError, PredictionsError

FILES = Path(__file__).parent / "files"
V1 = FILES / "lighteval" / "v1.parquet"
DATE = "2026-11-26T00-11-16.621645"

parquet = pytest.importorskip("pyarrow.parquet")


def load(path, options="?metric=acc"):
    return Predictions.load(f"lighteval:{path}{options}")


@pytest.fixture
def changed(tmp_path):
    def write(change: object) -> Path:
        import pyarrow

        rows = parquet.read_table(V1).to_pylist()
        change(rows)
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "changed.parquet")
        return tmp_path / "changed.parquet"

    return write


def place(folder, task, model="m", date=DATE):
    """Copy the file to where LightEval would have written it."""
    path = folder / "details" / model / date / f"details_{task}_{date}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy(V1, path)
    except OSError:
        pytest.skip("no such name on this system")
    return path


def test_an_option_that_was_chosen():
    table = load(V1)
    first = table.rows[0]
    assert (first.id, first.gold, first.answer, first.correct) == ("colours|0/15", 3, 2, False)
    assert first.loglikelihoods == pytest.approx((-6.74726, -5.77772, -5.62024, -8.00307), abs=1e-5)
    assert (table.task, table.model, table.graded) == ("colours|0", "v1", False)
    example = table.examples[first.id]
    assert example.prompt == "Question: Which colour has the house of the lake?\nAnswer:"
    assert example.options == ("white", "black", "blue", "red")
    assert example.fields == {"place": "lake"}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_it_agrees_with_lm_evaluation_harness(version):
    """Both asked one model the same questions."""
    theirs = Predictions.load(f"lm-eval:{FILES}/lm_eval/{version}?task=colours&metric=acc")
    by_number = {row.id.split("/")[1]: row for row in theirs}
    table = load(FILES / "lighteval" / f"{version}.parquet")
    assert len(table) == len(theirs)
    for row in table:
        other = by_number[row.id.split("/")[1]]
        assert row.loglikelihoods == pytest.approx(other.loglikelihoods, abs=1e-4)
        assert (row.answer, row.gold, row.correct) == (other.answer, other.gold, other.correct)


def test_two_models_compare():
    report = compare(load(V1), load(FILES / "lighteval" / "v2.parquet"))
    assert (report.n, len(report.negative_flips), len(report.positive_flips)) == (24, 2, 5)


def test_a_graded_metric():
    table = load(V1, "?metric=mrr")
    assert table.graded
    assert table.rows[0].score == 0.25


def test_a_text_that_was_written(changed):
    def write(rows: list[dict[str, dict[str, object]]]) -> None:
        for row in rows:
            row["model_response"].update(text=["It is red."], text_post_processed=["red"])

    first = load(changed(write)).rows[0]
    assert (first.answer, first.text, first.gold) == ("red", "It is red.", "red")
    assert first.loglikelihoods is None


def test_several_right_options(changed):
    def several(rows: list[dict[str, dict[str, object]]]) -> None:
        for row in rows:
            row["doc"]["gold_index"] = [row["doc"]["gold_index"], 0]

    assert load(changed(several)).rows[0].gold == [3, 0]


@pytest.mark.parametrize("change", [{"query": "Which?"}, {"gold_index": 1}])
def test_logs_of_other_data_are_refused(changed, change):
    other = changed(lambda rows: rows[0]["doc"].update(change))
    with pytest.raises(ComparisonError, match=r"'colours\|0/15'"):
        compare(load(V1), load(other))


def test_the_newest_file_of_a_folder(tmp_path):
    place(tmp_path, "colours|0")
    newest = place(tmp_path, "colours|0", date="2026-12-26T00-11-16.621645")
    for options in ("?metric=acc", "?metric=acc&task=colours", "?metric=acc&task=colours|0"):
        table = load(tmp_path, options)
        assert table.facts["imported_from"] == newest.name
        assert table.model == "m"


@pytest.mark.parametrize(
    ("places", "options", "problem", "hint"),
    [
        ([("a|0", "m"), ("b|0", "m")], "", "several tasks could be meant: a|0, b|0", "?task="),
        ([("a|0", "m"), ("a|5", "m")], "?task=a", "several tasks could be meant", "?task="),
        ([("a|0", "m"), ("a|0", "n")], "", "in 2 folders: details/m, details/n", "name one"),
        ([("arc|0", "m")], "?task=arch", "no details of task 'arch'", "arc|0"),
        ([], "", "has no task", "right file"),
    ],
)
def test_folders_that_are_refused(tmp_path, places, options, problem, hint):
    for task, model in places:
        place(tmp_path, task, model)
    with pytest.raises(PredictionsError) as caught:
        load(tmp_path, options)
    assert problem in caught.value.problem
    assert hint in str(caught.value.hint)


def test_metrics_that_are_refused():
    with pytest.raises(PredictionsError, match="several metrics could be meant: acc, mrr"):
        load(V1, "")
    with pytest.raises(PredictionsError, match="has no metric 'f1'"):
        load(V1, "?metric=f1")


@pytest.mark.parametrize(
    ("change", "problem", "row"),
    [
        (lambda rows: rows[4]["metric"].update(acc=None), "the score is None", 5),
        (lambda rows: rows[4].update(metric=None), "has no 'metric' of several values", 5),
        (lambda rows: rows.append(rows[0]), "'colours|0/15' stands already at", 25),
    ],
)
def test_rows_that_are_refused(changed, change, problem, row):
    with pytest.raises(PredictionsError) as caught:
        load(changed(change))
    assert problem in caught.value.problem
    assert caught.value.where == f"changed.parquet: row {row}"


def test_other_files(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(PredictionsError, match="is not readable Parquet"):
        load(tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(PredictionsError, match="is not a file of details"):
        load(tmp_path / "a.json")
