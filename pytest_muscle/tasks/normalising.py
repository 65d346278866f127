"""Texts without what does not make a difference: case, punctuation, articles, ways of writing."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from decimal import Context, Decimal

from pytest_muscle.settings.keys import Normalisation

LONGEST_NUMBER = 200
"""Characters of a number that is compared as a number; a longer one is a text."""

_NUMBER = re.compile(
    r"""
    (?<![\w.,:/])(?<!\d[-–])           # neither within a word nor within a date, time or version
    (?P<sign>[-+−]?)[$€£¥]?
    (?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)
    (?P<exponent>(?:[eE][-+]?\d{1,3}(?!\w))?)
    (?!\d|[.,:/–-]\d)
    """,
    re.VERBOSE,
)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str, without: Sequence[Normalisation]) -> str:
    """Return a text as `exact_match` and `contains` compare it.

    Numbers are written one way: 1,000 and $1,000.0 and 1e3 become 1000. Then case, punctuation
    and articles go, in this order, as far as they are named in `without`; not, where nothing would
    be left ("A" stays a). Punctuation between digits stays (3.5, 12:30), and so does the sign of
    a number; "%" goes with punctuation, so 50% is 50. White space is one space.

    Source: `normalize_answer` of SQuAD's evaluation script, which writes no number anew and drops
    each sign of ASCII; here signs of punctuation and money in all of Unicode.
    """
    text = " ".join(_NUMBER.sub(_plain_number, unicodedata.normalize("NFC", text)).split())
    for name, drop in _STEPS.items():
        if name in without:
            text = " ".join(drop(text).split()) or text
    return text


def squad_tokens(text: str) -> list[str]:
    """Return the words that SQuAD's evaluation script (v1.1) compares."""
    plain = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return _ARTICLES.sub(" ", plain).split()


def _plain_number(match: re.Match[str]) -> str:
    if len(match[0]) > LONGEST_NUMBER:
        return match[0]
    value = Decimal(match["digits"].replace(",", "") + match["exponent"])
    if value == 0:
        return "0"
    sign = "-" if match["sign"] in ("-", "−") else ""
    return f"{sign}{value.normalize(Context(prec=LONGEST_NUMBER)):f}"


def _without_punctuation(text: str) -> str:
    return "".join(
        sign
        for place, sign in enumerate(text)
        if not _is_punctuation(sign) or _belongs_to_number(text, place)
    )


def _is_punctuation(sign: str) -> bool:
    return sign in string.punctuation or unicodedata.category(sign)[0] == "P" or sign in "€£¥"


def _belongs_to_number(text: str, place: int) -> bool:
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if not after.isdigit():
        return False
    return before.isdigit() or (text[place] == "-" and not before.isalnum())


_STEPS: dict[Normalisation, Callable[[str], str]] = {
    "case": str.casefold,
    "punctuation": _without_punctuation,
    "articles": lambda text: _ARTICLES.sub(" ", text),
}
