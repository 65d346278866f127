"""Charts are SVG that can stand beside others in a page, whatever they are called."""

from __future__ import annotations

import re
import sys
from typing import Any
from xml.etree import ElementTree

import pytest

from pytest_muscle.reports.charts import COLOURS, Chart, Line, Panel, can_draw, draw

pytest.importorskip("matplotlib")

TITLE = '<script>alert(1)</script> $\\frac{1}{2}$ "&'


def chart(name: str = "one", **changes: Any) -> Chart:
    rates = Line(
        colour="negative",
        xs=(0, 1, 2),
        ys=(3.0, None, 5.0),
        spread=((2.0, 4.0), None, (4.0, 6.5)),
        marker="o",
    )
    options: dict[str, Any] = {
        "title": "NFR",
        "panels": [Panel(title="NFR, %", lines=[rates], from_zero=True, level=4.0)],
        "ticks": [(0, "c0ffee1"), (2, "this run")],
        "marked": 2,
    }
    return Chart(name=name, **(options | changes))


def test_the_same_chart_is_the_same_text():
    assert draw(chart()) == draw(chart())
    assert not re.search("20[0-9]{2}-|matplotlib|metadata", draw(chart()))


def test_colours_are_those_of_the_page():
    text = draw(chart())
    used = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", text))
    assert {"var(--negative)", "var(--ink)", "var(--quiet)", "var(--line)"} <= used
    assert used - {f"var(--{name})" for name in COLOURS} <= {"none"}
    assert "font-family" not in text
    assert "<style" not in text


def test_ids_of_two_charts_do_not_meet_and_references_lead_somewhere():
    texts = draw(chart("one")) + draw(chart("two"))
    ids = re.findall(r' id="([^"]*)"', texts)
    assert len(ids) == len(set(ids)) > 2
    assert set(re.findall(r'(?:url\(#|href="#)([^)"]*)', texts)) == set(ids)


def test_labels_are_texts_and_no_markup_and_no_mathematics():
    text = draw(chart(title=TITLE, panels=[Panel(title=TITLE, lines=chart().panels[0].lines)]))
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert root.get("aria-label") == f"{TITLE}; the numbers are in the table"
    said = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert TITLE in said
    assert {"c0ffee1", "this run"} <= set(said)
    assert "<script" not in text


def test_a_value_that_is_not_known_is_a_gap():
    whole = Line(colour="compat", xs=(0, 1, 2), ys=(1.0, 2.0, 3.0))
    torn = Line(colour="compat", xs=(0, 1, 2), ys=(1.0, None, 3.0))

    def starts(line: Line) -> int:
        text = draw(chart(panels=[Panel(title="", lines=[line])]))
        (path,) = re.findall(r'<path d="([^"]*)"[^>]*stroke: var\(--compat\)', text)
        return path.count("M")

    assert (starts(whole), starts(torn)) == (1, 2)


@pytest.mark.parametrize(
    ("ys", "label"), [((1e-6, 4e-6), "2e−06"), ((5.78, 5.79), "5.784"), ((-1.0, 1.0), "−0.8")]
)
def test_numbers_of_the_scale_stand_alone(ys, label):
    line = Line(colour="negative", xs=(0, 1), ys=ys)
    root = ElementTree.fromstring(draw(chart(panels=[Panel(title="t", lines=[line])])))
    said = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert label in said
    assert said[:2] == ["c0ffee1", "this run"]
    assert said[-1] == "t"
    assert not {"1e−6", "1e6", "+5.78"} & set(said)  # a factor or an offset beside the title


def test_the_style_of_the_user_changes_nothing():
    import matplotlib as mpl

    expected = draw(chart())
    with mpl.rc_context({"font.size": 40, "text.usetex": True, "svg.fonttype": "path"}):
        assert draw(chart()) == expected


def test_panels_share_their_width():
    panels = [Panel(title=f"{number}", lines=chart().panels[0].lines) for number in range(3)]
    root = ElementTree.fromstring(draw(chart(panels=panels)))
    width, height = map(float, root.get("viewBox", "").split()[2:])
    alone = ElementTree.fromstring(draw(chart())).get("viewBox", "").split()[3]
    assert width == 360
    assert height == float(alone) + 2 * (104 + 24)


def test_without_matplotlib_nothing_can_be_drawn(monkeypatch):
    assert can_draw()
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_svg", None)
    assert not can_draw()
