"""Line charts as SVG that stands in a page: matplotlib draws, the page's style sheet colours.

Nothing of the data but numbers and labels of our own get into a chart; matplotlib is imported when
one is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from pytest_muscle.libraries import errors_alone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("ink", "quiet", "line", "paper", "panel", "negative", "positive", "compat", "noise")
"""Custom properties of the page's style sheet that a chart may use."""

_SENTINELS = {name: f"#0101{number:02x}" for number, name in enumerate(COLOURS, start=1)}
_NAMES = {colour: name for name, colour in _SENTINELS.items()}

WIDTH, PANEL, HEAD, FOOT, LABEL = 360, 104, 24, 22, 16
"""Sizes in CSS pixels: width of a chart; heights of a panel, its title, the ticks and the label
of the x axis."""

LEFT, RIGHT = 44, 18
"""Room for the ticks of the y axis, and for the half of the last one of the x axis."""

FONT = 12

_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"

STYLE = {
    "svg.fonttype": "none",
    "font.size": FONT,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.edgecolor": _SENTINELS["line"],
    "axes.labelcolor": _SENTINELS["quiet"],
    "axes.titlecolor": _SENTINELS["ink"],
    "axes.titlesize": FONT,
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": _SENTINELS["line"],
    "grid.linewidth": 0.8,
    "xtick.color": _SENTINELS["line"],
    "xtick.labelcolor": _SENTINELS["quiet"],
    "ytick.color": _SENTINELS["line"],
    "ytick.labelcolor": _SENTINELS["quiet"],
    "ytick.major.size": 0,
    "xtick.major.size": 3,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "figure.dpi": 72,  # of SVG, whose user units are then CSS pixels
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart.

    Attributes:
        colour: Of `COLOURS`.
        xs: Where its points are.
        ys: Their values; none makes a gap.
        spread: Ends of an interval around each value, or none.
        dashed: Whether it is drawn in dashes.
        marker: matplotlib's name of the sign at each point; empty for none.
    """

    colour: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    spread: Sequence[tuple[float, float] | None] | None = None
    dashed: bool = False
    marker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Lines that share a scale.

    Attributes:
        title: What is measured, with its unit.
        lines: The lines.
        from_zero: Whether the scale starts at zero.
        level: A limit, drawn as a dashed line across, or none.
    """

    title: str
    lines: Sequence[Line]
    from_zero: bool = False
    level: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The numbers of charts, for those who do not see them and where there is no matplotlib.

    Attributes:
        columns: Their headers.
        rows: A text for each column; the first is the row's name.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Panels one above the other that share their x axis.

    Attributes:
        name: Of the chart in its page, of letters, digits and hyphens; starts its ids.
        title: What it shows.
        panels: The panels.
        note: What else is to be said.
        keys: What lines are of, by their colour; "level" is the limit.
        ticks: Places and labels of the x axis; left out: matplotlib's choice of numbers.
        foot: What the x axis is of.
        marked: A place on the x axis that stands out.
    """

    name: str
    title: str
    panels: Sequence[Panel]
    note: str = ""
    keys: Sequence[tuple[str, str]] = ()
    ticks: Sequence[tuple[float, str]] | None = None
    foot: str = ""
    marked: float | None = None


def can_draw() -> bool:
    """Return whether matplotlib is there."""
    try:
        import matplotlib.backends.backend_svg  # noqa: F401
    except ImportError:
        return False
    return True


def draw(chart: Chart) -> str:
    """Return a chart as the text of an SVG element; the same chart is always the same text.

    Raises:
        ImportError: If matplotlib is not there.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    count, foot = len(chart.panels), FOOT + (LABEL if chart.foot else 0)
    height = (HEAD + PANEL) * count + foot
    written = StringIO()
    with (
        errors_alone("matplotlib"),
        style.context([{**STYLE, "svg.hashsalt": chart.name}], after_reset=True),
    ):
        figure = Figure(figsize=(WIDTH / 72, height / 72))
        room = {  # a layout that matplotlib finds out takes twice the time
            "left": LEFT / WIDTH,
            "right": 1 - RIGHT / WIDTH,
            "bottom": foot / height,
            "top": 1 - HEAD / height,
            "hspace": HEAD / PANEL,
        }
        all_axes = figure.subplots(count, 1, sharex=True, squeeze=False, gridspec_kw=room)[:, 0]
        for axes, panel in zip(all_axes, chart.panels, strict=True):
            _draw_panel(axes, panel, chart.marked)
        _draw_foot(all_axes[-1], chart)
        none: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(written, format="svg", metadata=none)
    return _embed(written.getvalue(), chart)


def _draw_panel(axes: Axes, panel: Panel, marked: float | None) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_title(panel.title, parse_math=False)
    if marked is not None:
        axes.axvline(marked, color=_SENTINELS["panel"], linewidth=14, zorder=0)
    for line in panel.lines:
        _draw_line(axes, line)
    if panel.level is not None:
        axes.axhline(panel.level, color=_SENTINELS["ink"], linewidth=1.2, dashes=(5, 3), zorder=1.5)
    axes.margins(x=0.04, y=0.12)
    if panel.from_zero:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=2))
    axes.yaxis.set_major_formatter(FuncFormatter(_number))  # no power of ten beside the title


def _draw_line(axes: Axes, line: Line) -> None:
    nan = float("nan")
    colour = _SENTINELS[line.colour]
    for x, ends in zip(line.xs, line.spread or (), strict=False):
        if ends is not None:
            axes.plot((x, x), ends, color=colour, linewidth=5, alpha=0.3, solid_capstyle="butt")
    known = [nan if y is None else y for y in line.ys]
    (drawn,) = axes.plot(line.xs, known, color=colour, marker=line.marker or None)
    if line.dashed:
        drawn.set_dashes((4, 2))


def _number(value: float, _: object = None) -> str:
    return f"{value:.5g}".replace("-", "−")


def _draw_foot(axes: Axes, chart: Chart) -> None:
    from matplotlib.ticker import MaxNLocator

    if chart.ticks is None:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    else:
        places = [place for place, _ in chart.ticks]
        axes.set_xticks(places, [label for _, label in chart.ticks], parse_math=False)
    if chart.foot:
        axes.set_xlabel(chart.foot, parse_math=False)


def _embed(text: str, chart: Chart) -> str:
    """Return what matplotlib wrote as an element that can stand in a page beside others."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(text)
    box = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": box,
            "role": "img",
            "aria-label": f"{chart.title}; the numbers are in the table",
            "class": "chart",
        }
    )
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)  # a style here would be one of the whole page
    used = set(re.findall(r"(?<=#)[\w-]+(?=[\")])", text))
    for element in root.iter():
        _clean(element, chart.name, used)
    written = ElementTree.tostring(root, encoding="unicode")
    return re.sub("#0101[0-9a-f]{2}", lambda found: f"var(--{_NAMES[found[0]]})", written)


def _clean(element: ElementTree.Element, name: str, used: set[str]) -> None:
    """Prefix the ids of an element and those that it refers to; leave the font to the page."""
    attributes = element.attrib
    if (id_ := attributes.pop("id", None)) in used:
        attributes["id"] = f"{name}-{id_}"
    if (link := attributes.get(_LINK)) is not None:
        attributes[_LINK] = link.replace("#", f"#{name}-", 1)
    if (clip := attributes.get("clip-path")) is not None:
        attributes["clip-path"] = clip.replace("#", f"#{name}-", 1)
    if (style := attributes.get("style")) is not None:
        attributes["style"] = re.sub(r"font-family: [^;]*; ", "", style)
