"""What `--muscle-show` prints: configuration, models, tasks, what is stored, and an estimate."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pytest_muscle.overview.configuration import without_secrets
from pytest_muscle.overview.prompts import draw
from pytest_muscle.plans import plan_flips
from pytest_muscle.reports.amounts import amount
from pytest_muscle.reports.costs import fold
from pytest_muscle.reports.numbers import NONE, percent
from pytest_muscle.reports.plan import describe_hopeless
from pytest_muscle.reports.texts import shorten
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.overview.configuration import Entry
    from pytest_muscle.overview.look import Overview, TaskView
    from pytest_muscle.overview.models import ModelFacts
    from pytest_muscle.settings import GateSettings

WIDTH = 80
MOST_LINES = 24
"""Lines of a prompt without -v."""


def render_configuration(overview: Overview, verbosity: int) -> list[str]:
    """Return the file, and the keys that it and flags set otherwise; all of them with -v.

    Args:
        overview: What there is.
        verbosity: pytest's.
    """
    entries: Sequence[Entry] = overview.entries
    if verbosity <= 0:
        entries = [
            entry for entry in entries if not entry.is_default and not entry.source.startswith("[")
        ]
    room = max((len(entry.key) for entry in entries), default=0)
    room = min(room, 40)
    left = WIDTH - room - 18
    rows = [
        (
            shorten(entry.key, 40),
            "\n".join(textwrap.wrap(entry.value, left) if verbosity > 0 else [])
            or shorten(entry.value, left),
            entry.source,
        )
        for entry in entries
    ]
    lines = [str(overview.settings.path), *_table(rows, ("key", "value", "from"))]
    if verbosity <= 0:
        lines.append("other keys have their defaults, or what [gate] or [adapter] says; -v: all")
    return lines


def render_models(overview: Overview) -> list[str]:
    """Return what is known of each version's base model, side by side."""
    settings = overview.settings
    if not overview.models:
        return ["no model is configured: answers are read"]
    facts = list(overview.models.values())
    each = max(16, (WIDTH - 16) // len(facts) - 2)
    rows = [("model", *(_name(one) for one in facts))]
    rows += [(what, *cells) for what, *cells in _model_rows(facts) if any(c != NONE for c in cells)]
    given = [(getattr(settings, version)).adapter or NONE for version in overview.models]
    if any(one != NONE for one in given):
        rows.append(("adapter", *given))
    cut = [
        (what, *(shorten(without_secrets(cell), each) for cell in cells)) for what, *cells in rows
    ]
    lines = _table(cut, ("", *overview.models))
    for version, one in overview.models.items():
        lines += [f"{version}: {problem}" for problem in one.problems]
    return [piece for line in lines for piece in fold(line)]


def render_task(view: TaskView, verbosity: int) -> list[str]:
    """Return what a task asks, with its first prompt as a model sees it."""
    task, keys = view.task, view.task.settings
    if view.failed is not None:
        return [shorten(task.name, WIDTH), "  not usable: see the errors below"]
    rows = [("kind", f"{task.kind}, metric {task.metric}")]
    if view.logs:
        rows = [("kind", f"{task.kind}: nothing is asked"), ("read from", ", ".join(view.logs))]
    rows.append(("evaluation", f"{view.n:,} examples{_from(keys.task or keys.eval)}"))
    if keys.train:
        rows.append(("training", f"{view.trained_on:,} examples{_from(keys.train)}"))
    if view.answers:
        rows.append(("answers", "; ".join(view.answers)))
    if shown := task.conditions.get("num_fewshot"):
        rows.append(("few-shot", f"{counted(shown, 'example')}, as the definition says"))
    if keys.fewshot:
        shots = keys.fewshot if isinstance(keys.fewshot, int) else len(keys.fewshot)
        source = keys.fewshot_data or keys.train or ""
        rows.append(("few-shot", f"{counted(shots, 'example')}{_from(source)}"))
    if keys.slices:
        rows.append(("slices", ", ".join(keys.slices)))
    rows.append(("gate", describe_gate(task.gate)))
    planned = plan_flips(task.gate, view.n)
    if planned is not None and planned.never_passes:
        rows.append(("", f"it can NEVER PASS: {describe_hopeless(planned.gate)}"))
    if task.decoding is not None:
        rows.append(("writing", _writing(view)))
    lines = [f"{shorten(task.name, WIDTH)}", *_wrapped(rows)]
    if view.asked is not None:
        lines += _prompt(view, verbosity)
    if view.problem is not None:
        lines.append(f"  the first prompt is not known as tokens: {view.problem}")
    return lines


def render_errors(overview: Overview) -> list[str]:
    """Return all that is wrong."""
    lines = [line for text in overview.errors for line in f"ERROR: {text}".splitlines()]
    return [piece for line in lines for piece in fold(line)]


def describe_gate(gate: GateSettings) -> str:
    """Return a gate's limits in words."""
    limits = []
    if isinstance(gate.max_nfr, str):
        limits.append(f"NFR at most {gate.max_nfr}")
    elif gate.max_nfr is not None:
        limits.append(f"NFR at most {percent(gate.max_nfr)}")
    for limit, what in (
        (gate.max_slice_nfr, "NFR of each slice at most"),
        (gate.max_accuracy_drop, "accuracy falls by at most"),
        (gate.max_inconsistency, "inconsistency at most"),
    ):
        if limit is not None:
            limits.append(f"{what} {percent(limit)}")
    if gate.max_mean_regress is not None:
        limits.append(f"mean regress at most {gate.max_mean_regress:g}")
    if not limits:
        return "no limit"
    sure = gate.judged_confidence
    how = "judged as seen" if sure is None else f"at {100 * sure:g} % confidence"
    return f"{', '.join(limits)}; {how}{', asked until decided' if gate.sequential else ''}"


def _name(facts: ModelFacts) -> str:
    return facts.spec.describe()


def _model_rows(facts: Sequence[ModelFacts]) -> Iterator[tuple[str, ...]]:
    def row(what: str, *cells: str | None) -> tuple[str, ...]:
        return (what, *(cell or NONE for cell in cells))

    yield row("kind", *(one.spec.kind for one in facts))
    yield row("architecture", *(one.architecture for one in facts))
    yield row("parameters", *(_parameters(one) for one in facts))
    yield row("layers", *(_count(one.layers) for one in facts))
    yield row("hidden size", *(_count(one.hidden) for one in facts))
    yield row("vocabulary", *(_count(one.vocabulary) for one in facts))
    yield row("context", *(_count(one.number("max_position_embeddings")) for one in facts))
    yield row("on disk", *(_on_disk(one) for one in facts))
    yield row("quantised", *(one.quantised for one in facts))
    yield row("runs in", *(_runs_in(one) for one in facts))
    yield row("tokenizer", *(one.spec.tokenizer for one in facts))
    yield row("its own code", *("may run" if one.spec.trust_remote_code else None for one in facts))


def _parameters(facts: ModelFacts) -> str | None:
    return None if facts.weights is None else amount(facts.weights.parameters, digits=3)


def _count(number: int | None) -> str | None:
    return None if number is None else f"{number:,}"


def _on_disk(facts: ModelFacts) -> str | None:
    if facts.weights is None:
        return None
    kinds = ", ".join(list(facts.weights.dtypes)[:2])
    size = amount(facts.weights.size, "B")
    return f"{size}, {kinds}" if facts.weights.here else f"{size} to fetch, {kinds}"


def _runs_in(facts: ModelFacts) -> str | None:
    where = facts.placement
    return None if where is None else f"{where.dtype} on {where.device}"


def _from(source: str) -> str:
    return f", {without_secrets(source)}" if source else ""


def _writing(view: TaskView) -> str:
    keys = view.task.settings
    how = "greedy" if not keys.temperature else f"sampled at temperature {keys.temperature:g}"
    draws = f", {keys.repeats} to each" if keys.repeats > 1 else ""
    assert view.task.decoding is not None
    stop = view.task.decoding.stop
    until = f", or until {' or '.join(map(repr, stop))}" if stop else ""
    return f"at most {counted(view.task.decoding.max_new_tokens, 'token')}, {how}{draws}{until}"


def _prompt(view: TaskView, verbosity: int) -> Iterator[str]:
    asked = view.asked
    assert asked is not None
    about = [f"first prompt, id {shorten(str(view.id), 40)}"]
    if asked.tokens is not None:
        about.append(counted(asked.tokens, "token"))
    if asked.first is not None:
        about.append(f"{asked.first} before it")
    yield f"  {', '.join(about)}:"
    yield from (
        f"  {line}" for line in draw(asked.text, WIDTH - 2, None if verbosity > 0 else MOST_LINES)
    )
    yield "  right answers:" if view.task.generates else "  options, each appended to it:"
    for answer, right in zip(asked.answers, asked.gold, strict=True):
        text = answer if verbosity > 0 else _shortened(answer)
        mark = "  ← gold" if right and not view.task.generates else ""
        yield f"    {text!r}{mark}"


def _shortened(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2) :]}"


def _wrapped(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    for what, text in rows:
        pieces = textwrap.wrap(text, WIDTH - 15, break_long_words=True) or [""]
        yield f"  {what:<11}  {pieces[0]}"
        yield from (f"{'':15}{piece}" for piece in pieces[1:])


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> list[str]:
    from tabulate import tabulate

    table = tabulate(rows, headers, disable_numparse=True)
    return [line.rstrip() for line in table.splitlines()]
