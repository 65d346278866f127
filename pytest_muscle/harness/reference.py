"""What `lm-eval:NAME?option=value` names: a definition and how it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from pytest_muscle.errors import ConfigurationError, nearest
from pytest_muscle.references import split_options
from pytest_muscle.settings.kinds import HARNESS
from pytest_muscle.settings.paths import local_path

FEWSHOT_SEED = 1234
"""What the harness draws few-shot examples with, unless it is told otherwise."""
_NUMBERS = ("num_fewshot", "fewshot_seed", "max_gen_toks")
_OPTIONS = (*_NUMBERS, "include_path")
_LARGEST = 2**32 - 1


class Reference(NamedTuple):
    """A definition as the user names it.

    Attributes:
        text: As it was written.
        where: File and key that named it, for errors.
        name: The definition's name, as `lm_eval --tasks` takes it.
        include_path: A folder of definitions, looked into before the installed ones.
        num_fewshot: How many few-shot examples there are, if not as many as the definition says.
        fewshot_seed: What they are drawn with.
        max_gen_toks: Most tokens of an answer, if not what the definition says.
    """

    text: str
    where: str
    name: str
    include_path: Path | None = None
    num_fewshot: int | None = None
    fewshot_seed: int = FEWSHOT_SEED
    max_gen_toks: int | None = None


def parse_reference(text: str, root: Path, where: str) -> Reference:
    """Return what a reference names.

    Args:
        text: `lm-eval:NAME?option=value&option=value`.
        root: The directory that `include_path` is relative to.
        where: File and key, for errors.

    Raises:
        ConfigurationError: If an option is unknown or its value is not usable.
    """
    name, options = split_options(
        text.removeprefix(HARNESS), form=f"{HARNESS}NAME", error=ConfigurationError, where=where
    )
    values: dict[str, Any] = {}
    for option, value in options.items():
        if option not in _OPTIONS:
            raise ConfigurationError(
                f"a definition has no option {option!r}",
                where=where,
                hint=nearest(option, _OPTIONS),
            )
        values[option] = _number(option, value, where) if option in _NUMBERS else value
    if "include_path" in values:
        folder = local_path(values["include_path"], root)
        if not folder.is_dir():
            raise ConfigurationError(
                f"there is no folder {folder}",
                where=where,
                hint="include_path is relative to the configuration file",
            )
        values["include_path"] = folder
    return Reference(text, where, name, **values)


def _number(option: str, value: str, where: str) -> int:
    least = 1 if option == "max_gen_toks" else 0
    if not (value.isascii() and value.isdigit() and least <= int(value[:20]) <= _LARGEST):
        raise ConfigurationError(
            f"{option} is {value!r}", where=where, hint=f"write a whole number from {least}"
        )
    return int(value)
