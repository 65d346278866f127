"""Feeding cases to a check, and watching that nothing is left on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from pytest_muscle.errors import MuscleError

CASES = {
    "configurations": 700,
    "pyproject": 60,
    "rows of JSON Lines": 350,
    "rows of CSV": 250,
    "rows of Parquet": 120,
    "tables": 300,
    "manifests": 250,
    "baselines": 200,
    "manifests of baselines": 250,
    "notes": 120,
    "facts of adapters": 100,
    "configurations of adapters": 100,
}
"""How many cases of each kind are fed, no two of them alike; beside them the corpus itself."""

LONGEST_MESSAGE = 3_100


def feed(kind: str, cases: SearchStrategy[bytes], check: Callable[[bytes], None]) -> None:
    """Check as many different cases of a kind as `CASES` says, the same ones each time."""
    fed = set()

    @settings(
        max_examples=3 * CASES[kind],  # Hypothesis repeats itself
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def run(content: bytes) -> None:
        if len(fed) < CASES[kind] and content not in fed:
            check(content)
            fed.add(content)

    run()
    assert len(fed) == CASES[kind]


@contextmanager
def refused(*places: str) -> Iterator[None]:
    """Let a user's mistake pass whose message names one of the places; anything else is raised."""
    try:
        yield
    except MuscleError as error:
        message = str(error)
        assert any(place in message for place in places), message
        assert len(message) < LONGEST_MESSAGE, f"{message[:300]} …"
        message.encode()


def look(folder: Path) -> dict[Path, bytes | str]:
    """Return each file in a folder and below with its content, each link with where it leads."""
    found: dict[Path, bytes | str] = {}
    for root, folders, files in os.walk(folder):
        for path in (Path(root, name) for name in folders + files):
            if path.is_symlink():
                found[path] = os.readlink(path)
            elif path.is_file():
                sparse = path.stat().st_size > 2**30
                found[path] = "very large" if sparse else path.read_bytes()
    return found
