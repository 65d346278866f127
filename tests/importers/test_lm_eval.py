"""Samples that lm-evaluation-harness wrote; what is expected was read off the files by hand."""

import json
import shutil
from pathlib import Path

import pytest

from pytest_muscle import Predictions, compare
from pytest_muscle.errors import ComparisonError, PredictionsError

FILES = Path(__file__).parent / "files" / "lm_eval"
KINDS = FILES.parent / "lm_eval_kinds"
COLOURS = next((FILES / "v1").glob("samples_colours_*.jsonl"))
SUMS = next((FILES / "v1").glob("samples_sums_*.jsonl"))


def load(path, options=""):
    return Predictions.load(f"lm-eval:{path}{options}")


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path, rows):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_an_option_that_was_chosen():
    """The first line: blue -4.94, red -7.96, green -5.96, black -5.73; right is black."""
    by_sum = next(iter(load(COLOURS, "?metric=acc")))
    assert by_sum.id == "colours/0"
    assert by_sum.gold == 3
    assert by_sum.answer == 0  # blue
    assert (by_sum.correct, by_sum.score) == (False, 0.0)
    assert by_sum.loglikelihoods == pytest.approx((-4.94467, -7.96158, -5.95835, -5.7335), abs=1e-5)
    by_character = next(iter(load(COLOURS, "?metric=acc_norm")))
    assert by_character.answer == 3  # -5.73 / 5 is more than -4.94 / 4
    assert by_character.correct


