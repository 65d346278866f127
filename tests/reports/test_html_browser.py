"""report.html in a browser: it is quick, its filters work, and what models wrote stays text.

Needs Chromium, as Debian's package `chromium` has it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from pytest_muscle.reports.data import FlippedExample, RunReport
from pytest_muscle.reports.html_report import render_html

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
HOSTILE = "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">"

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]

SCRIPT = """
const said = {};
const note = () => ({ count: count.textContent, ids: [...list.querySelectorAll("h3")]
  .map((title) => title.textContent), more: !more.hidden });
const set = (menu, value) => { menu.value = value; menu.dispatchEvent(new Event("change")); };
const find = (text) => { search.value = text; filter(); };
%s
const result = document.createElement("output");
result.id = "result";
result.textContent = JSON.stringify(said);
document.body.append(result);
"""


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[RunReport, str], dict[str, Any]]:
    """A function that opens a run's page, runs a script there, and gives what that has `said`."""

    def open_page(run: RunReport, script: str) -> dict[str, Any]:
        page = tmp_path / "report.html"
        driven = f"<script>{SCRIPT % script}</script>\n</body>"
        page.write_text(render_html(run).replace("</body>", driven), encoding="utf-8")
        assert CHROMIUM is not None
        shown = subprocess.run(
            [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=True,
        ).stdout
        (result,) = re.findall('<output id="result">(.*?)</output>', shown)
        said: dict[str, Any] = json.loads(unescape(result))
        return said

    return open_page


def test_filters_leave_what_fits(make_run, many_flips, browse):
    said = browse(
        make_run(many_flips(120)),
        """
        said.all = note();
        more.click(); said.more = note();
        more.click(); said.end = note();
        set(quadrantMenu, "new positive"); said.positive = note();
        set(sliceMenu, JSON.stringify(["country", "de"])); said.both = note();
        set(sliceMenu, JSON.stringify(["country", "fr"])); said.neither = note();
        document.getElementById("filters").reset(); fillSlices();
        find("77: CUSTOMER"); said.found = note();
        find("<can>"); said.markup = note();
        """,
    )
    assert said["all"]["count"] == "Showing 50 of 120 flipped examples."
    assert [len(said[name]["ids"]) for name in ("all", "more", "end")] == [50, 100, 120]
    assert [said[name]["more"] for name in ("all", "more", "end")] == [True, True, False]
    third = [f"e{at}" for at in range(0, 120, 3)]
    assert said["positive"]["ids"] == said["both"]["ids"] == third
    assert said["neither"]["ids"] == []
    assert said["neither"]["count"] == "No flipped example fits (of 120 in all)."
    assert said["found"]["ids"] == ["e77"]
    assert said["markup"]["count"] == "Showing 50 of 120 flipped examples."


def test_a_task_is_chosen_where_there_are_two(make_run, many_flips, browse):
    tasks = (many_flips(4), dataclasses.replace(many_flips(2), name="other"))
    said = browse(
        make_run(*tasks),
        "said.all = note(); set(taskMenu, '1'); said.one = note();"
        "said.slices = [...sliceMenu.options].map((option) => option.textContent);",
    )
    assert len(said["all"]["ids"]) == 6
    assert said["one"]["ids"] == ["e0", "e1"]
    assert said["slices"] == ["all slices", "country = de (1)", "country = fr (1)"]


def test_markup_in_answers_stays_text(make_run, browse):
    (task,) = make_run().tasks
    flip = FlippedExample(
        position=0,
        id=HOSTILE,
        question=HOSTILE,
        gold=HOSTILE,
        to_new="negative",
        old=HOSTILE,
        new=f"{HOSTILE} and more",
        new_text=HOSTILE * 2,
        slices={HOSTILE: HOSTILE},
    )
    details = dataclasses.replace(task.details, flips=(flip,))
    said = browse(
        make_run(dataclasses.replace(task, name=HOSTILE, details=details)),
        """
        said.title = document.title;
        said.made = document.querySelectorAll("main img, main script").length;
        said.prompt = document.querySelector(".prompt").textContent;
        said.marked = [...document.querySelectorAll("mark")].map((mark) => mark.textContent);
        """,
    )
    assert said["title"] == "The model update failed"
    assert said["made"] == 0
    assert said["prompt"] == HOSTILE
    assert "and more" in said["marked"]


def test_words_that_differ_are_marked(make_run, browse):
    said = browse(
        make_run(),
        """
        const marked = (text, other) => markWords(text, other)
          .map((part) => typeof part === "string" ? part : `[${part.textContent}]`).join("");
        said.new = marked("Send the parcel back today", "Keep the parcel today");
        said.old = marked("Keep the parcel today", "Send the parcel back today");
        said.none = marked("a b", "a b");
        said.all = marked("one and two", "three");
        """,
    )
    assert said == {
        "new": "[Send] the parcel [back] today",
        "old": "[Keep] the parcel today",
        "none": "a b",
        "all": "[one and two]",
    }


@pytest.mark.parametrize("n", [0, 50_000])
def test_it_is_there_and_searched_within_two_seconds(make_run, many_flips, browse, n):
    search = "find('customer 49999:'); said.found = note().ids;" if n else ""
    said = browse(
        make_run(many_flips(n)),
        f"""
        said.shown = document.querySelectorAll("article").length;
        document.body.getBoundingClientRect();  // lays the page out
        said.ready = performance.now();
        {search}
        said.searched = performance.now() - said.ready;
        """,
    )
    assert said["shown"] == min(n, 50)
    assert said["ready"] < 2000
    assert said["searched"] < 1000
    assert said.get("found", []) == (["e49999"] if n else [])
