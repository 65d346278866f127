"""Things that are made once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from pytest_muscle.errors import MuscleError

T = TypeVar("T")


class Memo:
    """What was made, by key; a mistake of the user's is raised again, not made again."""

    def __init__(self) -> None:
        self._made: dict[tuple[Hashable, ...], Any] = {}

    def once(self, key: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        """Return the thing of that key, made now if it is not there.

        Raises:
            MuscleError: What making it raised, now or before.
        """
        if key not in self._made:
            try:
                self._made[key] = make()
            except MuscleError as error:
                self._made[key] = error
        if isinstance(self._made[key], MuscleError):
            raise self._made[key]
        return self._made[key]  # type: ignore[no-any-return]

    def find(self, key: tuple[Hashable, ...]) -> Any:
        """Return the thing of that key if it was made, else none."""
        made = self._made.get(key)
        return None if isinstance(made, MuscleError) else made