@pytest.mark.parametrize("metric", ["acc", "acc_norm"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_chosen_option_agrees_with_the_metric(version, metric):
    table = load(FILES / version, f"?task=colours&metric={metric}")
    assert all((row.answer == row.gold) == row.correct for row in table)
    assert len(table) == 24


def test_accuracy_is_what_lm_eval_reported():
    """From results_….json of the same runs."""
    reported = {("v1", "acc"): 5, ("v1", "acc_norm"): 10, ("v2", "acc"): 8, ("v2", "acc_norm"): 7}
    for (version, metric), right in reported.items():
        table = load(FILES / version, f"?task=colours&metric={metric}")
        assert table.accuracy == right / 24


def test_examples_are_at_hand_for_slices_and_failures():
    table = load(COLOURS, "?metric=acc")
    example = table.examples["colours/0"]
    assert example.prompt == "Question: Which colour has the table of the south?\nAnswer:"
    assert example.options == ("blue", "red", "green", "black")
    assert example.gold == 3
    assert example.fields["place"] == "south"
    assert (table.task, table.model) == ("colours", "v1")


def test_a_text_that_was_written():
    whole = next(iter(load(SUMS, "?filter=whole")))
    assert whole.id == "sums/0"
    assert whole.gold == "5"
    assert whole.answer == whole.text == lines(SUMS)[0]["resps"][0][0]
    assert whole.loglikelihoods is None
    filtered = next(iter(load(SUMS, "?filter=number")))
    assert filtered.answer is None  # no number in it: "[invalid]" in the file
    assert filtered.text == whole.text


def test_flips_between_two_models():
    old, new = (load(FILES / name, "?task=colours&metric=acc") for name in ("v1", "v2"))
    before, after = (
        {row["doc_id"]: row["acc"] for row in lines(next((FILES / name).glob("*colours*")))}
        for name in ("v1", "v2")
    )
    flipped = {f"colours/{id_}" for id_ in before if before[id_] == 1 and after[id_] == 0}
    assert set(compare(old, new).negative_flips) == flipped
    assert flipped


@pytest.mark.parametrize("key", ["doc_hash", "target_hash"])
def test_logs_of_other_data_are_refused(tmp_path, key):
    rows = lines(COLOURS)
    rows[4][key] = "0" * 64
    other = write(tmp_path / COLOURS.name, rows)
    with pytest.raises(ComparisonError, match="different questions for 1 id: 'colours/4'"):
        compare(load(COLOURS, "?metric=acc"), load(other, "?metric=acc"))


def test_another_prompt_is_not_refused(tmp_path):
    """Each model may have its own chat template."""
    rows = lines(COLOURS)
    for row in rows:
        row["prompt_hash"] = "0" * 64
    other = write(tmp_path / COLOURS.name, rows)
    assert compare(load(COLOURS, "?metric=acc"), load(other, "?metric=acc")).n == 24


def test_a_renamed_file_says_no_task(tmp_path):
    copied = tmp_path / "old.jsonl"
    shutil.copy(COLOURS, copied)
    assert load(copied, "?metric=acc").rows[0].id == "0"
    assert load(copied, "?metric=acc&task=colours").rows[0].id == "colours/0"


def test_the_newest_file_of_a_folder(tmp_path):
    rows = lines(COLOURS)
    write(tmp_path / "m" / "samples_colours_2026-01-02T10-00-00.1.jsonl", rows)
    write(tmp_path / "m" / "samples_colours_2026-01-02T09-00-00.1.jsonl", rows[:3])
    assert len(load(tmp_path, "?metric=acc")) == 24


def test_a_pattern_joins_tasks(tmp_path):
    rows = lines(COLOURS)
    for task, part in (("mmlu_law", rows[:3]), ("mmlu_art", rows[3:5]), ("arc", rows)):
        write(tmp_path / f"samples_{task}_2026-01-02T10-00-00.1.jsonl", part)
    table = load(tmp_path, "?metric=acc&task=mmlu_*")
    assert [row.id for row in table] == [
        "mmlu_art/3",
        "mmlu_art/4",
        "mmlu_law/0",
        "mmlu_law/1",
        "mmlu_law/2",
    ]
    assert table.examples["mmlu_law/1"].fields["task"] == "mmlu_law"


def test_graded_metrics(tmp_path):
    rows = [row for row in lines(SUMS) if row["filter"] == "whole"]
    for number, row in enumerate(rows):
        row["metrics"], row["rougeL"] = ["rougeL"], number / 10
    table = load(write(tmp_path / SUMS.name, rows))
    assert table.graded
    assert table.rows[3].score == 0.3


def test_options_in_the_prompts():
    """As WinoGrande asks: each option in a prompt of its own, one ending; the second is wrong."""
    table = load(KINDS, "?task=wino")
    assert [row.answer for row in table] == [0, 0, 1, 0]
    assert [row.correct for row in table] == [True, False, True, True]
    example = table.examples["wino/0"]
    assert example.options == ("It was Ann", "It was Bo")
    assert example.prompt == " who fell."


def test_an_option_less_what_it_scores_alone():
    """Cy: -19.64 with the question, Di: -20.76; alone they score as in the file."""
    by_sum = load(KINDS, "?task=mutual&metric=acc")
    mutual = load(KINDS, "?task=mutual&metric=acc_mutual_info")
    rows = lines(next((KINDS / "v1").glob("samples_mutual_*")))
    for table, metric in ((by_sum, "acc"), (mutual, "acc_mutual_info")):
        assert [row.correct for row in table] == [row[metric] == 1 for row in rows]
        assert all((row.answer == row.gold) == row.correct for row in table)
        assert {len(row.loglikelihoods) for row in table} == {2}
    assert [row.answer for row in by_sum] == [1, 1, 0, 1]
    assert [row.answer for row in mutual] == [1, 0, 0, 0]


def test_one_ending_alone():
    """As LAMBADA asks: is the last word the likeliest?"""
    first = load(KINDS, "?task=lastword").rows[0]  # acc: of perplexity less is better
    assert (first.answer, first.correct, first.text) == (None, False, None)
    assert first.loglikelihoods == pytest.approx((-16.54332,), abs=1e-5)


def test_perplexities_say_nothing_of_right_and_wrong():
    with pytest.raises(PredictionsError, match="has no metric"):
        load(KINDS, "?task=rolling")


def test_a_version_before_0_4_3(tmp_path):
    """As it wrote them: neither hashes, filter nor metrics, arguments as lists, target a number."""
    rows = lines(COLOURS)
    for row in rows:
        for key in ("doc_hash", "target_hash", "prompt_hash", "filter", "metrics"):
            del row[key]
        row["arguments"] = [list(call.values()) for call in row["arguments"].values()]
        row["target"] = int(row["target"])
    table = load(write(tmp_path / COLOURS.name, rows), "?metric=acc")
    assert table.rows[0].digest is None
    assert compare(table, load(COLOURS, "?metric=acc")).n == 24


@pytest.mark.parametrize(
    ("path", "options", "problem", "hint"),
    [
        (FILES / "v1", "", "several tasks could be meant: colours, sums", "?task=colours"),
        (FILES / "v1", "?task=colour", "no samples of task 'colour'", "'colours'"),
        (FILES, "?task=colours", "samples of colours in 2 folders: v1, v2", "name one"),
        (FILES / "tasks", "", "holds no samples", "--log_samples"),
        (FILES / "tasks" / "sums.yaml", "", "is not a file of samples", "samples_"),
        (COLOURS, "", "several metrics could be meant: acc, acc_norm", "?metric=acc"),
        (COLOURS, "?metric=f1", "has no metric 'f1'", "acc, acc_norm"),
        (COLOURS, "?metric=acc&filter=strict", "has no filter 'strict'", "none"),
        (SUMS, "", "several filters could be meant: whole, number", "?filter=whole"),
    ],
)
def test_what_is_refused(path, options, problem, hint):
    with pytest.raises(PredictionsError) as caught:
        load(path, options)
    assert problem in caught.value.problem
    assert hint in str(caught.value.hint)


def test_damaged_files(tmp_path):
    text = COLOURS.read_text(encoding="utf-8")
    cut = tmp_path / COLOURS.name
    cut.write_text(text[:-30], encoding="utf-8")
    with pytest.raises(PredictionsError) as caught:
        load(cut, "?metric=acc")
    assert caught.value.where == f"{cut.name}:24"
    assert "not valid JSON" in caught.value.problem


@pytest.mark.parametrize(
    ("change", "problem", "line"),
    [
        (lambda rows: rows.append(rows[0]), "'colours/0' stands already at", 25),
        (lambda rows: rows[3].pop("doc_id"), "has no 'doc_id', so it is not a log of lm-ev", 4),
        (lambda rows: rows[3].pop("arguments"), "has no 'arguments'", 4),
        (lambda rows: rows[3].pop("acc"), "the score is None, not a finite number", 4),
        (lambda rows: rows[3].update(filtered_resps=["a", "b"]), "is not the log-likelihood", 4),
        (lambda rows: rows[3]["filtered_resps"].pop(), "4 requests and 3 answers", 4),
    ],
)
def test_rows_that_are_refused(tmp_path, change, problem, line):
    rows = lines(COLOURS)
    change(rows)
    path = write(tmp_path / COLOURS.name, rows)
    with pytest.raises(PredictionsError) as caught:
        load(path, "?metric=acc")
    assert problem in caught.value.problem
    assert caught.value.where == f"{path.name}:{line}"


def test_a_metric_of_which_less_is_better(tmp_path):
    rows = lines(COLOURS)[:2]
    for row in rows:
        row["metrics"], row["perplexity"] = ["acc", "perplexity"], -1.5
    path = write(tmp_path / COLOURS.name, rows)
    assert len(load(path)) == 2  # by acc, the only one that says what is right
    with pytest.raises(PredictionsError, match="less is better"):
        load(path, "?metric=perplexity")
