"""Texts of data and models as a terminal can show them: on one line, cut, escaped."""

from __future__ import annotations

import unicodedata


def excerpt(text: str, width: int) -> str:
    """Return the end of a text, where the question is, on one line of at most `width` characters.

    Line breaks are shown as ⏎; control characters are escaped.
    """
    line = printable(text)
    return line if len(line) <= width else f"…{line[len(line) - width + 1 :]}"


def shorten(text: str, width: int) -> str:
    """Return a text on one line of at most `width` characters, cut in the middle."""
    line = printable(text)
    if len(line) <= width:
        return line
    tail = (width - 1) // 2
    return f"{line[: width - 1 - tail]}…{line[len(line) - tail :]}"


def printable(text: str) -> str:
    """Return a text on one line: line breaks are shown as ⏎, control characters escaped."""
    return "".join(map(_character, text.strip().replace("\r\n", "\n")))


def _character(character: str) -> str:
    if character == "\n":
        return "⏎"
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    if character.isprintable() or character in "\u200c\u200d":  # joiners are part of words
        return character
    return character.encode("unicode_escape").decode("ascii")
