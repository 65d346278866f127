"""Which libraries are installed, asked without importing them."""

from __future__ import annotations

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
