"""What a row of predictions has beside its answer, packed: tuples of numbers, digests."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Objects: TypeAlias = NDArray[np.object_]
Mask: TypeAlias = NDArray[np.bool_]
Positions: TypeAlias = NDArray[np.intp]

DIGEST_BYTES = 32


def as_column(values: Sequence[Any]) -> Objects:
    """Return the values as a one-dimensional array of objects; a list stays one element."""
    return np.fromiter(values, dtype=np.object_, count=len(values))


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class NumberTuples:
    """A tuple of numbers for each of n rows, or none: one flat array, and where each row ends.

    Attributes:
        values: All numbers, row after row.
        ends: Where a row's numbers start and the row's before it end, [n + 1].
        known: Whether a row has a tuple, [n].
    """

    values: NDArray[np.float64]
    ends: NDArray[np.int64]
    known: Mask

    def rows(self, start: int, stop: int) -> list[tuple[float, ...] | None]:
        """Return the tuples of some rows."""
        ends = (self.ends[start : stop + 1] - self.ends[start]).tolist()
        values = self.values[self.ends[start] : self.ends[stop]].tolist()
        return [
            tuple(values[first:last]) if known else None
            for first, last, known in zip(
                ends, ends[1:], self.known[start:stop].tolist(), strict=False
            )
        ]

    def take(self, order: Positions) -> NumberTuples:
        """Return the rows at some positions, in their order."""
        widths = np.diff(self.ends)[order]
        ends = np.concatenate(([0], np.cumsum(widths)))
        shift = np.repeat(self.ends[:-1][order] - ends[:-1], widths)
        values = self.values[shift + np.arange(ends[-1])]
        return NumberTuples(values, ends, self.known[order])

    def as_table(self) -> NDArray[np.float64] | None:
        """Return the numbers as [n, k], or none where rows have not all the same k of them."""
        widths = np.diff(self.ends)
        if not len(widths) or not self.known.all() or (widths != widths[0]).any():
            return None
        return self.values.reshape(len(widths), int(widths[0]))

    def same(self, other: NumberTuples) -> bool:
        """Whether all rows are equal; what is not a number equals itself."""
        return (
            np.array_equal(self.known, other.known)
            and np.array_equal(self.ends, other.ends)
            and np.array_equal(self.values, other.values, equal_nan=True)
        )


class NumberTuplesBuilder:
    """Takes one row's numbers after the other and packs them."""

    def __init__(self) -> None:
        self._values = array("d")
        self._ends = array("q", [0])
        self._known = bytearray()

    def add(self, numbers: Iterable[float] | None) -> None:
        """Add a row's numbers, or none.

        Raises:
            TypeError: If one of them is not a number; the row is not added then.
        """
        self._values.extend(array("d", numbers or ()))
        self._ends.append(len(self._values))
        self._known.append(numbers is not None)

    def build(self) -> NumberTuples:
        """Return all rows; nothing can be added after."""
        known = np.asarray(self._known).view(np.bool_)
        return NumberTuples(np.asarray(self._values), np.asarray(self._ends), known)


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Digests:
    """A digest for each of n rows, or none: SHA-256 in 32 bytes, any other text as it is.

    Attributes:
        known: Whether a row has a digest, [n].
        packed: The digests, [n, 32]; none where one of them is no SHA-256 in lower case.
        texts: The digests as texts, [n], where they are not packed.
    """

    known: Mask
    packed: NDArray[np.uint8] | None = None
    texts: Objects | None = None

    @classmethod
    def of(cls, texts: Sequence[str | None]) -> Digests:
        """Pack digests."""
        known = np.fromiter((text is not None for text in texts), np.bool_, len(texts))
        blank = "0" * (2 * DIGEST_BYTES)
        filled = [blank if text is None else text for text in texts]
        try:
            joined = "".join(filled)
            packed = bytes.fromhex(joined)
        except (TypeError, ValueError):
            return cls(known, texts=as_column(texts))
        if packed.hex() != joined or set(map(len, filled)) - {len(blank)}:
            return cls(known, texts=as_column(texts))
        return cls(known, np.frombuffer(packed, np.uint8).reshape(-1, DIGEST_BYTES))

    @classmethod
    def join(cls, parts: Sequence[Digests]) -> Digests:
        """Return the digests of several blocks of rows as one column."""
        known = np.concatenate([part.known for part in parts])
        packed = [part.packed for part in parts if part.packed is not None]
        if len(packed) == len(parts):
            return cls(known, np.concatenate(packed))
        return cls(known, texts=np.concatenate([part.as_texts() for part in parts]))

    def rows(self, start: int, stop: int) -> list[str | None]:
        """Return the digests of some rows."""
        if self.packed is None:
            assert self.texts is not None
            return list(self.texts[start:stop])
        text = self.packed[start:stop].tobytes().hex()
        width = 2 * DIGEST_BYTES
        return [
            text[number * width : (number + 1) * width] if known else None
            for number, known in enumerate(self.known[start:stop].tolist())
        ]

    def as_texts(self) -> Objects:
        """Return the digests as texts, [n]."""
        return self.texts if self.texts is not None else as_column(self.rows(0, len(self.known)))

    def take(self, order: Positions) -> Digests:
        """Return the rows at some positions, in their order."""
        packed = None if self.packed is None else self.packed[order]
        texts = None if self.texts is None else self.texts[order]
        return Digests(self.known[order], packed, texts)

    def differ(self, other: Digests) -> Mask:
        """Return where both are known and not the same, [n]."""
        unlike: Mask
        if self.packed is not None and other.packed is not None:
            unlike = (self.packed != other.packed).any(axis=1)
        else:
            unlike = np.not_equal(self.as_texts(), other.as_texts(), dtype=np.bool_)
        return self.known & other.known & unlike

    def same(self, other: Digests) -> bool:
        """Whether all rows are equal."""
        return np.array_equal(self.known, other.known) and not self.differ(other).any()
