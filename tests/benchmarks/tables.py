"""Results as Markdown; a figure below its target stands there with the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.measuring import Spread
from tests.benchmarks.results import Result
from tests.benchmarks.training import TARGETS

MIB = 2**20

_ROUNDED = (
    "In bfloat16 the harness rounds each token's log-probability to three digits; its answers "
    "differ by that too."
)


def render(result: Result) -> str:
    """Return the tables of one part, with a line on where its figures come from."""
    return _RENDERERS[result["part"]](result)


def _render_scoring(result: Result) -> str:
    rows = []
    for case in result["cases"]:
        ours, theirs = case["seconds"]["ours"], case["seconds"]["theirs"]
        faster = Spread.of_ratios(theirs, ours)
        agreement = case["agreement"]
        rows.append(
            [
                case["name"],
                f"{case['questions']:,}",
                f"{_seconds(Spread.of(theirs))} (batch {case['harness_batch_size']})",
                _seconds(Spread.of(ours)),
                _at_least(faster, case["target"]),
                f"{agreement['largest_difference']:.1e}",
                f"{agreement['other_answers']} of {case['questions']:,}",
            ]
        )
    head = [
        "case",
        "questions",
        "lm-evaluation-harness, s",
        "pytest-muscle, s",
        "times faster",
        "largest difference of log-likelihoods",
        "different answers",
    ]
    lengths = "; ".join(
        f"{case['name']} {_length(case['lengths']['prompt'])} and "
        f"{_length(case['lengths']['option'])}"
        for case in result["cases"]
    )
    return "\n\n".join(
        [
            f"**Scoring**, {_where(result)}. The harness runs at its fastest batch size, on the "
            "same loaded network.",
            _table(head, rows),
            f"Tokens per prompt and per option, on average: {lengths}.",
            *([_ROUNDED] if result["machine"]["dtype"] == "bfloat16" else []),
        ]
    )


def _render_training(result: Result) -> str:
    recipe = result["recipe"]
    parts = [
        f"**Compatibility training**, {_where(result)}. LoRA of rank {recipe['rank']} on all "
        f"linear layers, {recipe['batch_size']} texts a step, {recipe['epochs']} epochs; the time "
        "is that of the whole run, models loaded and adapter written, by epoch."
    ]
    for case in result["cases"]:
        lengths = case["lengths"]
        parts.append(
            f"{case['texts']:,} {case['name']}, of {lengths['mean']:.0f} tokens on average (a "
            f"tenth has {lengths['low']} or fewer, a tenth {lengths['high']} or more):"
        )
        parts.append(_training_table(case, recipe["epochs"]))
    if (losses := result["losses"]) is not None:
        parts.append(
            f"Largest relative difference of our loss from the plain loop's over {losses['steps']} "
            f"steps with the same batches: {losses['largest_relative_difference']:.1e} (the loss "
            f"goes from {losses['first']:.4f} to {losses['last']:.4f})."
        )
    return "\n\n".join(parts)


def _training_table(case: dict[str, Any], epochs: int) -> str:
    runs: dict[str, list[dict[str, Any]]] = case["runs"]
    rows = []
    for name, took in runs.items():
        seconds = [run["seconds"] / epochs for run in took]
        peak = Spread.of([run["peak_bytes"] / MIB for run in took])
        rows.append(
            [
                CONTENDERS[name],
                _seconds(Spread.of(seconds)),
                _faster(name, runs),
                f"{peak.median:,.0f}",
                _memory_share(name, runs),
                f"{positions_per_token(took[0], epochs):.2f}",
            ]
        )
    head = [
        "",
        "s per epoch",
        "ours is faster by",
        "peak, MiB",
        "ours takes",
        "positions per token",
    ]
    return _table(head, rows)


def positions_per_token(run: dict[str, Any], epochs: int) -> float:
    """Return how many positions the student runs for a token of the texts.

    More than one where there is padding, less where shared beginnings run once.
    """
    return run["positions"]["student"] / (run["tokens"] * epochs)  # type: ignore[no-any-return]


def _faster(name: str, runs: dict[str, list[dict[str, Any]]]) -> str:
    if name == "ours" or "ours" not in runs:
        return ""
    faster = Spread.of_ratios(_column(runs[name], "seconds"), _column(runs["ours"], "seconds"))
    return _at_least(faster, TARGETS["time" if name == "naive" else "trl"])


def _memory_share(name: str, runs: dict[str, list[dict[str, Any]]]) -> str:
    if name == "ours" or "ours" not in runs:
        return ""
    share = Spread.of_ratios(_column(runs["ours"], "peak_bytes"), _column(runs[name], "peak_bytes"))
    if name != "naive":
        return _ratio(share)
    missed = share.median > TARGETS["memory"]
    return f"{_ratio(share)}; target ≤ {TARGETS['memory']}×{': **missed**' if missed else ''}"


def _render_scaling(result: Result) -> str:
    scoring, training = result["scoring"], result["training"]
    rows = []
    for dimension, points in scoring["dimensions"].items():
        rows += _growth(f"scoring: {dimension}", points, _scoring_seconds, ("ours", "theirs"))
    for dimension, points in training.items():
        rows += _growth(f"training: {dimension}", points, seconds_per_token, ("ours", "naive"))
    head = ["what grows", "factor", "pytest-muscle", "", "peer", ""]
    small = result["small_model"]
    return "\n\n".join(
        [
            f"**Growth**, {_where(result)}; for the vocabulary, a random model of "
            f"{small['weights'] / 1e6:.1f} M weights, {small['vocabulary']:,} tokens at factor 1. "
            f"Scoring {scoring['examples']} questions against lm-evaluation-harness at batch "
            f"{scoring['harness_batch_size']}, in seconds; training against the plain loop, in "
            "milliseconds per token of the texts and epoch.",
            _table(head, rows),
            f"![Cost by what grows]({plot_path(result)})",
        ]
    )


def plot_path(result: Result) -> str:
    """Return the plot's path from the README beside the benchmarks."""
    machine = result["machine"]
    return f"results/scaling-{machine['device']}-{machine['dtype']}.svg"


