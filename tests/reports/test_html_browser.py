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

from pytest_muscle.reports.charts import can_draw
from pytest_muscle.reports.data import FlippedExample, RunReport
from pytest_muscle.reports.html_report import render_html
from tests.reports.page import with_figures

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
FLAGS += ["--allow-file-access-from-files", "--window-size=1280,900"]
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


FRAME = """<!doctype html><meta charset="utf-8"><body>
<iframe src="report.html" style="width: {width}px; height: 30000px; border: 0"></iframe>
<script>
addEventListener("load", () => {{
  document.body.append(frames[0].document.getElementById("result").cloneNode(true));
}});
</script>
"""
"""A page in a frame as narrow as a telephone, which windows are not."""


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A function that opens a run's page, runs a script there, and gives what that has `said`."""

    def open_page(
        run: RunReport, script: str, *flags: str, width: int | None = None
    ) -> dict[str, Any]:
        page = tmp_path / "report.html"
        driven = f"<script>{SCRIPT % script}</script>\n</body>"
        page.write_text(render_html(run).replace("</body>", driven), encoding="utf-8")
        if width is not None:
            page = tmp_path / "framed.html"
            page.write_text(FRAME.format(width=width), encoding="utf-8")
        assert CHROMIUM is not None
        shown = subprocess.run(
            [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
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


def test_examples_are_sorted_by_how_far_their_margin_moves(make_run, browse):
    (task,) = make_run().tasks
    margins = {"e1": (1.0, -3.0, 0.5), "e2": (2.0, 2.0, -0.125), "e4": (-0.25, 0.25, -1.0)}
    flips = tuple(
        dataclasses.replace(flip, old_margin=old, new_margin=new, compat_margin=compat)
        for flip in task.details.flips
        for old, new, compat in [margins[flip.id]]
    )
    task = dataclasses.replace(task, details=dataclasses.replace(task.details, flips=flips))
    said = browse(
        make_run(task),
        """
        said.hidden = orderMenu.parentElement.hidden;
        said.dt = [...list.querySelectorAll("article:first-child dt")].map((x) => x.textContent);
        set(orderMenu, "narrow"); said.narrow = note().ids;
        set(orderMenu, "wide"); said.wide = note().ids;
        set(quadrantMenu, "compat negative"); said.compat = note().ids;
        """,
    )
    # e1 and e4 flip to new, by 4 and 0.5; e2 to compat alone, by 2.125, where e1 falls by 0.5
    assert said["narrow"] == ["e4", "e2", "e1"]
    assert said["wide"] == ["e1", "e2", "e4"]
    assert said["compat"] == ["e2", "e1"]
    assert said["dt"] == [
        *("gold", "old · margin +1.00 nats", "new · margin −3.00 nats"),
        "compat · margin +0.50 nats",
    ]
    assert not said["hidden"]


def test_there_is_no_order_where_no_margin_or_score_is_known(make_run, browse):
    assert browse(make_run(), "said.hidden = orderMenu.parentElement.hidden;")["hidden"]


LONG = HOSTILE + "\u202e" + "x" * 400


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_wider_than_the_window(make_run, browse, width):
    run = make_run(name=LONG, old=LONG, new=LONG, commit=LONG, settings=LONG)
    said = browse(
        with_figures(run, name=LONG, commit=LONG),
        """
        for (const each of document.querySelectorAll("details")) each.open = true;
        said.room = document.documentElement.clientWidth;
        said.wide = [...document.querySelectorAll("body *")].filter((each) =>
          !each.closest(".scroll, .hidden, .skip, .text")
          && each.getBoundingClientRect().right > said.room + 1).map((each) => each.outerHTML);
        said.made = document.querySelectorAll("main img, main script").length;
        said.title = document.title;
        const label = document.querySelector("svg text");
        said.drawn = document.querySelectorAll("svg").length;
        said.size = label && label.getBoundingClientRect().height;
        """,
        width=width,
    )
    assert said["room"] == width
    assert said["wide"] == []
    assert (said["made"], said["title"]) == (0, "The model update failed")
    if can_draw():
        assert said["drawn"] == 4
        assert said["size"] > 9  # pixels, of a label on a chart


@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_what_is_written_stands_out_from_its_ground(make_run, browse, scheme):
    said = browse(
        with_figures(make_run()),
        """
        const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
          .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
          .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
        const ground = (each) => {
          for (let at = each; at; at = at.parentElement) {
            const colour = parts(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
          }
          return [255, 255, 255];
        };
        said.low = [];
        said.dark = light(ground(document.body)) < 0.5;
        for (const each of document.querySelectorAll("body *")) {
          const text = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
          if (!text || each.closest("script, noscript")) continue;
          const style = getComputedStyle(each);
          const ink = parts(each.closest("svg") ? style.fill : style.color);
          const [high, low] = [light(ink), light(ground(each))].sort((a, b) => b - a);
          const ratio = (high + 0.05) / (low + 0.05);
          if (ratio < 4.5) said.low.push(`${ratio.toFixed(2)} ${each.outerHTML.slice(0, 120)}`);
        }
        """,
        f"--blink-settings=preferredColorScheme={scheme}",
    )
    assert said["dark"] == (scheme == 0)
    assert said["low"] == []


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
    sort = "find(''); set(orderMenu, 'wide'); said.first = note().ids[0];" if n else ""
    search = "find('customer 49999:'); said.found = note().ids;" if n else ""
    said = browse(
        with_figures(make_run(many_flips(n))),
        f"""
        said.shown = document.querySelectorAll("article").length;
        document.body.getBoundingClientRect();  // lays the page out
        said.ready = performance.now();
        {search}
        said.searched = performance.now() - said.ready;
        {sort}
        said.sorted = performance.now() - said.ready - said.searched;
        """,
    )
    assert said["shown"] == min(n, 50)
    assert said["ready"] < 2000
    assert said["searched"] < 1000
    assert said["sorted"] < 1000
    assert said.get("first") == ("e49999" if n else None)
    assert said.get("found", []) == (["e49999"] if n else [])
