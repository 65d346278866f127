"""Libraries: which are installed, asked without importing them, and how much they say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata


def library_versions(*names: str) -> dict[str, str]:
    """Return the installed version of each distribution; "none" where it is not installed."""
    return {name: _version(name) for name in names}


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


@contextmanager
def errors_alone(logger: str) -> Iterator[None]:
    """Keep a library's notes and warnings off the terminal; errors stay.

    Args:
        logger: Name of its logger.
    """
    of_library = logging.getLogger(logger)
    level = of_library.level
    of_library.setLevel(logging.ERROR)
    try:
        yield
    finally:
        of_library.setLevel(level)
