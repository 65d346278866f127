"""One TOML key as a dataclass field that carries its own help and limits."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def key(help_: str, default: Any = None, **limits: Any) -> Any:
    """Make a dataclass field for one TOML key.

    Args:
        help_: What the key means; README's table shows it.
        default: The default value.
        limits: `minimum`, `maximum`, `above`, `below` for numbers; `filled` for a text or list
            that must not be empty.
    """
    metadata = {"help": help_, **limits}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)
