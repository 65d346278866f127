"""The `--muscle-*` flags, as plain strings, and the file they or pytest's rootdir point to."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.limits import read_document
from pytest_muscle.settings.paths import local_path

NAME = "muscle.toml"


class Flags(NamedTuple):
    """Values of the command line, which go before the file's; none where a flag was not given.

    Paths are relative to the directory where pytest was started.
    """

    config: str | None = None
    old: str | None = None
    new: str | None = None
    device: str | None = None
    limit: int | None = None
    cache: str | None = None
    no_train: bool = False
    accept_changes: bool = False
    strict: bool = False
    report: str | None = None
    history: str | None = None


def find_file(rootdir: Path, flags: Flags, invocation_dir: Path) -> Path | None:
    """Return the configuration file: `--muscle-config`, muscle.toml, pyproject.toml, or none.

    pytest looks for its root directory before it knows our flags, and takes the folder in
    `--muscle-cache FOLDER` for one of tests: the root may be that folder, or one above it.

    Args:
        rootdir: pytest's root directory.
        flags: The command line.
        invocation_dir: Where pytest was started, looked into after the root directory;
            `--muscle-config` is relative to it.

    Raises:
        ConfigurationError: If the file that `--muscle-config` names does not exist.
    """
    if flags.config is not None:
        given = local_path(flags.config, invocation_dir)
        folder = os.path.isdir(given) and flags.config != ""
        path = _in_folder(given) if folder else given
        if path is None or not os.path.isfile(path):
            raise ConfigurationError(
                f"there is no {NAME} in {given}" if folder else f"no such file: {given}",
                where="--muscle-config",
                hint="name a muscle.toml, a pyproject.toml with [tool.muscle], or their folder",
            )
        return path
    return _in_folder(rootdir) or _in_folder(invocation_dir)


def named_configuration(arguments: Iterable[str], invocation_dir: Path) -> str | None:
    """Return the muscle.toml among the paths that pytest was told to collect, or none.

    Args:
        arguments: pytest's arguments, paths with or without `::` and what follows.
        invocation_dir: What they are relative to.
    """
    for argument in arguments:
        path, _, _ = argument.partition("::")
        if os.path.basename(path) == NAME and (invocation_dir / path).is_file():
            return path
    return None


def _in_folder(folder: Path) -> Path | None:
    path = folder / NAME
    if path.is_file():
        return path
    path = folder / "pyproject.toml"
    return path if path.is_file() and _has_table(path) else None


def _has_table(path: Path) -> bool:
    """Return whether a pyproject.toml has [tool.muscle]; most do not, at little cost."""
    try:
        content = read_document(path)
    except (OSError, ValueError):
        return False
    if b"muscle" not in content:
        return False
    import tomllib

    try:
        tool = tomllib.loads(content.decode("utf-8-sig")).get("tool")
    except (ValueError, RecursionError):
        return b"tool.muscle" in content  # whoever reads it says what is wrong
    return isinstance(tool, dict) and "muscle" in tool
