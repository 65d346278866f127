"""Examples of a data file of any size: kept in a temporary file, read back in order or by id."""

from __future__ import annotations

import pickle
import tempfile
import threading
import weakref
from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from itertools import islice
from operator import attrgetter
from typing import IO, TYPE_CHECKING, Any, overload

from pytest_muscle.errors import DataError
from pytest_muscle.tasks.example import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 64
"""Examples that are read back at once."""
IN_MEMORY = 4 * 1024 * 1024
"""Bytes of examples that stay in memory; more of them go to a temporary file."""

_COLUMNS = [field.name for field in fields(Example)]
_row = attrgetter(*_COLUMNS)


class Examples(Sequence[Example]):
    """Examples in the data's order; in memory are eight bytes for each, and one block of them.

    The rest is in a temporary file without a name, which nobody else can write.

    Args:
        examples: The examples; gone through once, now.

    Raises:
        DataError: If they cannot be written to the temporary file.
    """

    def __init__(self, examples: Iterable[Example]) -> None:
        self._ends = array("q", [0])
        self._hashes = array("q")
        self._lock = threading.Lock()
        self._recent: tuple[int, list[Example]] = (-1, [])
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        source = iter(examples)
        while block := list(islice(source, BLOCK)):
            self._hashes.extend(hash(example.id) for example in block)
            self._write(_pack(block))

    def __len__(self) -> int:
        return len(self._hashes)

    def __iter__(self) -> Iterator[Example]:
        for number in range(len(self._ends) - 1):
            yield from self._read(number)

    @overload
    def __getitem__(self, item: int) -> Example: ...
    @overload
    def __getitem__(self, item: slice) -> tuple[Example, ...]: ...
    def __getitem__(self, item: int | slice) -> Example | tuple[Example, ...]:
        positions = range(len(self))[item]
        if isinstance(positions, range):
            return tuple(self[position] for position in positions)
        number, offset = divmod(positions, BLOCK)
        recent, block = self._recent
        if recent != number:
            block = self._read(number)
            self._recent = (number, block)
        return block[offset]

    def reader(self) -> Callable[[int], Example | None]:
        """Return a function that gives the example at a position, or none beyond the last.

        It keeps a block of its own: readers at different places do not disturb each other.
        """
        recent, block = -1, list[Example]()

        def read(position: int) -> Example | None:
            nonlocal recent, block
            if not position < len(self):
                return None
            number, offset = divmod(position, BLOCK)
            if number != recent:
                recent, block = number, self._read(number)
            return block[offset]

        return read

    def __reduce__(self) -> tuple[object, ...]:
        return Examples, (list(self),)

    @cached_property
    def by_id(self) -> ExamplesById:
        """The examples by id; an example is read when it is asked for."""
        return ExamplesById(lambda: self)

    def find_repeated(self) -> tuple[int, int] | None:
        """Return the positions of two examples with one id, the first such pair, or none."""
        hashes, order = self.sorted_hashes()
        same = (hashes[1:] == hashes[:-1]).nonzero()[0]
        seen: dict[str, int] = {}
        for position in sorted({*order[same].tolist(), *order[same + 1].tolist()}):
            id_ = self[position].id
            if id_ in seen:
                return seen[id_], position
            seen[id_] = position
        return None

    def sorted_hashes(self) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """Return the ids' hashes in ascending order, and the position that each stands at."""
        import numpy as np

        hashes = np.array(self._hashes, dtype=np.int64)
        order = np.argsort(hashes)
        return hashes[order], order

    def _write(self, packed: bytes) -> None:
        try:
            self._file.write(packed)
        except OSError as error:
            raise DataError(
                f"the examples cannot be kept in a temporary file: {error}",
                where=tempfile.gettempdir(),
                hint="make room there, or name another folder in the variable TMPDIR",
            ) from error
        self._ends.append(self._ends[-1] + len(packed))

    def _read(self, number: int) -> list[Example]:
        start, end = self._ends[number : number + 2]
        with self._lock:
            self._file.seek(start)
            packed = self._file.read(end - start)
        return [Example(*values) for values in pickle.loads(packed)]


class ExamplesById(Mapping[Hashable, Example]):
    """Examples by their id, of which only the hash is in memory.

    Args:
        read: Gives the examples, each id once; called when the first one is asked for.
    """

    def __init__(self, read: Callable[[], Examples]) -> None:
        self._read = read

    def __reduce__(self) -> tuple[object, ...]:
        return getattr, (self._examples, "by_id")

    @cached_property
    def _examples(self) -> Examples:
        return self._read()

    def __len__(self) -> int:
        return len(self._examples)

    def __iter__(self) -> Iterator[Hashable]:
        return (example.id for example in self._examples)

    def __getitem__(self, id_: Hashable) -> Example:
        return self._examples[self.position(id_)]

    def position(self, id_: Hashable) -> int:
        """Return the position of the example of an id.

        Raises:
            KeyError: If there is none.
        """
        hashes, order = self._sorted
        first, last = (hashes.searchsorted(hash(id_), side) for side in ("left", "right"))
        for position in order[first:last].tolist():
            if self._examples[position].id == id_:
                return int(position)
        raise KeyError(id_)

    def select(self, ids: Sequence[Hashable]) -> SomeExamples:
        """Return the examples of some ids, in the order of the ids."""
        return SomeExamples(self._examples, self, ids)

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        return self._examples.sorted_hashes()


class SomeExamples:
    """The examples of some ids; each time they are gone through they are read.

    That is quick where the ids stand in the order of the examples, with or without gaps.

    Args:
        examples: All examples.
        by_id: The same by id.
        ids: The wanted ones.
    """

    def __init__(self, examples: Examples, by_id: ExamplesById, ids: Sequence[Hashable]) -> None:
        self._examples = examples
        self._by_id = by_id
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Example]:
        """Yield the example of each id.

        Raises:
            DataError: If an id has no example.
        """
        reader = self._examples.reader()
        position = -1
        for id_ in self._ids:
            position += 1
            example = reader(position)
            if example is None or example.id != id_:
                position = self._find(id_)
                example = reader(position)
                assert example is not None
            yield example

    def _find(self, id_: Hashable) -> int:
        try:
            return self._by_id.position(id_)
        except KeyError:
            raise DataError(f"there is no example {id_!r}", hint="were the data changed?") from None


def _pack(block: Sequence[Example]) -> bytes:
    rows = list(map(_row, block))
    try:
        return pickle.dumps(rows)
    except Exception:  # whatever a foreign object in a column does
        place = _COLUMNS.index("fields")
        return pickle.dumps(
            [(*row[:place], _storable(row[place]), *row[place + 1 :]) for row in rows]
        )


def _storable(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns with what cannot be pickled (a decoder of sound, say) as its text."""
    storable = {}
    for name, value in columns.items():
        try:
            pickle.dumps(value)
        except Exception:
            value = str(value)
        storable[name] = value
    return storable
