"""Jinja2 templates over the data's columns, in a sandbox."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, MutableMapping, Sized
from functools import cache, wraps
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined, UndefinedError, meta
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pytest_muscle.errors import ConfigurationError, DataError, nearest
from pytest_muscle.settings.table import show

LARGEST = 1_000_000
"""Longest text and largest number that an operation within a template may make or be given."""
LARGEST_INTEGER = 2**63
LONGEST_RANGE = 1_000

_EXPRESSION = re.compile(r"\s*\{\{[-+]?(?P<expression>(?:(?!\{\{|\}\}).)+?)[-+]?\}\}\s*", re.DOTALL)
_NOT_REPEATABLE = {"globals": ("lipsum",), "filters": ("random",)}


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox: no Python internals, no chance, and no text or number without end."""

    intercepted_binops = frozenset(["+", "*", "**"])

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        # Jinja2 copies them for every row, and its ChainMap costs more than the rest of a row.
        return {**self.globals, **(d or {})}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and not (_small(left, LARGEST) and _small(right, 32)):
            raise OverflowError(f"{show(left)} ** {show(right)} is too large")
        if operator == "*":
            for text, times in ((left, right), (right, left)):
                if (
                    isinstance(text, Sized)
                    and isinstance(times, int)
                    and len(text) * times > LARGEST
                ):
                    raise OverflowError(f"a text or list times {show(times)} is too long")
        both_sized = isinstance(left, Sized) and isinstance(right, Sized)
        if operator == "+" and both_sized and len(left) + len(right) > LARGEST:
            raise OverflowError(f"a text or list is longer than {LARGEST:,}")
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and abs(result) > LARGEST_INTEGER:
            raise OverflowError(f"{show(result)} is too large a number for a template")
        return result

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        _refuse_large(args, kwargs)
        return super().call(context, obj, *args, **kwargs)


def _small(value: Any, largest: int) -> bool:
    return isinstance(value, int | float) and abs(value) <= largest


def _refuse_large(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    for value in (*args, *kwargs.values()):
        if isinstance(value, int) and abs(value) > LARGEST:
            raise OverflowError(f"{show(value)} is too large a number for a template")


def _bounded(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that refuses numbers it would make an endless text of."""

    @wraps(call)  # and Jinja2's mark of what it passes first
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _refuse_large(args[1:], kwargs)
        return call(*args, **kwargs)

    return bounded


def _range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > LONGEST_RANGE:
        raise OverflowError(f"range has more than {LONGEST_RANGE:,} numbers")
    return numbers


def _refuse_missing(value: Any) -> Any:
    """Refuse to write "None" or "nan" into a prompt where the data has no value."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f'the value is {value}; write {{{{ column or "" }}}} if it may be missing')
    return value


@cache
def _environment() -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
        finalize=_refuse_missing,
    )
    for kind, names in _NOT_REPEATABLE.items():
        for name in names:
            del getattr(environment, kind)[name]
    for name in ("batch", "center", "indent", "slice"):
        environment.filters[name] = _bounded(environment.filters[name])
    environment.globals["range"] = _range
    return environment


class Template:
    """One template of a task.

    Args:
        source: Jinja2 text whose variables are the data's columns.
        where: File and key, for errors.

    Raises:
        ConfigurationError: If it is not valid Jinja2.
    """

    def __init__(self, source: str, *, where: str) -> None:
        self.source = source
        self.where = where
        environment = _environment()
        try:
            tree = environment.parse(source)
            self._template = environment.from_string(source)
            self.columns = meta.find_undeclared_variables(tree) - set(environment.globals)
        except Exception as error:  # Jinja2's own, and Python's for code nested too deep
            raise _invalid(error, where) from error

    def check(self, columns: Mapping[str, Any], *, row: str) -> None:
        """Raise if the template names a column that the row does not have.

        Raises:
            DataError: Names the row, the key and the column.
        """
        for name in sorted(self.columns - set(columns)):
            raise DataError(
                f"there is no column {name!r}, which {self.where} names",
                where=row,
                hint=nearest(name, columns),
            )

    def render(self, columns: Mapping[str, Any], *, row: str) -> str:
        """Return the text for one row.

        Raises:
            DataError: If a column is missing or the template fails on the row.
        """
        text: str = self._run(lambda: self._text(columns), columns, row)
        return text

    def _text(self, columns: Mapping[str, Any]) -> str:
        parts = []
        length = 0
        for part in self._template.generate(dict(columns)):
            parts.append(part)
            length += len(part)
            if length > LARGEST * 10:
                raise OverflowError(f"the text is longer than {LARGEST * 10:,} characters")
        text = "".join(parts)
        text.encode()  # half of a surrogate pair is no text
        return text

    def _run(self, call: Callable[[], Any], columns: Mapping[str, Any], row: str) -> Any:
        try:
            return call()
        except UndefinedError as error:
            self.check(columns, row=row)
            raise DataError(f"{self.where}: {error}", where=row) from error
        except Exception as error:
            raise DataError(
                f"{self.where} fails on this row: {type(error).__name__}: {error}", where=row
            ) from error


class Expression(Template):
    """A template that may be one `{{ expression }}`, whose value is then kept as it is.

    A column's name alone, the usual case, needs no Jinja2.
    """

    def __init__(self, source: str, *, where: str) -> None:
        super().__init__(source, where=where)
        match = _EXPRESSION.fullmatch(source)
        name = match["expression"].strip() if match else None
        self._column: str | None = name if self.columns == {name} else None
        try:
            self._expression = (
                _environment().compile_expression(match["expression"], undefined_to_none=False)
                if match
                else None
            )
        except Exception as error:
            raise _invalid(error, where) from error

    @property
    def is_expression(self) -> bool:
        """Whether the whole template is one `{{ expression }}`."""
        return self._expression is not None

    def evaluate(self, columns: Mapping[str, Any], *, row: str) -> Any:
        """Return the expression's value for one row, or the rendered text.

        Raises:
            DataError: If a column is missing or the template fails on the row.
        """
        if self._column is not None and self._column in columns:
            return columns[self._column]
        expression = self._expression
        if expression is None:
            return self.render(columns, row=row)
        value = self._run(lambda: expression(dict(columns)), columns, row)
        if isinstance(value, Undefined):
            self.check(columns, row=row)
            raise DataError(f"{self.where} has no value on this row", where=row)
        return value


def _invalid(error: Exception, where: str) -> ConfigurationError:
    line = getattr(error, "lineno", None) if isinstance(error, TemplateError) else None
    place = f" (line {line} of the template)" if line else ""
    return ConfigurationError(
        f"is not a valid template: {error}{place}",
        where=where,
        hint="it is Jinja2: {{ column }} stands for a column of the data",
    )
