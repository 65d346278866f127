"""The growth of cost as a plot, readable on a light page and on a dark one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import Spread
from tests.benchmarks.results import Result
from tests.benchmarks.tables import seconds_per_token

GREY = "#808080"
COLOURS = {"ours": "#1f8ac0", "theirs": "#d9772b", "naive": "#d9772b"}
NAMES = {"ours": "pytest-muscle", "theirs": "lm-evaluation-harness", "naive": "plain PyTorch loop"}
STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "pytest-muscle",
}


def draw_scaling(result: Result, path: Path) -> None:
    """Draw one panel for each thing that grows: cost over factor, by the cost at factor 1."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    panels = [
        (f"Scoring: {dimension}", points, ("ours", "theirs"))
        for dimension, points in result["scoring"]["dimensions"].items()
    ] + [
        (f"Training, per token: {dimension}", points, ("ours", "naive"))
        for dimension, points in result["training"].items()
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 5.2), layout="constrained")
        for number, (title, points, names) in enumerate(panels, start=1):
            axes = figure.add_subplot(2, 3, number)
            _draw_panel(axes, title, points, names, legend=number in (1, 5))
        figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_panel(
    axes: Any,
    title: str,
    points: Sequence[dict[str, Any]],
    names: Sequence[str],
    *,
    legend: bool,
) -> None:
    factors = [point["factor"] for point in points]
    if not title.endswith("text length"):  # a token's cost need not grow with that
        axes.plot(factors, factors, color=GREY, linewidth=0.8, linestyle=":", label="in proportion")
    for name in names:
        costs = [_cost(point, name) for point in points]
        if None not in costs:
            grown = [cost / costs[0] for cost in costs]
            axes.plot(
                factors, grown, color=COLOURS[name], marker="o", markersize=4, label=NAMES[name]
            )
    axes.set_title(title, fontsize=9)
    axes.set_xticks(factors, [f"× {factor}" for factor in factors])
    axes.set_ylim(bottom=0)
    axes.set_ylabel("cost, × that at × 1")
    if legend:
        axes.legend(frameon=False, fontsize=8)


def _cost(point: dict[str, Any], name: str) -> Any:
    if "runs" in point:
        return seconds_per_token(point, name)
    return Spread.of(point["seconds"][name]).median
