"""The importers by name, and what a reference like `lm-eval:PATH?metric=acc` means."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote

from pytest_muscle.errors import DataError, PredictionsError, nearest
from pytest_muscle.predictions.prediction import Predictions
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
_OPTION = re.compile("[a-z_]+=")


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
    if name not in IMPORTERS:
        path = local_path(text, root)
        if colon and _NAME.fullmatch(name) and not path.exists():
            raise PredictionsError(
                f"there is no importer {name!r}", where=text, hint=nearest(name, IMPORTERS)
            )
        return Reference(text, None, path, {})
    place, mark, asked = rest.rpartition("?")
    if not mark or not _OPTION.match(asked):
        place, asked = rest, ""
    options: dict[str, str] = {}
    for part in filter(None, asked.split("&")):
        option, equals, value = part.partition("=")
        if not equals or not value or option in options:
            raise PredictionsError(
                f"{part!r} is not an option",
                where=text,
                hint=f"write {name}:PATH?option=value&option=value, each option once",
            )
        options[option] = unquote(value)
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
    try:
        table = read(reference.path, **options)
    except DataError as error:
        raise PredictionsError(
            error.problem, where=error.where, hint=error.hint, details=error.details
        ) from error
    return replace(table, graded=True) if graded else table


def _find(reference: Reference) -> Importer:
    """Return the importer of a reference, which takes its options."""
    assert reference.importer is not None
    module = import_module(f"pytest_muscle.importers.{IMPORTERS[reference.importer]}")
    read: Importer = module.read_log
    known = [
        name
        for name, parameter in inspect.signature(read).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    for option in reference.options:
        if option not in [*known, "graded"]:
            raise PredictionsError(
                f"{reference.importer} has no option {option!r}",
                where=reference.text,
                hint=nearest(option, [*known, "graded"]),
            )
    return read


def _missing(reference: Reference) -> PredictionsError:
    return PredictionsError(
        f"no such file or directory: {reference.path}",
        where=reference.text,
        hint="paths are relative to the configuration file, or to where Python was started",
    )
