"""Jinja2 templates over the data's columns, in a sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, UndefinedError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pytest_muscle.errors import ConfigurationError, DataError, nearest

_EXPRESSION = re.compile(r"\s*\{\{(?P<expression>(?:(?!\{\{|\}\}).)+)\}\}\s*", re.DOTALL)


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )


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
        except (TemplateError, RecursionError) as error:
            raise ConfigurationError(f"is not a valid template: {error}", where=where) from error
        self.columns = meta.find_undeclared_variables(tree) - set(environment.globals)

    def check(self, columns: Mapping[str, Any], *, row: str) -> None:
        """Raise if the template names a column that the row does not have.

        Raises:
            DataError: Names the row, the key and the column.
        """
        for name in sorted(self.columns - set(columns)):
            raise DataError(
                f"there is no column {name!r}, which {self.where} names",
                where=row,
                hint=nearest(name, map(str, columns)),
            )

    def render(self, columns: Mapping[str, Any], *, row: str) -> str:
        """Return the text for one row.

        Raises:
            DataError: If a column is missing or the template fails on the row.
        """
        self.check(columns, row=row)
        return str(self._run(lambda: self._template.render(columns), row))

    def _run(self, call: Callable[[], Any], row: str) -> Any:
        try:
            return call()
        except UndefinedError as error:
            raise DataError(f"{self.where}: {error}", where=row) from error
        except Exception as error:
            raise DataError(
                f"{self.where} fails on this row: {type(error).__name__}: {error}", where=row
            ) from error


class Expression(Template):
    """A template that may be one `{{ expression }}`, whose value is then kept as it is."""

    def __init__(self, source: str, *, where: str) -> None:
        super().__init__(source, where=where)
        match = _EXPRESSION.fullmatch(source)
        self._expression = (
            _environment().compile_expression(match["expression"], undefined_to_none=False)
            if match
            else None
        )

    @property
    def is_expression(self) -> bool:
        """Whether the whole template is one `{{ expression }}`."""
        return self._expression is not None

    def evaluate(self, columns: Mapping[str, Any], *, row: str) -> Any:
        """Return the expression's value for one row, or the rendered text.

        Raises:
            DataError: If a column is missing or the template fails on the row.
        """
        expression = self._expression
        if expression is None:
            return self.render(columns, row=row)
        self.check(columns, row=row)
        value = self._run(lambda: expression(**columns), row)
        if isinstance(value, StrictUndefined):
            raise DataError(f"{self.where} has no value on this row", where=row)
        return value
