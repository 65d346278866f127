"""Why an assertion failed, and which examples flipped."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_muscle.reports.numbers import decimals_apart, percent, score

if TYPE_CHECKING:
    from pytest_muscle.comparison import Flip, FlipReport

PROMPT_WIDTH = 60
ANSWER_WIDTH = 24
SENTENCE_WIDTH = 160
ID_WIDTH = 16
TOLERANCE = 1e-12
UNITS = {"rate": " %", "points": " points"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One number held against its limit.

    Attributes:
        measure: What was measured, in words.
        value: The point estimate; a fraction 0-1 unless `unit` is "score".
        limit: The largest value allowed, or the smallest one where `at_least` is set.
        at_least: Whether `limit` is the smallest value allowed.
        unit: "rate" (shown in per cent), "points" (of a difference of rates) or "score".
        note: The counts behind the value, as "97 of 2691".
        interval: Gives the two-sided 95 % interval, for information; asked on failure only.
        bound: The one-sided upper confidence bound, which is judged instead of the value.
        confidence: Of `bound`.
    """

    measure: str
    value: float
    limit: float
    at_least: bool = False
    unit: str = "rate"
    note: str | None = None
    interval: Callable[[], tuple[float, float]] | None = None
    bound: float | None = None
    confidence: float | None = None

    @property
    def judged(self) -> float:
        """What is held against the limit: the bound if there is one, else the value."""
        return self.value if self.bound is None else self.bound

    @property
    def exceeded(self) -> bool:
        """Whether the limit is passed by more than the error of floating point numbers."""
        if self.at_least:
            return self.judged < self.limit - TOLERANCE
        return self.judged > self.limit + TOLERANCE


def render_failure(
    report: FlipReport,
    checks: Sequence[Check],
    *,
    before: FlipReport | None = None,
    flips_shown: int | None = 10,
) -> str:
    """Return the text of a failed assertion: a sentence, a table, the flipped examples.

    Args:
        report: What was judged; its negative flips are shown.
        checks: Everything that was checked, at least one of them exceeded.
        before: Old against new, where `report` is old against compat.
        flips_shown: How many flips to show at most; none shows all of them, with full ids.
    """
    newer = "new" if before is None else "compat"
    task = f"task {report.task!r}: " if report.task else ""
    sentences = "; ".join(_sentence(check) for check in checks if check.exceeded)
    parts = [f"{task}{sentences}.", _table(report, checks, before)]
    if report.pairs.unasked is not None:
        parts.append(
            f"{len(report.unasked)} of {report.n} examples, which the old model has wrong, were "
            'not asked ([run] score = "needed").'
        )
    return "\n\n".join([*parts, render_flips(report, newer, flips_shown)])


def excerpt(text: str, width: int) -> str:
    """Return the end of a text, where the question is, on one line of at most `width` characters.

    Line breaks are shown as ⏎; control characters are escaped.
    """
    line = _printable(text)
    return line if len(line) <= width else f"…{line[len(line) - width + 1 :]}"


def shorten(text: str, width: int) -> str:
    """Return a text on one line of at most `width` characters, cut in the middle."""
    line = _printable(text)
    if len(line) <= width:
        return line
    tail = (width - 1) // 2
    return f"{line[: width - 1 - tail]}…{line[len(line) - tail :]}"


def _sentence(check: Check) -> str:
    decimals = decimals_apart(check.judged, check.limit)
    value, limit = _value(check, decimals), _number(check, check.limit, decimals)
    if check.at_least:
        return f"{check.measure} is {value}, less than the required {limit}"
    if check.bound is None:
        return f"{check.measure} is {value}, more than the allowed {limit}"
    bound, confidence = _number(check, check.bound, decimals), _confidence(check)
    return (
        f"{check.measure} is {value} and may be as high as {bound} "
        f"({confidence} upper bound), more than the allowed {limit}"
    )


