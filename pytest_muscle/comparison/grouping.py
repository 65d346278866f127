"""Examples grouped by a column of the data: by its values, or by ranges of its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_muscle.digests import canonical_json
from pytest_muscle.predictions.packed import Positions

Floats: TypeAlias = NDArray[np.float64]

FEW = 10
"""So many different numbers stay numbers; more become ranges."""

RANGES = 5
"""Ranges of about as many examples each."""

ID_SHARE = 0.9
"""A column of texts or whole numbers with more different values than this for each example has
ids, no groups."""

LARGEST_WHOLE = 1e15
"""Larger whole numbers are shown by their leading digits."""

MISSING = "(missing)"
NONE = "(none)"
EMPTY = "(empty)"


@dataclass(frozen=True, eq=False)
class Grouping:
    """The groups of n examples by one column.

    Attributes:
        column: The column.
        names: What each group's examples share, [m].
        groups: The group of each example, as its position in `names`, [n].
        ids: Whether nearly each example has a value of its own: groups of one example each.
    """

    column: str
    names: tuple[str, ...]
    groups: Positions
    ids: bool = False

    @property
    def values(self) -> list[str]:
        """The group's name of each example, as `slice_flips` takes it, [n]."""
        return [self.names[group] for group in self.groups.tolist()]

    @property
    def usable(self) -> bool:
        """Whether flips can be sought in its groups: there are two or more, and no ids."""
        return len(self.names) > 1 and not self.ids


def group_values(rows: Sequence[Mapping[str, Any]], column: str) -> Grouping:
    """Group examples by a column of their data.

    Texts, truth values and few different numbers are groups as they are, lists by their elements
    ("a, b"). Many different numbers, texts that read as numbers included, are put into ranges of
    about as many examples each ("12 to 40"). What is none, empty or not there has groups of its
    own.

    Args:
        rows: The fields of each example, [n].
        column: A name in them; rows without it are missing it.
    """
    values = [row.get(column, _Missing) for row in rows]
    numbers = _read_numbers(values)
    if numbers is None:
        grouping = _number(column, _names(values))
        return _mark_ids(grouping, len(grouping.names))
    known = np.isfinite(numbers)
    different = np.unique(numbers[known])
    if len(different) <= FEW:
        return _number(column, _names(values))
    edges = np.unique(
        np.quantile(numbers[known], np.arange(1, RANGES) / RANGES, method="inverted_cdf")
    )
    ranges = np.searchsorted(edges, numbers)
    labels = _range_names([numbers[known & (ranges == part)] for part in range(len(edges) + 1)])
    texts = [
        labels[part] if is_number else _name(value)
        for part, is_number, value in zip(ranges.tolist(), known.tolist(), values, strict=True)
    ]
    grouping = _number(column, texts)
    whole = bool((different == np.floor(different)).all())
    return _mark_ids(grouping, len(different) if whole else 0)


def list_columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of all columns of the rows, in the order in which they first appear."""
    return list(dict.fromkeys(name for row in rows for name in row))


class _Missing:
    """What stands for the value of a column that a row does not have."""


def _read_numbers(values: Sequence[Any]) -> Floats | None:
    """Return a column's numbers, NaN for what is no value; none if some value is no number."""
    numbers = np.full(len(values), math.nan)
    if set(map(type, values)) <= {int, float}:
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError:
            return None
    for position, value in enumerate(values):
        if value is None or value is _Missing or value == "":
            continue
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real | str):
            return None
        try:
            numbers[position] = float(value)
        except (ValueError, OverflowError):
            return None
    return numbers


def _names(values: Sequence[Any]) -> list[str]:
    """Return the name of each value; equal ones of one type are named once."""
    known: dict[Any, str] = {}
    names = []
    for value in values:
        if isinstance(value, str | int | float):
            key = (type(value), value)  # True equals 1, and "True" is not "1"
            if key not in known:
                known[key] = _name(value)
            names.append(known[key])
        else:
            names.append(_name(value))
    return names


def _name(value: Any) -> str:
    if value is _Missing:
        return MISSING
    if value is None:
        return NONE
    if isinstance(value, list | tuple | set | frozenset):
        elements = map(_name, sorted(value, key=str) if isinstance(value, set) else value)
        return ", ".join(elements) or EMPTY
    if isinstance(value, Mapping):
        return canonical_json(dict(value))
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_ | Integral):
        return f"{float(value):.12g}"
    return str(value).strip() or EMPTY


def _number(column: str, texts: Sequence[str]) -> Grouping:
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(text, len(numbers)) for text in texts]
    return Grouping(column, tuple(numbers), np.asarray(groups, dtype=np.intp))


def _mark_ids(grouping: Grouping, different: int) -> Grouping:
    ids = different > max(FEW, ID_SHARE * len(grouping.groups))
    return Grouping(grouping.column, grouping.names, grouping.groups, ids)


def _range_names(ranges: Sequence[Floats]) -> list[str]:
    """Return "12 to 40" for the numbers of each range, with digits enough to tell them apart."""
    for digits in (4, 8, 12, 17):
        names = []
        for numbers in ranges:
            low, high = (_show(end, digits) for end in _ends(numbers))
            names.append(low if low == high else f"{low} to {high}")
        ends = [end for numbers in ranges for end in set(_ends(numbers))]
        if len({_show(end, digits) for end in ends}) == len(ends):
            break
    return names


def _show(number: float, digits: int) -> str:
    whole = number.is_integer() and abs(number) < LARGEST_WHOLE
    return str(int(number)) if whole else f"{number:.{digits}g}"


def _ends(numbers: Floats) -> tuple[float, float]:
    return (float(numbers.min()), float(numbers.max())) if numbers.size else (math.nan, math.nan)
