"""Logs that Inspect wrote; what is expected was read off them with `inspect log dump`."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

from pytest_muscle import Predictions, compare
from pytest_muscle.errors import ComparisonError, PredictionsError

FILES = Path(__file__).parent / "files" / "inspect"
needs_inspect = pytest.mark.skipif(
    importlib.util.find_spec("inspect_ai") is None, reason="inspect_ai is not installed"
)


def load(path, options=""):
    return Predictions.load(f"inspect:{path}{options}")


@needs_inspect
def test_an_option_that_was_chosen():
    table = load(FILES / "v1", "?task=colours")
    first, second = table.rows[:2]
    assert (first.id, first.answer, first.gold, first.correct) == ("colours/q7-0", 1, 3, False)
    assert (second.id, second.answer, second.gold, second.correct) == ("colours/q7-1", 0, 0, True)
    assert first.text == "ANSWER: B"
    assert (table.task, table.model, table.graded) == ("colours", "mockllm/model", False)
    assert table.accuracy == 0.125  # as its results say


@needs_inspect
def test_examples_are_at_hand():
    example = load(FILES / "v1", "?task=colours").examples["colours/q7-0"]
    assert example.prompt == "Which colour has the table of the south?"
    assert example.options == ("blue", "red", "green", "black")
    assert example.fields == {"place": "south"}


@needs_inspect
def test_epochs_become_draws():
    table = load(FILES / "v1", "?task=sums&scorer=match")
    assert table.graded
    assert [len(row.draws) for row in table] == [3] * 4
    assert all(row.score == pytest.approx(sum(row.draws) / 3) for row in table)
    assert table.accuracy == pytest.approx(1 / 6)  # as its results say
    assert table.rows[0].gold == "3"


@needs_inspect
def test_two_logs_compare():
    old, new = (load(FILES / name, "?task=colours") for name in ("v1", "v2"))
    report = compare(old, new)
    assert (report.n, report.old_accuracy, report.new_accuracy) == (8, 0.125, 0.375)
    drawn = compare(*(load(FILES / name, "?task=sums&scorer=match") for name in ("v1", "v2")))
    assert drawn.n == 4


@needs_inspect
def test_logs_of_other_questions_are_refused(tmp_path):
    import inspect_ai.log

    (file,) = (FILES / "v1").glob("*_colours_*")
    log = inspect_ai.log.read_eval_log(str(file))
    log.samples[2].target = "A"
    inspect_ai.log.write_eval_log(log, str(tmp_path / "other.json"))
    with pytest.raises(ComparisonError, match="different questions for 1 id: 'colours/q7-2'"):
        compare(load(file), load(tmp_path / "other.json"))


@needs_inspect
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda samples: samples[1].scores.clear(), "has no score of choice"),
        (lambda samples: setattr(samples[1].scores["choice"], "value", "maybe"), "neither right"),
        (lambda samples: setattr(samples[1].scores["choice"], "value", [1, 0]), "not a finite"),
        (lambda samples: setattr(samples[1].scores["choice"], "value", {"a": 1, "b": 0}), "a, b"),
        (lambda samples: samples.append(samples[1]), "stands twice in one epoch"),
    ],
)
def test_samples_that_are_refused(tmp_path, change, problem):
    import inspect_ai.log

    (file,) = (FILES / "v1").glob("*_colours_*")
    log = inspect_ai.log.read_eval_log(str(file))
    change(log.samples)
    inspect_ai.log.write_eval_log(log, str(tmp_path / "other.json"))
    with pytest.raises(PredictionsError) as caught:
        load(tmp_path / "other.json")
    assert problem in caught.value.problem
    assert "other.json: sample 'q7-1'" in caught.value.where


@needs_inspect
def test_one_of_several_values_and_partly_right(tmp_path):
    import inspect_ai.log

    (file,) = (FILES / "v1").glob("*_colours_*")
    log = inspect_ai.log.read_eval_log(str(file))
    for sample in log.samples:
        sample.scores["choice"].value = {"style": "P", "truth": "C"}
    inspect_ai.log.write_eval_log(log, str(tmp_path / "other.json"))
    assert load(tmp_path / "other.json", "?key=truth").accuracy == 1
    table = load(tmp_path / "other.json", "?key=style")
    assert (table.graded, table.accuracy) == (True, 0.5)


@needs_inspect
@pytest.mark.parametrize(
    ("path", "options", "problem", "hint"),
    [
        ("v1", "", "several tasks could be meant: colours, sums", "?task=colours"),
        ("v1", "?task=sums", "several scorers could be meant: match, includes", "?scorer=match"),
        ("v1", "?task=colours&scorer=f1", "has no scorer 'f1'", "choice"),
        ("v1", "?task=colours&key=a", "choice gives one value", "leave out"),
        ("broken", "", "a run that ended with 'error'", "eval-retry"),
    ],
)
def test_what_is_refused(path, options, problem, hint):
    with pytest.raises(PredictionsError) as caught:
        load(FILES / path, options)
    assert problem in caught.value.problem
    assert hint in str(caught.value.hint)


@needs_inspect
@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("log.eval", b"PK no zip", "cannot be read as a log of Inspect"),
        ("log.json", b'{"version": 2}', "cannot be read as a log of Inspect"),
        ("log.txt", b"", "is not a log of Inspect"),
    ],
)
def test_damaged_files(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PredictionsError, match=problem):
        load(tmp_path / name)


@needs_inspect
def test_the_newest_log_of_a_folder(tmp_path):
    import inspect_ai.log

    (file,) = (FILES / "v1").glob("*_colours_*")
    log = inspect_ai.log.read_eval_log(str(file))
    shutil.copy(file, tmp_path / "a.eval")
    log.eval.created = "2030-01-01T00:00:00+00:00"
    log.samples = log.samples[:3]
    inspect_ai.log.write_eval_log(log, str(tmp_path / "b.eval"))
    assert len(load(tmp_path)) == 3


def test_without_inspect_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(PredictionsError) as caught:
        load(next((FILES / "v1").glob("*_colours_*")))
    assert "pytest-muscle[inspect]" in caught.value.hint
