"""Multiple choice and classification: options and the gold one, rendered from a row."""

from __future__ import annotations

from typing import Any

from pytest_muscle.errors import ConfigurationError, DataError
from pytest_muscle.settings import TaskSettings
from pytest_muscle.settings.table import show
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.metrics import find_choice_metric
from pytest_muscle.tasks.renderer import Renderer, append, plain_text
from pytest_muscle.tasks.rows import Row
from pytest_muscle.tasks.templates import Expression, Template


class ChoiceRenderer(Renderer):
    """The templates of a multiple-choice or classification task.

    Args:
        settings: The task's table in muscle.toml.
        where: File and key of that table, for errors.

    Raises:
        ConfigurationError: If a template is not valid.
    """

    def __init__(self, settings: TaskSettings, *, where: str) -> None:
        super().__init__(settings, where=where)
        self._prompt = Template(settings.prompt or "", where=f"{where}.prompt")
        self._gold = Expression(settings.gold, where=f"{where}.gold")
        self._where = f"{where}.choices"
        sources = settings.choices or ()
        if isinstance(sources, str):
            sources = (sources,)
            self._list: Expression | None = Expression(sources[0], where=self._where)
        else:
            self._list = None
        self._choices = [
            Template(source, where=f"{self._where}[{number}]")
            for number, source in enumerate(sources)
        ]
        find_choice_metric(settings.metric or "acc", where=f"{where}.metric")
        self._check_choices()

    def _check_choices(self) -> None:
        if self._list is not None and not self._list.is_expression:
            raise ConfigurationError(
                f"{self._settings.choices!r} is not one expression",
                where=self._where,
                hint='write a list of templates, or "{{ column }}" for a column that holds a list',
            )
        if self._list is None and len(self._choices) < 2:
            raise ConfigurationError(
                "needs at least two options",
                where=self._where,
                hint='write one template per option, or "{{ column }}" for a column with a list',
            )
        if self._settings.kind == "classification" and any(
            choice.columns for choice in self._choices
        ):
            raise ConfigurationError(
                "names columns, and a classification task has the same labels for all examples",
                where=self._where,
                hint='write the labels themselves, or set kind = "multiple_choice"',
            )

    def question(self, row: Row) -> Example:
        """Return a row's example without few-shot examples.

        Raises:
            DataError: If the row is not usable; it names file and line.
        """
        options = self._options(row)
        return Example(
            id=self.id(row),
            prompt=self._prompt.render(row.columns, row=row.where),
            options=options,
            gold=self._gold_index(row, options),
            fields=row.columns,
        )

    def answered(self, example: Example) -> str:
        """Return a prompt with the right option, as a few-shot example has it."""
        right = example.options[example.gold]
        return example.prompt + append(example.prompt, self._settings.delimiter, right)

    def _options(self, row: Row) -> tuple[str, ...]:
        if self._list is None:
            options = tuple(choice.render(row.columns, row=row.where) for choice in self._choices)
        else:
            value = self._list.evaluate(row.columns, row=row.where)
            if not isinstance(value, list | tuple):
                raise DataError(
                    f"{self._where} is {type(value).__name__} {show(value)}, not a list",
                    where=row.where,
                    hint="name a column that holds a list; JSON Lines and Parquet have lists",
                )
            options = tuple(self._option(item, row) for item in value)
        if len(options) < 2:
            raise DataError(
                f"{self._where} gives {len(options)} options",
                where=row.where,
                hint="give two or more",
            )
        if not all(map(str.strip, options)):
            raise DataError(
                f"{self._where} gives an empty option",
                where=row.where,
                hint="a model cannot choose a text that is not there",
            )
        if len(set(options)) < len(options):
            twice = next(option for option in options if options.count(option) > 1)
            raise DataError(
                f"{self._where} gives the option {show(twice)} twice",
                where=row.where,
                hint="a model cannot choose between equal options",
            )
        return options

    def _option(self, item: Any, row: Row) -> str:
        text = plain_text(item)
        if text is None:
            raise DataError(
                f"{self._where} gives the option {show(item)}",
                where=row.where,
                hint="options are texts or numbers",
            )
        return text

    def _gold_index(self, row: Row, options: tuple[str, ...]) -> int:
        value = self._gold.evaluate(row.columns, row=row.where)
        key = f"{self._table}.gold"
        indices = _gold_indices(value, options)
        if not indices:
            shown = ", ".join(f"{number}: {show(option)}" for number, option in enumerate(options))
            whole = isinstance(value, float) and value.is_integer()
            raise DataError(
                f"{key} is {show(value)}, neither an index nor an option",
                where=row.where,
                hint=('for an index write gold = "{{ column | int }}"; ' if whole else "")
                + f"options: {shown}",
            )
        if len(indices) > 1:
            raise DataError(
                f"{key} is {show(value)}, an option's text and also another option's index",
                where=row.where,
                hint='for an index write gold = "{{ column | int }}"',
            )
        return indices.pop()


def _gold_indices(value: Any, options: tuple[str, ...]) -> set[int]:
    """Return what a gold answer can mean: a whole number is an index; a text may be both.

    So may true and false, which are 1 and 0 and may be options by name.
    """
    indices: set[int] = set()
    if isinstance(value, int) and 0 <= value < len(options):
        indices.add(int(value))
    if isinstance(value, str) and _is_index(value, options):
        indices.add(int(value))
    if isinstance(value, str | bool):
        names = (str(value), str(value).lower()) if isinstance(value, bool) else (value,)
        indices.update(options.index(name) for name in names if name in options)
    return indices


def _is_index(value: str, options: tuple[str, ...]) -> bool:
    text = value.strip()
    return text.isascii() and text.isdigit() and len(text) < 6 and int(text) < len(options)
