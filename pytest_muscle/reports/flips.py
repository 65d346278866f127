"""The examples that flipped, as a table or as paragraphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_muscle.reports.numbers import score
from pytest_muscle.reports.texts import excerpt, printable, shorten

if TYPE_CHECKING:
    from pytest_muscle.comparison import Flip, FlipReport

PROMPT_WIDTH = 60
ANSWER_WIDTH = 24
SENTENCE_WIDTH = 160
ID_WIDTH = 16


def render_flips(report: FlipReport, newer: str, flips_shown: int | None) -> str:
    """Return the negative flips as a table or as paragraphs, at most so many.

    Args:
        report: The comparison.
        newer: What is held against the old model: "new" or "compat".
        flips_shown: Most flips; none shows all, with full ids and all that was written.
    """
    total = int(report.pairs.seen_negative.sum())
    graded = report.pairs.graded
    seen = "" if report.stop is None else " seen"
    if not total and seen:
        return f"No negative flip, old → {newer}, was seen."
    if not total:
        if graded:
            return f"No score falls from the old model to the {newer} one."
        return f"No example is right with the old model and wrong with the {newer} one."
    flips = report.list_seen_flips(flips_shown)
    if not flips:
        return f"{total} negative flips{seen}, old → {newer} (-vv shows all)"
    which = "deepest" if graded else "first"
    shown = "" if len(flips) == total else f", the {which} {len(flips)} of {total}"
    listed = _list(flips, newer, full=flips_shown is None)
    text = f"negative flips{seen}, old → {newer}{shown}:\n{listed}"
    left = total - len(flips)
    return f"{text}\n… and {left} more (-vv shows all)" if left else text


def _list(flips: Sequence[Flip], newer: str, *, full: bool) -> str:
    """Return a table where answers are short, else one paragraph for each flip."""
    answers = [
        [_answer(flip, value) for value in (flip.gold, flip.old_answer, flip.new_answer)]
        for flip in flips
    ]
    long = max(len(text) for texts in answers for text in texts) > ANSWER_WIDTH
    unsaid = any(
        answer is None and text for flip in flips for answer, text in _written(flip)
    )  # the text says why nothing was found in it
    if long or unsaid or (full and any(flip.new_text for flip in flips)):
        pairs = zip(flips, answers, strict=True)
        return "\n".join(_paragraph(flip, texts, newer, full=full) for flip, texts in pairs)
    return _table(flips, answers, newer, full=full)


def _table(flips: Sequence[Flip], answers: Sequence[list[str]], newer: str, *, full: bool) -> str:
    from tabulate import tabulate

    columns = {"id": [_id(flip, full=full) for flip in flips]}
    prompts = ["" if flip.example is None else _prompt(flip) for flip in flips]
    if any(prompts):
        columns["prompt"] = prompts
    if any(flip.gold is not None for flip in flips):
        columns["gold"] = [texts[0] for texts in answers]
    for name, number in (("old", 1), (newer, 2)):
        if any(flip.new_answer is not None for flip in flips):
            columns[name] = [texts[number] for texts in answers]
        scores = [(flip.old_score, flip.new_score)[number - 1] for flip in flips]
        if None not in scores:
            columns[f"{name} score"] = ["" if mark is None else score(mark) for mark in scores]
    return tabulate(columns, headers="keys", disable_numparse=True)


def _paragraph(flip: Flip, texts: Sequence[str], newer: str, *, full: bool) -> str:
    fields = {} if flip.example is None else {"prompt": _prompt(flip)}
    scores = [None, flip.old_score, flip.new_score]
    for name, text, mark in zip(("gold", "old", newer), texts, scores, strict=True):
        shown = printable(text) if full else shorten(text, SENTENCE_WIDTH)
        fields[name] = shown if mark is None else f"{score(mark)}  {shown}"
    for name, (answer, written) in zip(("old", newer), _written(flip), strict=True):
        if written and written.strip() != answer and (full or answer is None):
            text = printable(written) if full else shorten(written, SENTENCE_WIDTH)
            fields[f"{name} wrote"] = text
    width = max(map(len, [*fields, newer]))
    lines = [f"  {name:<{width}}  {text}" for name, text in fields.items()]
    return "\n".join([_id(flip, full=full), *lines])


def _written(flip: Flip) -> tuple[tuple[Any, str | None], tuple[Any, str | None]]:
    return (flip.old_answer, flip.old_text), (flip.new_answer, flip.new_text)


def _id(flip: Flip, *, full: bool) -> str:
    return printable(str(flip.id)) if full else shorten(str(flip.id), ID_WIDTH)


def _prompt(flip: Flip) -> str:
    assert flip.example is not None
    return excerpt(flip.example.question, PROMPT_WIDTH)


def _answer(flip: Flip, answer: Any) -> str:
    """Return an answer in words; where no example knows them, as Python writes it."""
    text = repr(answer) if flip.example is None else flip.example.answer_text(answer).strip()
    return printable(text)
