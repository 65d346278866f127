"""Things that the user names: one of ours by its name, or `package.module:function`."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import unquote

from pytest_muscle.digests import digest_file, digest_json
from pytest_muscle.errors import MuscleError, nearest
from pytest_muscle.extensions import Names, resolve

F = TypeVar("F", bound=Callable[..., Any])

_OPTION = re.compile("[a-z_]+=")


def find(
    name: str,
    registry: Mapping[str, F],
    *,
    what: str,
    error: type[MuscleError],
    where: str | None = None,
    added: Names = MappingProxyType({}),
) -> F:
    """Return the registered function of that name, or import `package.module:function`.

    Args:
        name: What the user wrote.
        registry: Ours, by name.
        what: What is looked for, in one word, for errors.
        error: The kind of error to raise.
        where: File and key that named it, for errors.
        added: What plugins have added, by name.

    Raises:
        MuscleError: Of kind `error`, if there is no such function.
    """
    if name in registry:
        return registry[name]
    reference = resolve(name, added)
    module, colon, attribute = reference.partition(":")
    shown = repr(name)
    if name in added:
        shown += f" ({reference}, of plugin {added[name].plugin!r})"
    if not colon:
        raise error(
            f"there is no {what} {shown}",
            where=where,
            hint=f"{nearest(name, [*registry, *added])}\n"
            "  name your own as package.module:function",
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as problem:  # whatever the user's module does on import
        raise error(
            f"the {what} {shown} cannot be imported: {type(problem).__name__}: {problem}",
            where=where,
            hint="it is looked for on Python's path; is its folder there?",
        ) from problem
    if not callable(found):
        raise error(
            f"the {what} {shown} is not a function",
            where=where,
            hint="name a function or a class as package.module:function",
        )
    return found  # type: ignore[no-any-return]


def split_options(
    text: str, *, form: str, error: type[MuscleError], where: str | None = None
) -> tuple[str, dict[str, str]]:
    """Return what stands before the question mark, and the options after it.

    Args:
        text: `PLACE?option=value&option=value`; values may be percent-encoded.
        form: How the user writes what stands before the question mark, for errors.
        error: The kind of error to raise.
        where: What the user wrote, or file and key that named it, for errors.

    Raises:
        MuscleError: Of kind `error`, if an option has no value or stands twice.
    """
    place, mark, asked = text.rpartition("?")
    if not mark or not _OPTION.match(asked):
        return text, {}
    options: dict[str, str] = {}
    for part in filter(None, asked.split("&")):
        option, equals, value = part.partition("=")
        if not equals or not value or option in options:
            raise error(
                f"{part!r} is not an option",
                where=where,
                hint=f"write {form}?option=value&option=value, each option once",
            )
        options[option] = unquote(value)
    return place, options


def is_reference(name: str) -> bool:
    """Return whether a name is the user's `package.module:function`, not one of ours."""
    return ":" in name


def source_digest(name: str) -> str | None:
    """Return a digest of the files that a `package.module:function` stands in.

    These are the module named and the one that defines the function, whole: it may call what
    stands beside it.

    Returns:
        The digest, or none where a module has no file.
    """
    module, _, attribute = name.partition(":")
    function = inspect.unwrap(getattr(importlib.import_module(module), attribute))
    home = getattr(function, "__module__", None) or type(function).__module__
    files: list[Any] = [
        getattr(sys.modules.get(place), "__file__", None) for place in (module, home)
    ]
    try:
        return None if None in files else digest_json([digest_file(Path(file)) for file in files])
    except OSError:
        return None
