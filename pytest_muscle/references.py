"""Things that the user names: one of ours by its name, or `package.module:function`."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pytest_muscle.digests import digest_file, digest_json
from pytest_muscle.errors import MuscleError, nearest

F = TypeVar("F", bound=Callable[..., Any])


def find(
    name: str,
    registry: Mapping[str, F],
    *,
    what: str,
    error: type[MuscleError],
    where: str | None = None,
) -> F:
    """Return the registered function of that name, or import `package.module:function`.

    Args:
        name: What the user wrote.
        registry: Ours, by name.
        what: What is looked for, in one word, for errors.
        error: The kind of error to raise.
        where: File and key that named it, for errors.

    Raises:
        MuscleError: Of kind `error`, if there is no such function.
    """
    if name in registry:
        return registry[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise error(
            f"there is no {what} {name!r}",
            where=where,
            hint=f"{nearest(name, registry)}\n  name your own as package.module:function",
        )
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as problem:  # whatever the user's module does on import
        raise error(
            f"the {what} {name!r} cannot be imported: {type(problem).__name__}: {problem}",
            where=where,
            hint="it is looked for on Python's path; is its folder there?",
        ) from problem
    if not callable(found):
        raise error(
            f"the {what} {name!r} is not a function",
            where=where,
            hint="name a function or a class as package.module:function",
        )
    return found  # type: ignore[no-any-return]


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
