"""What goes wrong with a file, as Hypothesis strategies: bytes, types, sizes, encodings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"

DEEP = 100_000
NASTY = [
    b"",
    b"NaN",
    b"nan",
    b"-Infinity",
    b"inf",
    b"1e400",
    b"-1e-400",
    b"9" * 5001,
    b"1" + b"0" * 4000,
    b"-1",
    b"0.5",
    b"18446744073709551616",
    b"0x10",
    b"1979-05-27T07:32:00Z",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"[[]]",
    b'""',
    b'" "',
    b'"x"',
    b'"NaN"',
    b'["a", 1, null]',
    b'{"a": {"a": 1}}',
    b'{"a": 1, "a": 1}',
    b'"\\ud800"',
    b'"\\u0000"',
    b'"\xe2\x80\xae\xe2\x80\xa8"',
    b'"../../outside"',
    b'"~nobody-here/x"',
    b'"/dev/null"',
    b'"\xff"',
    b"\"{{ ''.__class__.__mro__ }}\"",
    b'"{{ 10 ** 10 ** 10 }}"',
    b'"{{ question * 9999999 }}"',
    b'"{%"',
    b"x" * 10_000,
    b'"' + b"x" * 200_000 + b'"',
    b"'(?:(a|aa)+)+c|(x{1000}){1000}'",
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b"a = {a = " * 2_000,
    b"(" * 1_000,
    b'"{{ ' + b"(" * 1_000 + b'1"',
    b'"' + b"{% if 1 %}" * 500 + b'"',
    b"\x00",
    b"\r",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b'"""',
    b"#",
]
"""What stands in for a value, or between two bytes."""

_VALUE = re.compile(
    rb'"""|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|-?\d[\d_.eE+-]*|true|false|null|\[[^\[\]\n]*\]'
)
_NAME = re.compile(rb"[A-Za-z_]+")

Mutation = Callable[[bytes, int, int], bytes]
"""From a file's content and two numbers that say where and what."""


def flip(content: bytes, place: int, what: int) -> bytes:
    """Flip one bit."""
    if not content:
        return content
    changed = bytearray(content)
    changed[place % len(content)] ^= 1 << what % 8
    return bytes(changed)


def cut(content: bytes, place: int, what: int) -> bytes:
    """End too early."""
    return content[: place % (len(content) + 1)]


def drop(content: bytes, place: int, what: int) -> bytes:
    """Leave out some bytes in the middle."""
    start = place % (len(content) + 1)
    return content[:start] + content[start + 1 + what % 40 :]


def insert(content: bytes, place: int, what: int) -> bytes:
    """Put something nasty between two bytes."""
    start = place % (len(content) + 1)
    return content[:start] + NASTY[what % len(NASTY)] + content[start:]


def swap_value(content: bytes, place: int, what: int) -> bytes:
    """Give a key or a cell a value of another type or size."""
    return _swap(_VALUE, content, place, NASTY[what % len(NASTY)])


def swap_name(content: bytes, place: int, what: int) -> bytes:
    """Write one word of the file where another one stands."""
    names = _NAME.findall(content)
    return _swap(_NAME, content, place, names[what % len(names)] if names else b"x")


def _swap(pattern: re.Pattern[bytes], content: bytes, place: int, by: bytes) -> bytes:
    found = list(pattern.finditer(content))
    if not found:
        return content + by
    match = found[place % len(found)]
    return content[: match.start()] + by + content[match.end() :]


def repeat_line(content: bytes, place: int, what: int) -> bytes:
    """Let a line stand twice, somewhere else the second time."""
    lines = content.splitlines(keepends=True) or [b"\n"]
    lines.insert(what % (len(lines) + 1), lines[place % len(lines)])
    return b"".join(lines)


def drop_line(content: bytes, place: int, what: int) -> bytes:
    """Leave out a line."""
    lines = content.splitlines(keepends=True)
    return b"".join(line for number, line in enumerate(lines) if number != place % len(lines))


def change_line_ends(content: bytes, place: int, what: int) -> bytes:
    """Write other line ends, in all lines or in some."""
    end = (b"\r\n", b"\r", b"\n\n", b"\x0b", b"\xe2\x80\xa8")[what % 5]
    lines = content.split(b"\n")
    some = place % 3 == 0
    return b"".join(
        line + (b"\n" if some and number % 2 else end) for number, line in enumerate(lines)
    )


def change_encoding(content: bytes, place: int, what: int) -> bytes:
    """Write the same text in another encoding."""
    names = ("utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "utf-8-sig", "cp037")
    text = content.decode(errors="replace")
    return text.encode(names[what % len(names)], errors="replace")


MUTATIONS: list[Mutation] = [
    flip,
    flip,
    cut,
    drop,
    insert,
    swap_value,
    swap_value,
    swap_value,
    swap_name,
    repeat_line,
    drop_line,
    change_line_ends,
    change_encoding,
]


def corpus(pattern: str) -> list[bytes]:
    """The content of the corpus' files of that pattern; there are some."""
    contents = [path.read_bytes() for path in sorted(CORPUS.glob(pattern))]
    assert contents
    return contents


def each_nasty(content: bytes) -> list[bytes]:
    """The content with each nasty thing once in place of a value."""
    return [swap_value(content, what, what) for what in range(len(NASTY))]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """One of the seeds, with one to three things gone wrong."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 3))):
        mutation = draw(st.sampled_from(MUTATIONS))
        content = mutation(content, draw(st.integers(0, 2**16)), draw(st.integers(0, 2**16)))
    return content
