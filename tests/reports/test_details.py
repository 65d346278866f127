"""What the summary of a task leaves out: counts, models, the flipped examples."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from pytest_muscle.comparison import compare
from pytest_muscle.predictions import Prediction, Predictions
from pytest_muscle.reports.data import Counts, FlippedExample, TaskDetails
from pytest_muscle.reports.details import describe_details
from pytest_muscle.tasks.example import Example
from pytest_muscle.training.store import Adapter


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


def test_margins_and_training_go_between_processes():
    def scored(leads: list[float]) -> Predictions:
        rows = [
            Prediction(f"e{at}", int(lead < 0), 0, lead >= 0, float(lead >= 0), (lead - 9, -9.0))
            for at, lead in enumerate(leads)
        ]
        return Predictions(rows=rows)

    reports = {
        "new": compare(scored([0.5, 2.0, -1.0]), scored([-0.5, 3.0, 1.5])),
        "compat": compare(scored([0.5, 2.0, -1.0]), scored([0.25, -1.0, -2.0])),
    }
    adapters = {
        "old": Adapter(Path("a"), "given"),
        "new": Adapter(Path("b"), "trained", "f", {"steps": 1, "curve": [{"step": 1, "loss": 2}]}),
    }
    parts = [
        describe_details("t", {side: report}, None, adapters={name: adapters[name]})
        for (side, report), name in zip(reports.items(), ("old", "new"), strict=True)
    ]
    sent = [TaskDetails.from_json(json.loads(json.dumps(part.to_json()))) for part in parts]
    assert sent == parts
    details = sent[0].merge(sent[1])
    assert [(flip.old_margin, flip.new_margin, flip.compat_margin) for flip in details.flips] == [
        (0.5, -0.5, None),
        (2.0, None, -1.0),
        (-1.0, 1.5, None),
    ]
    whole = describe_details("t", reports, None, adapters=adapters)
    assert whole.flips[0].compat_margin == 0.25
    assert (details.margins, details.training) == (whole.margins, whole.training)
    assert {side: of.median_fall for side, of in details.margins.items()} == {
        "new": 1.0,
        "compat": 3.0,
    }
    assert details.training["new"].curve == ((1, 2, None),)
    assert details.training["old"].origin == "given"


def test_the_metric_of_a_log_goes_before_that_of_the_task():
    def read(row: tuple[float, float], **facts: str) -> Predictions:
        made = [Prediction("e", int(row[1] > row[0]), 0, row[0] > row[1], 1.0, row)]
        examples = {"e": Example(id="e", prompt="", options=("a", "bcde"), gold=0)}
        return Predictions(rows=made, examples=examples, facts=facts)

    old, new = (-1.0, -2.0), (-3.0, -2.0)
    report = compare(read(old, metric="acc_norm"), read(new, metric="acc_norm"))
    assert describe_details("t", {"new": report}, None).margins["new"].unit == "nats per character"
    report = compare(read(old), read(new))
    unit = describe_details("t", {"new": report}, None, metric="acc_bytes").margins["new"].unit
    assert unit == "nats per byte"
