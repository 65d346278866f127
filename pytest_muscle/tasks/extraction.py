"""The answer within a text, found by the user's regular expression."""

from __future__ import annotations

import re
from math import prod
from typing import Any, Literal

from pytest_muscle.errors import ConfigurationError

TIMEOUT = 5.0
"""Seconds for one text; some expressions would take years on some texts."""
LONGEST = 10_000
"""Characters of an expression."""
MOST_COPIES = 10_000
"""How often a part of an expression may have to be repeated: {n} is written out in memory."""

_COUNT = re.compile(r"\{(\d+)")


class Extraction:
    """A regular expression whose first or last match is the answer.

    Args:
        pattern: In the syntax of the regex library, which is Python's and more.
        which: Which match is taken; one without a character is no match.
        where: File and key that named the pattern, for errors.

    Raises:
        ConfigurationError: If the pattern is not valid.
    """

    def __init__(self, pattern: str, which: Literal["last", "first"], *, where: str) -> None:
        self._which = which
        self._where = where
        self._pattern = _compile(pattern, where)

    def find(self, text: str, id_: str) -> str | None:
        """Return the answer in a text: the match's first group that took part, else all of it.

        Args:
            text: What the model wrote.
            id_: The example's id, for errors.

        Raises:
            ConfigurationError: If it takes more than `TIMEOUT` seconds.
        """
        answer = None
        try:
            for match in self._pattern.finditer(text, timeout=TIMEOUT):
                groups = [group for group in match.groups() if group is not None]
                found = str(groups[0] if groups else match[0]).strip()
                if found:
                    answer = found
                    if self._which == "first":
                        break
        except TimeoutError as error:
            raise ConfigurationError(
                f"takes more than {TIMEOUT:g} s on the answer to example {id_!r}",
                where=self._where,
                hint="repeats within repeats like (a+)+ can take for ever: write it without",
            ) from error
        return answer


def _compile(pattern: str, where: str) -> Any:
    import regex

    copies = prod(max(int(count[:9]), 1) for count in _COUNT.findall(pattern[:LONGEST]))
    if len(pattern) > LONGEST or copies > MOST_COPIES:
        raise ConfigurationError(
            f"is longer than {LONGEST:,} characters"
            if len(pattern) > LONGEST
            else f"repeats a part {copies:,} times, which is more than {MOST_COPIES:,}",
            where=where,
            hint="write a simpler expression",
        )
    try:
        return regex.compile(pattern)
    except Exception as error:  # the library's own, and Python's for one nested too deep
        raise ConfigurationError(
            f"is not a valid regular expression: {error}",
            where=where,
            hint="in TOML stand regular expressions in 'single quotes', which keep backslashes",
        ) from error
