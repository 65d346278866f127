"""report.md: short, and nothing of the data is markup in it."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_muscle.reports.data import FailedTest, TaskReport
from pytest_muscle.reports.markdown import LONGEST, code, render_markdown

NASTY = [
    "a | b",
    "a \\| b",
    "\\|",
    "`x` | ``y``",
    "`",
    "ends with `",
    "ends with \\",
    "<script>alert(1)</script>",
    "</details></td></table><img src=x onerror=alert(1)>",
    "@everyone please, owner/repo#1 and https://example.com",
    "![x](http://example.com/x.png) [y](javascript:alert(1)) **b**",
    "line\n\n# heading\n| a | b |",
    "&lt;b&gt; &amp; &#64;",
    "\u202egnp.exe",
]


def rendered(markdown: str) -> tuple[list[tuple[str, str]], list[list[list[str]]]]:
    """Return the tags with their attributes, and the cells of each table's rows, of Markdown."""
    markdown_it = pytest.importorskip("markdown_it")
    html = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    tags: list[tuple[str, str]] = []
    tables: list[list[list[str]]] = []

    class Reader(HTMLParser):
        inside = False

        def handle_starttag(self, tag, attributes) -> None:
            tags.append((tag, str(attributes)))
            if tag == "table":
                tables.append([])
            elif tag == "tr":
                tables[-1].append([])
            elif tag in ("td", "th"):
                tables[-1][-1].append("")
                self.inside = True

        def handle_endtag(self, tag) -> None:
            self.inside = self.inside and tag not in ("td", "th")

        def handle_data(self, data) -> None:
            if self.inside:
                tables[-1][-1][-1] += data

    Reader().feed(html)
    return tags, tables


def test_the_verdict_stands_first_then_one_table_then_flips(make_run):
    lines = render_markdown(make_run()).splitlines()
    assert lines[:4] == [
        "## Model update",
        "",
        "❌ **The model update failed**: 1 of 2 tests.",
        "",
    ]
    assert lines[4] == "old: `models/v1`, new: `org/name@abc`"
    (row,) = [line for line in lines if line.startswith("| `support`")]
    assert row == (
        "| `support` | 6 | 50.0 → 50.0 | 16.7 | 16.67 (0.42–64.12) | 33.33 (4.33–77.72) | 100 % | "
        "16.67 | 33.33 | **FAILED** 1 of 2 |"
    )
    assert "- `test_a.py::test[support]` failed: `m`" in lines
    assert "- `support`: `found x = 1: NFR 5.00 %`" in lines
    assert "<details><summary>1 negative flip, old → new</summary>" in lines
    assert "| `e1` | `Q1?` | `yes` | `yes` | `no` | `maybe` |" in lines


def test_a_run_that_passed_and_one_that_was_stopped(make_run):
    passed = render_markdown(make_run(TaskReport(name="t", tests=2), exit_status=0))
    assert "✅ **The model update passed**: 2 tests of 1 task." in passed
    assert "interrupted" not in passed
    stopped = render_markdown(make_run(TaskReport(name="t"), exit_status=2))
    assert "**The model update was not judged**" in stopped
    assert "The run was interrupted; this is what was known by then." in stopped
    assert "**The model update was not judged**" in render_markdown(make_run(tasks=()))


@pytest.mark.parametrize("text", NASTY)
def test_data_is_no_markup(make_run, text):
    run = make_run()
    (task,) = run.tasks
    flip = dataclasses.replace(
        task.details.flips[0], id=text, question=text, gold=text, old=text, new=text, compat=text
    )
    summary = dataclasses.replace(task.summary, found=(text,))
    task = dataclasses.replace(
        task,
        name=text,
        summary=summary,
        details=dataclasses.replace(task.details, flips=(flip,)),
        failed=(FailedTest(nodeid=text, message=text, file="a.py"),),
    )
    tags, tables = rendered(render_markdown(make_run(task, old=text, new=text)))
    known = {"h2", "p", "strong", "code", "table", "thead", "tbody", "tr", "th", "td"}
    assert {tag for tag, _ in tags} <= known | {"ul", "li", "details", "summary"}
    assert not [given for _, given in tags if given not in ("[]",) and "text-align" not in given]
    assert [[len(row) for row in table] for table in tables] == [[10, 10], [6, 6]]


def test_a_pipe_is_escaped_where_that_is_safe():
    # GitHub reads two backslashes as one, and the bar after them as the end of a cell.
    assert code("a | b") == "`a \\| b`"
    assert code("a \\| b") == "`a \\¦ b`"


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)
    | st.text("`|\\a <&*", min_size=1)
)
def test_a_code_span_holds_its_text_in_a_cell(text):
    markdown = f"| a | b |\n| --- | --- |\n| {code(text)} | x |"
    _, tables = rendered(markdown)
    ((_, (shown, other)),) = tables
    assert other == "x"
    expected = text.replace("|", "¦") if "\\" in text else text
    if text.strip():
        assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", expected)


def test_a_long_report_fits_a_comment(make_run):
    run = make_run()
    (task,) = run.tasks
    flip = dataclasses.replace(task.details.flips[0], question="x" * 5000, old="`y" * 500)
    details = dataclasses.replace(task.details, flips=(flip,) * 50)
    tasks = [dataclasses.replace(task, name=f"t{at}", details=details) for at in range(40)]
    text = render_markdown(make_run(*tasks))
    assert len(text) < LONGEST + 1000
    assert text.count("| `t0` |") == 1
    assert text.count("`e1`") % 10 == 0
    assert "More examples stand in report.json." in text


def test_graded_scores_are_said_to_be_so(make_run):
    run = make_run()
    (task,) = run.tasks
    summary = dataclasses.replace(task.summary, tolerance=0.1, mean_gain=0.2, mean_regress=0.3)
    flip = dataclasses.replace(task.details.flips[0], old_score=0.75, new_score=0.5)
    details = dataclasses.replace(task.details, flips=(flip,))
    task = dataclasses.replace(task, summary=summary, details=details)
    text = render_markdown(make_run(task))
    assert "- `support`: `mean regress 0.3000, mean gain 0.2000`" in text
    assert "| `yes` 0.7500 | `no` 0.5000 | `maybe` |" in text
