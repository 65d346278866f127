"""report.html: what it says, that nothing of the data is markup in it, and that it is quick."""

from __future__ import annotations

import dataclasses
import time

import pytest

from pytest_muscle.comparison import compare
from pytest_muscle.predictions import Prediction, Predictions
from pytest_muscle.reports.data import FlippedExample, TaskReport
from pytest_muscle.reports.details import describe_details
from pytest_muscle.reports.html_report import render_html
from pytest_muscle.reports.noise import NoiseSummary
from pytest_muscle.reports.terminal import summarise
from tests.reports.page import EVIL, Page


def test_the_verdict_and_the_figures_stand_in_words(make_run):
    page = Page(render_html(make_run()))
    assert page.within("h1") == ["The model update failed"]
    assert "1 of 2 tests of 1 task failed." in page.said
    assert page.within("section", "task")[2] == (
        "From right to wrong: 1 of 6 with the new model, 2 of 6 with the compat adapter."
    )
    quadrants = [" ".join(page.within("li", kind)) for kind in ("negative", "positive")]
    # new and compat: one and two of six examples break, one and none are won
    assert quadrants[0] == "1 right, now wrong 16.67 % 2 right, now wrong 33.33 %"
    assert quadrants[1] == "1 wrong, now right 16.67 % 0 wrong, now right 0.00 %"
    assert page.within("li", "new")[:2] == ["NFR, old → new", "16.67 % (0.42–64.12)"]  # SciPy's
    assert "kind = k1" in page.within("table", "slices")
    assert "found x = 1: NFR 5.00 %" in page.within("ul", "notes")
    assert page.within("p", "failure") == ["test_a.py::test[support]", "m"]


def test_the_script_has_every_flip_with_its_slice(make_run):
    (task,) = Page(render_html(make_run())).island
    assert (task["name"], task["graded"]) == ("support", False)
    assert [(flip["id"], flip["slices"]) for flip in task["flips"]] == [
        ("e1", {"kind": "k1"}),
        ("e2", {"kind": "k0"}),
        ("e4", {"kind": "k0"}),
    ]


def test_nothing_of_the_data_is_markup(make_run):
    plain = make_run(commit="c0ffee")
    evil = make_run(name=EVIL, old=EVIL, new=EVIL, commit=EVIL, settings=EVIL)
    (task,) = evil.tasks
    flips = tuple(
        dataclasses.replace(
            flip, id=EVIL, question=EVIL, gold=EVIL, old=EVIL, new_text=EVIL, slices={EVIL: EVIL}
        )
        for flip in task.details.flips
    )
    task = dataclasses.replace(
        task,
        failed=tuple(dataclasses.replace(x, nodeid=EVIL, message=EVIL) for x in task.failed),
        details=dataclasses.replace(
            task.details, flips=flips, models={"new": EVIL, "compat": EVIL}
        ),
        summary=dataclasses.replace(
            task.summary,
            found=(EVIL,),
            slices=tuple(x._replace(column=EVIL, value=EVIL) for x in task.summary.slices),
        ),
    )
    text = render_html(dataclasses.replace(evil, tasks=(task,)))
    expected, page = Page(render_html(plain)), Page(text)
    assert "onerror" not in str(page.tags)
    assert "<img" not in text
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in expected.tags]
    assert page.scripts[1:] == expected.scripts[1:]
    (given,) = page.island
    assert given["name"] == EVIL
    assert given["flips"][0]["old"] == given["flips"][0]["slices"][EVIL] == EVIL


def test_it_loads_nothing_and_its_script_writes_no_markup(make_run):
    page = Page(render_html(make_run()))
    policy = [values for tag, values in page.tags if "http-equiv" in values]
    assert policy[0]["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; script")
    links = [values[name] for _, values in page.tags for name in ("src", "href") if name in values]
    assert all(link.startswith("#") for link in links)
    script = "".join(page.scripts[1:])
    assert "textContent" in script
    assert not any(name in script for name in ("innerHTML", "outerHTML", "insertAdjacent", "eval("))