def _growth(
    what: str,
    points: Sequence[dict[str, Any]],
    seconds: Callable[[dict[str, Any], str], float | None],
    names: tuple[str, str],
) -> list[list[str]]:
    rows = []
    for point in points:
        row = [what, f"× {point['factor']}"]
        for name in names:
            now, first = seconds(point, name), seconds(points[0], name)
            if now is None or first is None:
                row += ["", ""]
                continue
            shown = f"{now * 1000:.2f}" if "runs" in point else f"{now:.2f}"
            row += [shown, f"× {now / first:.2f}"]
        rows.append(row)
    return rows


def _scoring_seconds(point: dict[str, Any], name: str) -> float | None:
    return Spread.of(point["seconds"][name]).median


def seconds_per_token(point: dict[str, Any], name: str) -> float | None:
    """Return the seconds of training per token of the texts and epoch."""
    runs = point["runs"].get(name)
    if runs is None:
        return None
    return Spread.of(_column(runs, "seconds")).median / (runs[0]["tokens"] * point["epochs"])


_RENDERERS: dict[str, Callable[[Result], str]] = {
    "scoring": _render_scoring,
    "training": _render_training,
    "scaling": _render_scaling,
}


def _where(result: Result) -> str:
    machine, model = result["machine"], result["model"]
    versions = ", ".join(
        f"{name} {number}"
        for name, number in machine["versions"].items()
        if name != "pytest-muscle"
    )
    processor = machine["gpu"] or f"{machine['cpu']}, {machine['cores']} cores"
    size = f"{model['weights'] / 1e6:.0f} M weights and {model['vocabulary']:,} tokens"
    return (
        f"{machine['dtype']} on {processor}, {machine['date']} ({versions}); "
        f"{model['architecture']} with {size}"
    )


def _column(runs: Sequence[dict[str, Any]], key: str) -> list[float]:
    return [run[key] for run in runs]


def _at_least(faster: Spread, target: float) -> str:
    missed = faster.median < target
    return f"{_ratio(faster)}; target ≥ {target:g}×{': **missed**' if missed else ''}"


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.2f}× ({spread.least:.2f}–{spread.greatest:.2f})"


def _seconds(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.least:.2f}–{spread.greatest:.2f})"


def _length(length: dict[str, float]) -> str:
    return f"{length['mean']:.1f} ({length['low']}–{length['high']})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