def _table(report: FlipReport, checks: Sequence[Check], before: FlipReport | None) -> str:
    from tabulate import tabulate

    rows = []
    for check in checks:
        decimals = decimals_apart(check.judged, check.limit)
        sign, passed = ("≥", "not reached") if check.at_least else ("≤", "exceeded")
        limit = f"{sign} {_number(check, check.limit, decimals)}"
        verdict = passed if check.exceeded else "kept"
        value, interval = _value(check, decimals), _interval(check, decimals)
        rows.append([check.measure, value, interval, f"{limit}  {verdict}"])
    accuracies = [("old", percent(report.old_accuracy)), ("new", _accuracy(report))]
    if before is not None:
        accuracies[1:] = [("new", _accuracy(before)), ("compat", _accuracy(report))]
    names, values = zip(*accuracies, strict=True)
    rows.append([f"accuracy {' → '.join(names)}", " → ".join(values), "", ""])
    headers = ["measure", "value", "interval", "limit"]
    return tabulate(rows, headers=headers, disable_numparse=True)


def _accuracy(report: FlipReport) -> str:
    return percent(report.new_accuracy) if report.pairs.unasked is None else "–"


def render_flips(report: FlipReport, newer: str, flips_shown: int | None) -> str:
    """Return the negative flips as a table or as paragraphs, at most so many."""
    total = len(report.negative_flips)
    if not total:
        return f"No example is right with the old model and wrong with the {newer} one."
    flips = report.list_negative_flips(flips_shown)
    if not flips:
        return f"{total} negative flips, old → {newer} (-vv shows all)"
    shown = "" if len(flips) == total else f", the first {len(flips)} of {total}"
    text = f"negative flips, old → {newer}{shown}:\n{_list(flips, newer, full=flips_shown is None)}"
    left = total - len(flips)
    return f"{text}\n… and {left} more (-vv shows all)" if left else text


def _list(flips: Sequence[Flip], newer: str, *, full: bool) -> str:
    """Return a table where answers are short, else one paragraph for each flip."""
    from tabulate import tabulate

    texts = [
        [_answer(flip, value) for value in (flip.gold, flip.old_answer, flip.new_answer)]
        for flip in flips
    ]
    prompts = [None if flip.example is None else flip.example.prompt for flip in flips]
    ids = [_printable(str(flip.id)) if full else shorten(str(flip.id), ID_WIDTH) for flip in flips]
    names = ["gold", "old", newer]
    if max(len(text) for answers in texts for text in answers) > ANSWER_WIDTH:
        width = max(map(len, ["prompt", *names]))
        paragraphs = []
        for id_, prompt, answers in zip(ids, prompts, texts, strict=True):
            fields = {} if prompt is None else {"prompt": excerpt(prompt, PROMPT_WIDTH)}
            fields |= {n: shorten(a, SENTENCE_WIDTH) for n, a in zip(names, answers, strict=True)}
            lines = [f"  {name:<{width}}  {text}" for name, text in fields.items()]
            paragraphs.append("\n".join([id_, *lines]))
        return "\n".join(paragraphs)
    headers = ["id", "prompt", *names]
    rows = [
        [id_, "" if prompt is None else excerpt(prompt, PROMPT_WIDTH), *answers]
        for id_, prompt, answers in zip(ids, prompts, texts, strict=True)
    ]
    if not any(prompts):
        headers, rows = [headers[0], *headers[2:]], [[row[0], *row[2:]] for row in rows]
    return tabulate(rows, headers=headers, disable_numparse=True)


def _answer(flip: Flip, answer: Any) -> str:
    """Return an answer in words; where no example knows them, as Python writes it."""
    text = repr(answer) if flip.example is None else flip.example.answer_text(answer).strip()
    return _printable(text)


def _number(check: Check, value: float, decimals: int) -> str:
    return score(value) if check.unit == "score" else percent(value, decimals, UNITS[check.unit])


def _value(check: Check, decimals: int) -> str:
    note = "" if check.note is None else f" ({check.note})"
    return _number(check, check.value, decimals) + note


def _confidence(check: Check) -> str:
    return "" if check.confidence is None else f"{100 * check.confidence:g} %"


def _interval(check: Check, decimals: int) -> str:
    if check.bound is not None:
        return f"≤ {_number(check, check.bound, decimals)} ({_confidence(check)} upper bound)"
    if check.interval is not None:
        low, high = check.interval()
        return f"{percent(low, decimals, '')} to {percent(high, decimals)} (95 %)"
    return ""


def _printable(text: str) -> str:
    return "".join(map(_printable_character, text.strip().replace("\r\n", "\n")))


def _printable_character(character: str) -> str:
    if character == "\n":
        return "⏎"
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    if character.isprintable() or character in "\u200c\u200d":  # joiners are part of words
        return character
    return character.encode("unicode_escape").decode("ascii")
