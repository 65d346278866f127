"""One written answer is judged by a definition's own filters and metrics."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.harness.judging import grade
from pytest_muscle.tasks import Example

EXAMPLE = Example("a/3", "?", (), "6", {"answer": "6", "seen": []})


def definition(process_results, *filters: list, repeats=1):
    """What `ConfigurableTask` has of a definition, with real filters of the harness."""
    from lm_eval.filters import build_filter_ensemble

    return SimpleNamespace(
        config=SimpleNamespace(task="a", repeats=repeats),
        _filters=[build_filter_ensemble("f", [*filters, ["take_first", None]])],
        process_results=process_results,
    )


def judged(process_results, text, *filters: list, metric="acc", graded=False, repeats=1):
    task = definition(process_results, *filters, repeats=repeats)
    return grade(task, EXAMPLE, text, metric=metric, filter_="f", graded=graded, where="tasks.a")


def is_right(document, results):
    return {"acc": results[0] == document["answer"]}


def test_a_filtered_answer_is_judged():
    number = ["regex", {"regex_pattern": r"(\d+)", "group_select": -1}]
    found = judged(is_right, "5 + 1 is 6.", number)
    assert (found.answer, found.score, found.correct, found.graded) == ("6", 1.0, True, False)
    assert judged(is_right, "5 + 2", number).correct is False
    assert judged(is_right, "none", number).answer is None


def test_a_mark_between_right_and_wrong():
    found = judged(lambda *_: {"acc": 0.25}, "x", graded=True)
    assert (found.score, found.correct, found.graded) == (0.25, False, True)


def test_repeats_of_a_likeliest_answer_are_all_alike():
    assert judged(is_right, "6", ["majority_vote", None], repeats=5).correct


def test_a_definition_that_writes_into_a_document_changes_nothing():
    def write(document, _) -> dict:
        document["seen"].append(1)
        return {"acc": len(document["seen"])}

    assert [judged(write, "x").score for _ in range(2)] == [1.0, 1.0]
    assert EXAMPLE.fields["seen"] == []


@pytest.mark.parametrize(
    ("process_results", "said"),
    [
        (lambda *_: {"acc": (1, 2)}, "acc gives tuple (1, 2), on example 'a/3'"),
        (lambda *_: {"acc": float("nan")}, "acc gives float nan"),
        (lambda *_: {}, "acc fails: KeyError"),
        (lambda *_: 1 / 0, "acc fails: ZeroDivisionError: division by zero, on example 'a/3'"),
    ],
)
def test_what_is_no_mark_is_refused(process_results, said):
    with pytest.raises(ConfigurationError) as caught:
        judged(process_results, "x")
    assert str(caught.value).startswith("tasks.a.metric: ")
    assert said in str(caught.value)
