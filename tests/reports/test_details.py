"""What the summary of a task leaves out: counts, models, the flipped examples."""

from __future__ import annotations

import dataclasses
import json

from pytest_muscle.comparison import compare
from pytest_muscle.predictions import Prediction, Predictions
from pytest_muscle.reports.data import Counts, FlippedExample, TaskDetails
from pytest_muscle.reports.details import describe_details


def test_counts_models_and_flips_in_words(reports):
    details = describe_details("support", reports, None)
    assert details.models == {"old": "m1", "new": "m2", "compat": "mc"}
    assert details.counts == {
        "new": Counts(negative=1, positive=1, both_right=2, both_wrong=2),
        "compat": Counts(negative=2, positive=0, both_right=1, both_wrong=3),
    }
    assert details.flips == (
        FlippedExample(
            position=1,
            id="e1",
            question="Q1?",
            gold=" yes",
            to_new="negative",
            to_compat="negative",
            old=" yes",
            new=" no",
            compat=" maybe",
            slices={"kind": "k1"},
        ),
        FlippedExample(
            position=2,
            id="e2",
            question="Q2?",
            gold=" yes",
            to_compat="negative",
            old=" yes",
            new=" yes",
            compat=" no",
            slices={"kind": "k0"},
        ),
        FlippedExample(
            position=4,
            id="e4",
            question="Q4?",
            gold=" yes",
            to_new="positive",
            old=" no",
            new=" yes",
            compat=" no",
            slices={"kind": "k0"},
        ),
    )


def test_a_few_flips_are_negative_ones(reports):
    assert [flip.id for flip in describe_details("support", reports, 1).flips] == ["e1"]
    assert describe_details("support", reports, 0).flips == ()


def test_details_of_two_processes_are_those_of_one(reports):
    parts = [
        TaskDetails.from_json(json.loads(json.dumps(part.to_json())))
        for part in (
            describe_details("support", {side: report}, None) for side, report in reports.items()
        )
    ]
    whole = describe_details("support", reports, None)
    for merged in (parts[1].merge(parts[0]), parts[0].merge(parts[1])):
        assert (merged.models, merged.counts) == (whole.models, whole.counts)
        assert [flip.id for flip in merged.flips] == ["e1", "e2", "e4"]
        assert merged.flips[0] == whole.flips[0]
        assert merged.flips[1] == dataclasses.replace(whole.flips[1], new=None)


def test_what_the_new_model_was_not_asked_is_not_known(table):
    old = table([0, 1, 0, 1])
    asked = table([0, 0, 1, 0])  # in another order: e2, e0
    rows = [dataclasses.replace(asked.rows[at]) for at in (2, 0)]
    new = Predictions(rows=rows, task="support", unasked=("e1", "e3"), model="m2")
    details = describe_details("support", {"new": compare(old, new)}, None)
    assert details.counts == {"new": Counts(negative=1, unasked=2)}
    assert [(flip.id, flip.old, flip.new) for flip in details.flips] == [("e2", " yes", " no")]
    both = {"new": compare(old, new), "compat": compare(old, table([0, 0, 2, 1]))}
    said = [(x.id, x.to_new, x.new, x.compat) for x in describe_details("t", both, None).flips]
    assert said == [("e1", None, None, " yes"), ("e2", "negative", " no", " maybe")]


def test_falls_and_rises_of_graded_scores_with_what_was_written():
    def written(marks: list[float], model: str) -> Predictions:
        rows = [
            Prediction(f"e{at}", f"a{at}", "g", mark == 1, mark, text=f"{model} wrote {at}\ud800")
            for at, mark in enumerate(marks)
        ]
        return Predictions(rows=rows, graded=True, tolerance=0.1)

    report = compare(written([0.9, 0.5, 0.5], "old"), written([0.4, 0.55, 0.8], "new"))
    details = describe_details("support", {"new": report}, None)
    assert details.counts == {"new": Counts(negative=1, positive=1)}
    moved = details.changes["new"]  # −0.5, 0.05 and 0.3 in 21 bins of −0.5 to 0.5
    assert (moved.edges[0], moved.edges[-1], len(moved.counts)) == (-0.5, 0.5, 21)
    assert {at: count for at, count in enumerate(moved.counts) if count} == {0: 1, 11: 1, 16: 1}
    assert TaskDetails.from_json(json.loads(json.dumps(details.to_json()))) == details
    fall, rise = details.flips
    assert (fall.id, fall.to_new, fall.old_score, fall.new_score) == ("e0", "negative", 0.9, 0.4)
    assert (rise.id, rise.to_new, rise.old_score, rise.new_score) == ("e2", "positive", 0.5, 0.8)
    assert (fall.old_text, fall.new_text) == ("old wrote 0\\ud800", "new wrote 0\\ud800")


def test_ids_that_are_neither_texts_nor_numbers():
    pairs = [((1, 2), 0, 0), (7, 0, 0)]
    old = Predictions.from_lists([id_ for id_, _, _ in pairs], [0, 0], [0, 0])
    new = Predictions.from_lists([id_ for id_, _, _ in pairs], [1, 1], [0, 0])
    details = describe_details("support", {"new": compare(old, new)}, None)
    assert [flip.id for flip in details.flips] == ["(1, 2)", 7]
    assert details.flips[0].question is None
    assert (details.flips[0].old, details.flips[0].new) == ("0", "1")
