"""The `--muscle-*` flags, as plain strings, which go before the file's values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Values of the command line; none where a flag was not given.

    Paths are relative to the directory where pytest was started.
    """

    config: str | None = None
    old: str | None = None
    new: str | None = None
    device: str | None = None
    limit: int | None = None
    cache: str | None = None
    no_train: bool = False

    @property
    def given(self) -> bool:
        """Whether any flag was given."""
        return self != Flags()
