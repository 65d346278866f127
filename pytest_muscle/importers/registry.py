"""The importers by name, and what a reference like `lm-eval:PATH?metric=acc` means."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, TypeAlias

from pytest_muscle import extensions
from pytest_muscle.errors import DataError, MuscleError, PredictionsError, nearest
from pytest_muscle.predictions.prediction import Predictions
from pytest_muscle.references import find, split_options
from pytest_muscle.settings.paths import local_path

Importer: TypeAlias = Callable[..., Predictions]
"""(path, **options) -> Predictions; options are texts, each a keyword argument."""

IMPORTERS: Mapping[str, str] = {
    "csv": "table",
    "deepeval": "deepeval",
    "inspect": "inspect_ai",
    "lighteval": "lighteval",
    "lm-eval": "lm_eval",
    "promptfoo": "promptfoo",
}
"""The module of each importer; its function is `read_log`. Imported when it is asked for."""

_NAME = re.compile("[A-Za-z][A-Za-z0-9_-]+")


class Reference(NamedTuple):
    """A log as the user names it.

    Attributes:
        text: As it was written.
        importer: Name of the importer; none for a table that `Predictions.save` wrote.
        path: The file or the folder.
        options: What stands after the question mark.
    """

    text: str
    importer: str | None
    path: Path
    options: Mapping[str, str]


def parse_reference(text: str, root: Path) -> Reference:
    """Return what `NAME:PATH?option=value&option=value` names.

    Only a registered name makes an importer of what stands before the first colon: a file may
    have colons in its name, and a drive is one letter. Values may be percent-encoded.

    Args:
        text: As the user wrote it.
        root: The directory that a relative path is relative to.

    Raises:
        PredictionsError: If it looks like an importer's name and there is none, or an option has
            no value.
    """
    name, colon, rest = text.partition(":")
    known = [*IMPORTERS, *extensions.current().importers]
    if name not in known:
        path = local_path(text, root)
        if colon and _NAME.fullmatch(name) and not path.exists():
            raise PredictionsError(
                f"there is no importer {name!r}", where=text, hint=nearest(name, known)
            )
        return Reference(text, None, path, {})
    place, options = split_options(rest, form=f"{name}:PATH", error=PredictionsError, where=text)
    return Reference(text, name, local_path(place, root), options)


def check_reference(text: str, root: Path) -> None:
    """Check that an importer is there, knows the options, and that its file is there.

    Raises:
        PredictionsError: If not.
    """
    reference = parse_reference(text, root)
    if reference.importer is not None:
        _find(reference)
    if not reference.path.exists():
        raise _missing(reference)


def import_predictions(text: str, root: Path | None = None) -> Predictions:
    """Return the predictions of a log.

    Args:
        text: `NAME:PATH?option=value&…`, or the path of a table that `Predictions.save` wrote.
            The option `graded=true`, of every importer, says that scores of 0 and 1 alone are
            graded ones too.
        root: The directory that a relative path is relative to; left out: the current one.

    Raises:
        PredictionsError: If it is not such a log, is damaged, or several things could be meant; it
            names file and line where there is one.
    """
    reference = parse_reference(text, root or Path())
    if reference.importer is None:
        return Predictions.load(Path(text) if root is None else reference.path)
    read = _find(reference)
    options = dict(reference.options)
    graded = options.pop("graded", None)
    if graded not in (None, "true"):
        raise PredictionsError(
            f"graded is {graded!r}", where=text, hint="write graded=true or leave it out"
        )
    if not reference.path.exists():
        raise _missing(reference)
    table = _read(reference, read, options)
    return replace(table, graded=True) if graded else table


def _read(reference: Reference, read: Importer, options: Mapping[str, str]) -> Predictions:
    """Return what an importer reads; whatever a plugin's does is told in words."""
    try:
        table = read(reference.path, **options)
    except DataError as error:
        raise PredictionsError(
            error.problem, where=error.where, hint=error.hint, details=error.details
        ) from error
    except MuscleError:
        raise
    except Exception as error:
        if reference.importer in IMPORTERS:
            raise
        raise PredictionsError(
            f"{_say(reference)} fails: {type(error).__name__}: {error}", where=reference.text
        ) from error
    if not isinstance(table, Predictions):
        raise PredictionsError(
            f"{_say(reference)} returns {type(table).__name__}, not Predictions",
            where=reference.text,
            hint="an importer makes them with Predictions.from_lists or importers.records",
        )
    return table


def _find(reference: Reference) -> Importer:
    """Return the importer of a reference, which takes its options."""
    assert reference.importer is not None
    read = _importer(reference.importer, reference.text)
    known = _options_of(read)
    if known is None:
        return read
    for option in reference.options:
        if option not in [*known, "graded"]:
            raise PredictionsError(
                f"{reference.importer} has no option {option!r}",
                where=reference.text,
                hint=nearest(option, [*known, "graded"]),
            )
    return read


def _options_of(read: Importer) -> list[str] | None:
    """Return the names of an importer's options, which follow its path; none if any will do."""
    try:
        parameters = list(inspect.signature(read).parameters.values())
    except (ValueError, TypeError):  # of a function that is not written in Python
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter.name for parameter in parameters[1:] if parameter.kind in named]


def _importer(name: str, text: str) -> Importer:
    if name in IMPORTERS:
        read: Importer = import_module(f"pytest_muscle.importers.{IMPORTERS[name]}").read_log
        return read
    ours: Mapping[str, Importer] = {}
    added = extensions.current().importers
    return find(name, ours, what="importer", error=PredictionsError, where=text, added=added)


def _say(reference: Reference) -> str:
    """Return a plugin's importer in words."""
    assert reference.importer is not None
    added = extensions.current().importers[reference.importer]
    return f"the importer {reference.importer!r} ({added.reference}, of plugin {added.plugin!r})"


def _missing(reference: Reference) -> PredictionsError:
    return PredictionsError(
        f"no such file or directory: {reference.path}",
        where=reference.text,
        hint="paths are relative to the configuration file, or to where Python was started",
    )
