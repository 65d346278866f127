"""report.html: trend, training curves and margins, with matplotlib and without."""

from __future__ import annotations

import dataclasses
import re
import sys

import pytest

from pytest_muscle.reports.html_report import render_html
from pytest_muscle.reports.margins import Margins
from tests.reports.page import EVIL, Page, with_figures


@pytest.fixture
def page(make_run) -> Page:
    return Page(render_html(with_figures(make_run())))


def test_charts_have_names_and_stand_beside_their_numbers(page):
    pytest.importorskip("matplotlib")
    charts = [values for tag, values in page.tags if tag == "svg"]
    assert [chart["aria-label"].partition(";")[0] for chart in charts] == [
        "Negative flip rate by run",
        "Accuracy by run",
        "Training of the new task adapter",
        "Training of the compat adapter",
    ]
    assert all(chart["role"] == "img" for chart in charts)
    assert not any("open" in values for tag, values in page.tags if tag == "details")
    ids = [values["id"] for _, values in page.tags if "id" in values]
    assert len(ids) == len(set(ids))
    assert {"this run", "c0ffee1"} <= set(page.within("svg"))


def test_what_is_drawn_is_said_too(page):
    assert "limit 2.00 %, which the upper 95 % bound must keep" in page.said
    assert "The old task adapter was given, so there is no record of its training." in page.said
    assert "1 line of the history left out: damaged, or not of pytest-muscle." in page.said
    assert "10.00 % (0.00–20.00)" in page.within("table", "numbers")
    assert "20 steps, 2 epochs; the weights of step 10 were kept" in page.said
    assert page.within("ul", "margins") == [
        *("−1.00 to 0.00: 2 new", "0.00 to 1.00: 2 old"),
        *("−1.00 to 0.00: 2 compat", "0.00 to 1.00: 2 old"),
    ]
    assert page.island[0]["unit"] == "nats"
    assert page.island[0]["flips"][0]["new_margin"] == -1.5


def test_the_unit_of_margins_is_known_without_a_negative_flip(make_run):
    (task,) = make_run().tasks
    margins = Margins(
        unit="nats per byte", flips=0, edges=(), before=(), after=(), median_fall=None
    )
    details = dataclasses.replace(task.details, margins={"new": margins})
    page = Page(render_html(make_run(dataclasses.replace(task, details=details))))
    assert page.island[0]["unit"] == "nats per byte"
    assert page.within("ul", "margins") == []


def test_without_matplotlib_the_tables_stand_open(make_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_svg", None)
    page = Page(render_html(with_figures(make_run())))
    assert not any(tag == "svg" for tag, _ in page.tags)
    assert all("open" in values for tag, values in page.tags if tag == "details")
    (why,) = (said for said in page.said if "stand here as tables" in said)
    assert 'pip install "pytest-muscle[report]"' in why
    assert "0.6000" in page.within("table", "numbers")
    assert "10.00 % (0.00–20.00)" in page.within("table", "numbers")
    page = Page(render_html(make_run()))  # nothing to be drawn, nothing to be said of it
    assert not any("stand here as tables" in said for said in page.said)


def test_a_chart_that_cannot_be_drawn_costs_the_charts_alone(make_run, monkeypatch):
    def fail(chart) -> str:
        raise ValueError(f"<mark>{chart.name}</mark> is beyond me")

    monkeypatch.setattr("pytest_muscle.reports.html_report.draw", fail)
    page = Page(render_html(with_figures(make_run())))
    assert not any(tag in ("svg", "mark") for tag, _ in page.tags)
    assert all("open" in values for tag, values in page.tags if tag == "details")
    (why,) = (said for said in page.said if "stand here as tables" in said)
    assert "matplotlib does not draw them: ValueError: <mark>task-1-" in why
    assert "10.00 % (0.00–20.00)" in page.within("table", "numbers")


def test_matplotlib_is_not_imported_where_nothing_is_drawn(make_run, monkeypatch):
    monkeypatch.setattr("pytest_muscle.reports.html_report.can_draw", lambda: 1 / 0)
    Page(render_html(make_run()))


def test_nothing_of_a_history_is_markup(make_run):
    plain = Page(render_html(with_figures(make_run(commit="c0ffee"))))
    run = make_run(name=EVIL, commit=EVIL)
    text = render_html(with_figures(run, name=EVIL, commit=EVIL))
    page = Page(text)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in plain.tags]
    assert "onerror" not in str(page.tags)
    assert re.findall("<style|<script", text) == ["<style", "<script", "<script", "<script"]