def test_every_reference_of_the_page_leads_somewhere(make_run):
    page = Page(render_html(make_run()))
    ids = [values["id"] for _, values in page.tags if "id" in values]
    assert len(ids) == len(set(ids))
    for _, values in page.tags:
        assert (values.get("href") or "#examples")[1:] in ids
        assert values.get("aria-labelledby", "examples") in ids


def test_a_run_without_tasks_and_one_without_flips(make_run):
    empty = dataclasses.replace(make_run(), tasks=())
    page = Page(render_html(empty))
    assert page.within("h1") == ["The model update was not judged"]
    assert "No example flipped." in page.said
    assert page.scripts == []
    page = Page(render_html(make_run(TaskReport(name="support", tests=1))))
    assert page.within("h1") == ["The model update passed"]
    assert "Nothing was compared." in page.said


def test_an_interrupted_run_says_so(make_run):
    page = Page(render_html(make_run(exit_status=2)))
    assert any("interrupted" in line for line in page.within("p", "lead"))


def test_graded_scores_are_a_distribution_beside_a_noise_floor(make_run):
    def scored(marks: list[float], model: str) -> Predictions:
        rows = [Prediction(f"e{at}", "a", "g", mark == 1, mark) for at, mark in enumerate(marks)]
        return Predictions(rows=rows, graded=True, tolerance=0.1, model=model)

    report = compare(scored([0.9, 0.5, 0.5], "m1"), scored([0.4, 0.55, 0.8], "m2"))
    summary = dataclasses.replace(
        summarise("t", report), noise=NoiseSummary(0.01, 0.005, 0.02, 4, "old", "seed")
    )
    details = describe_details("t", {"new": report}, None)
    page = Page(render_html(make_run(TaskReport(name="t", summary=summary, details=details))))
    bins = page.within("ul", "histogram")
    assert len(bins) == 21
    assert bins[0] == "−0.50 to −0.45: 1 example"
    falls = [tag for tag, values in page.tags if tag == "li" and values.get("class") == "negative"]
    assert len(falls) == 9  # 8 of 21 bins have their middle below −0.1, and a quadrant
    assert page.within("li", "noise") == ["noise floor", "1.00 % (0.50–2.00)"]
    assert "score falls" in page.said


def test_lone_surrogates_are_written_as_such(make_run):
    (task,) = make_run().tasks
    details = dataclasses.replace(
        task.details, flips=(FlippedExample(position=0, id="\ud800", old="x"),)
    )
    text = render_html(make_run(dataclasses.replace(task, name="\ud801", details=details)))
    text.encode()
    assert "\\ud801" in text


def test_fifty_thousand_flips_are_written_in_two_seconds(make_run, many_flips):
    run = make_run(many_flips(50_000))
    start = time.perf_counter()
    text = render_html(run)
    taken = time.perf_counter() - start
    assert taken < 2
    assert len(text) < 30_000_000
    assert len(Page(text).island[0]["flips"]) == 50_000


def test_the_slices_of_compat_where_new_was_not_compared(make_run):
    (task,) = make_run().tasks
    summary = dataclasses.replace(task.summary, slices=(), compat_slices=task.summary.slices)
    page = Page(render_html(make_run(dataclasses.replace(task, summary=summary))))
    assert page.within("table", "slices")[2] == "NFR old → compat"
    assert "kind = k1" in page.within("table", "slices")


def test_slices_beyond_the_worst_are_folded(make_run):
    (task,) = make_run().tasks
    slices = tuple(
        task.summary.slices[0]._replace(value=f"v{at}", nfr=at / 100, p=0.01 if at == 3 else 0.5)
        for at in range(15)
    )
    summary = dataclasses.replace(task.summary, slices=slices)
    page = Page(render_html(make_run(dataclasses.replace(task, summary=summary))))
    named = [said for said in page.within("table", "slices") if said.startswith("kind = ")]
    assert named[:3] == ["kind = v3", "kind = v14", "kind = v13"]
    assert len(named) == 15
    assert "3 more slices" in page.within("summary")


@pytest.mark.parametrize("n", [0, 1])
def test_counts_of_few(make_run, many_flips, n):
    Page(render_html(make_run(many_flips(n))))
