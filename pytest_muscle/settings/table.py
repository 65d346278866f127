"""One TOML table as one frozen dataclass: known keys, right types, values within limits."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar

from pytest_muscle.errors import ConfigurationError, nearest

T = TypeVar("T")

LARGEST_INTEGER = 2**63 - 1
"""What other libraries take for a whole number; TOML's have no limit."""

_KINDS = {
    str: "a string",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    type(None): "nothing",
}


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def read_table(kind: type[T], raw: Any, *, file: str, key: str = "") -> T:
    """Return a dataclass of `kind` from a TOML table.

    Args:
        kind: A frozen dataclass whose fields are the table's keys.
        raw: What the TOML parser gave.
        file: The file's name, for errors.
        key: The table's key, dotted, for errors.

    Raises:
        ConfigurationError: For an unknown or missing key, a wrong type, a value out of limits.
    """
    if not isinstance(raw, Mapping):
        raise ConfigurationError(
            f"expected a table, found {show(raw)}", where=f"{file}: {key or 'the file'}"
        )
    fields = {
        field.name: field
        for field in dataclasses.fields(typing.cast("Any", kind))
        if "help" in field.metadata
    }
    for name in raw:
        if name not in fields:
            raise ConfigurationError(
                "unknown key", where=f"{file}: {join(key, name)}", hint=nearest(name, fields)
            )
    hints = _hints(typing.cast("Any", kind))
    values = {}
    for name, field in fields.items():
        where = f"{file}: {join(key, name)}"
        if name in raw:
            values[name] = _convert(raw[name], hints[name], file, join(key, name))
            _check_limits(values[name], field.metadata, where)
        elif _required(field, hints[name]):
            raise ConfigurationError("missing", where=where, hint=field.metadata["help"])
    return kind(**values)


def _required(field: dataclasses.Field[Any], hint: Any) -> bool:
    optional = type(None) in typing.get_args(hint)
    no_default = field.default is None and field.default_factory is dataclasses.MISSING
    return no_default and not optional


def join(key: str, name: str) -> str:
    """Return a dotted key as TOML writes it: a name with odd characters stands in quotes."""
    plain = re.fullmatch(r"[A-Za-z0-9_-]+", name)
    quoted = name if plain else json.dumps(name, ensure_ascii=not name.isprintable())
    return f"{key}.{quoted}" if key else quoted


def _convert(value: Any, hint: Any, file: str, key: str) -> Any:
    """Return `value` as the type that `hint` names, or raise naming what was expected."""
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    for option in options:
        matched, result = _match(value, option, file, key)
        if matched:
            return result
    expected = [_expected(option) for option in options if option is not type(None)]
    text = f"expected {' or '.join(expected)}, found {show(value)}"
    literals = [str(item) for option in options for item in _literal_values(option)]
    hint_text = nearest(value, literals) if literals and isinstance(value, str) else None
    raise ConfigurationError(text, where=f"{file}: {key}", hint=hint_text)


def _match(value: Any, option: Any, file: str, key: str) -> tuple[bool, Any]:
    if literals := _literal_values(option):
        return isinstance(value, str) and value in literals, value
    if typing.get_origin(option) is tuple:
        return _match_items(value, typing.get_args(option)[0], file, key)
    if isinstance(option, type) and dataclasses.is_dataclass(option):
        fits = isinstance(value, Mapping)
        return fits, read_table(option, value, file=file, key=key) if fits else None
    if option is float and isinstance(value, int | float) and not isinstance(value, bool):
        number = _as_float(value)
        return math.isfinite(number), number
    if option in (str, int, bool):
        return type(value) is option, value
    return False, None


def _match_items(value: Any, hint: Any, file: str, key: str) -> tuple[bool, Any]:
    if not isinstance(value, list):
        return False, None
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    items = []
    for number, item in enumerate(value):
        place = f"{key}[{number}]"
        for option in options:
            matched, result = _match(item, option, file, place)
            if matched:
                items.append(result)
                break
        else:
            return False, None
    return True, tuple(items)


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:  # TOML's whole numbers have no limit
        return math.inf


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _literal_values(option: Any) -> tuple[Any, ...]:
    return typing.get_args(option) if typing.get_origin(option) is Literal else ()


def _expected(option: Any) -> str:
    if literals := _literal_values(option):
        return " or ".join(repr(item) for item in literals)
    if typing.get_origin(option) is tuple:
        (item, _) = typing.get_args(option)
        options = typing.get_args(item) if _is_union(item) else (item,)
        return f"a list of {' or '.join(map(_expected_items, options))}"
    return _KINDS.get(option, str(option))


def _expected_items(option: Any) -> str:
    if dataclasses.is_dataclass(option):
        return "tables"
    return {str: "strings", int: "whole numbers"}.get(option) or _expected(option)


def show(value: Any) -> str:
    """Return a value in at most 60 characters, however long or deep it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # thousands of digits; tables thousands deep
        text = f"a {type(value).__name__} too large to show"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _check_limits(value: Any, limits: Mapping[str, Any], where: str) -> None:
    if limits.get("filled") and value in ("", ()):
        raise ConfigurationError("is empty", where=where, hint=limits["help"])
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    limits = {"maximum": LARGEST_INTEGER, **limits} if isinstance(value, int) else limits
    checks = [
        ("minimum", value < limits.get("minimum", -math.inf), "at least"),
        ("maximum", value > limits.get("maximum", math.inf), "at most"),
        ("above", value <= limits.get("above", -math.inf), "greater than"),
        ("below", value >= limits.get("below", math.inf), "less than"),
    ]
    for name, broken, words in checks:
        if broken:
            raise ConfigurationError(
                f"must be {words} {limits[name]}, found {show(value)}", where=where
            )
