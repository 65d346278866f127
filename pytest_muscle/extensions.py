"""Names that plugins have added to ours: metrics, training objectives and importers.

A process has one set of them at a time: that of the pytest run at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias


class Added(NamedTuple):
    """What a plugin's name stands for.

    Attributes:
        reference: The function, as `package.module:function`.
        plugin: The plugin, as pytest names it.
    """

    reference: str
    plugin: str


Names: TypeAlias = Mapping[str, Added]


@dataclass(frozen=True)
class Extensions:
    """What plugins have added, by kind and name."""

    metrics: Names = field(default_factory=dict)
    objectives: Names = field(default_factory=dict)
    importers: Names = field(default_factory=dict)


_sets = [Extensions()]


def current() -> Extensions:
    """Return what plugins have added in the run at hand; nothing outside pytest."""
    return _sets[-1]


def use(extensions: Extensions) -> Callable[[], None]:
    """Take these from now on, and return what ends that: a run may be within another."""
    _sets.append(extensions)

    def end() -> None:
        _sets[:] = [each for each in _sets if each is not extensions]

    return end


def resolve(name: str, added: Names) -> str:
    """Return the function that a plugin's name stands for; any other name as it is.

    What follows takes it as if the user had named the function.
    """
    return added[name].reference if name in added else name
