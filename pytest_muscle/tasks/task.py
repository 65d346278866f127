"""A task: its examples, rendered from data by the templates of muscle.toml."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from pytest_muscle.digests import digest_json
from pytest_muscle.errors import DataError
from pytest_muscle.settings import GateSettings, Settings, TaskSettings
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.metrics import find_choice_metric
from pytest_muscle.tasks.rows import Row, read_rows
from pytest_muscle.tasks.templates import Expression, Template


@dataclass(frozen=True)
class Task:
    """One task of muscle.toml.

    Attributes:
        name: Its name in muscle.toml.
        settings: Its table in muscle.toml.
        root: The directory that its data's paths are relative to.
        file: Name of the configuration file, for errors.
        limit: Only the first so many evaluation examples, or all.
    """

    name: str
    settings: TaskSettings
    root: Path
    file: str
    limit: int | None = None

    @property
    def gate(self) -> GateSettings:
        """The limits of muscle.toml for this task, for `assert_gate`."""
        return self.settings.gate

    @cached_property
    def renderer(self) -> ChoiceRenderer:
        """The task's templates, compiled."""
        return ChoiceRenderer(self.settings, where=f"{self.file}: tasks.{self.name}")

    @cached_property
    def eval(self) -> tuple[Example, ...]:
        """The evaluation examples, in the data's order.

        Raises:
            DataError: For a row that is not usable; it names file and line.
        """
        return self._read(self.settings.eval, self.limit)

    @cached_property
    def train(self) -> tuple[Example, ...]:
        """The training examples, in the data's order; empty where there is no train set.

        Raises:
            DataError: For a row that is not usable; it names file and line.
        """
        return self._read(self.settings.train) if self.settings.train else ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that determines the evaluation: kind, metric, examples."""
        return digest_json(
            [
                self.settings.kind,
                self.settings.metric,
                self.settings.delimiter,
                [[example.id, example.digest] for example in self.eval],
            ]
        )

    @cached_property
    def train_digest(self) -> str:
        """SHA-256 of the training examples in their order, delimiter included."""
        return digest_json([self.settings.delimiter, [example.digest for example in self.train]])

    def continuation(self, example: Example, option: int) -> str:
        """Return an option as it is appended to the prompt: with the delimiter before it.

        A prompt that ends in white space brings its own delimiter.
        """
        text = example.options[option]
        if not example.prompt or example.prompt[-1].isspace():
            return text
        return f"{self.settings.delimiter}{text}"

    def answer(self, loglikelihoods: tuple[float, ...], example: Example) -> int:
        """Return the index of the option that the task's metric chooses."""
        return find_choice_metric(self.settings.metric)(loglikelihoods, example.options)

    def _read(self, data: str, limit: int | None = None) -> tuple[Example, ...]:
        rows = islice(read_rows(data, self.root), limit)
        return tuple(_with_unique_ids(self.renderer.examples(rows)))


class ChoiceRenderer:
    """The templates of a multiple-choice or classification task.

    Args:
        settings: The task's table in muscle.toml.
        where: File and key of that table, for errors.

    Raises:
        ConfigurationError: If a template is not valid.
    """

    def __init__(self, settings: TaskSettings, *, where: str) -> None:
        self._settings = settings
        self._prompt = Template(settings.prompt, where=f"{where}.prompt")
        self._gold = Expression(settings.gold, where=f"{where}.gold")
        self._where = f"{where}.choices"
        sources = settings.choices
        if isinstance(sources, str):
            sources = (sources,)
            self._list: Expression | None = Expression(sources[0], where=self._where)
        else:
            self._list = None
        self._choices = [
            Template(source, where=f"{self._where}[{number}]")
            for number, source in enumerate(sources)
        ]
        find_choice_metric(settings.metric)
        self._check_choices()

    def _check_choices(self) -> None:
        from pytest_muscle.errors import ConfigurationError

        if self._list is not None and not self._list.is_expression:
            raise ConfigurationError(
                f"{self._settings.choices!r} is not one expression",
                where=self._where,
                hint='write a list of templates, or "{{ column }}" for a column that holds a list',
            )
        if self._list is None and len(self._choices) < 2:
            raise ConfigurationError("needs at least two options", where=self._where)
        if self._settings.kind == "classification" and any(
            choice.columns for choice in self._choices
        ):
            raise ConfigurationError(
                "names columns, and a classification task has the same labels for all examples",
                where=self._where,
                hint='write the labels themselves, or set kind = "multiple_choice"',
            )

    def examples(self, rows: Iterable[Row]) -> Iterator[tuple[Example, str]]:
        """Yield each row's example and the place it stands at."""
        for row in rows:
            options = self._options(row)
            example = Example(
                id=self._id(row),
                prompt=self._prompt.render(row.columns, row=row.where),
                options=options,
                gold=self._gold_index(row, options),
                fields=row.columns,
            )
            for column in self._settings.slices:
                if column not in row.columns:
                    raise DataError(
                        f"there is no column {column!r}, which slices names", where=row.where
                    )
            yield example, row.where

    def _options(self, row: Row) -> tuple[str, ...]:
        if self._list is None:
            options = tuple(choice.render(row.columns, row=row.where) for choice in self._choices)
        else:
            value = self._list.evaluate(row.columns, row=row.where)
            if not isinstance(value, list | tuple):
                raise DataError(
                    f"{self._where} is {type(value).__name__}, not a list", where=row.where
                )
            options = tuple(str(item) for item in value)
        if len(options) < 2:
            raise DataError(f"has {len(options)} options", where=row.where, hint="give two or more")
        for option in options:
            if not option.strip():
                raise DataError("has an empty option", where=row.where)
            if options.count(option) > 1:
                raise DataError(
                    f"has the option {option!r} twice",
                    where=row.where,
                    hint="a model cannot choose between equal options",
                )
        return options

    def _id(self, row: Row) -> str:
        column = self._settings.id or "id"
        if column in row.columns:
            value = row.columns[column]
            if value is None or str(value) == "":
                raise DataError(f"column {column!r} is empty", where=row.where)
            return str(value)
        if self._settings.id is not None:
            raise DataError(f"there is no column {column!r}, which id names", where=row.where)
        return digest_json(row.columns)

    def _gold_index(self, row: Row, options: tuple[str, ...]) -> int:
        value = self._gold.evaluate(row.columns, row=row.where)
        if isinstance(value, bool):
            value = int(value)
        if not isinstance(value, int) and hasattr(value, "item"):
            value = value.item()
        index = _gold_from(value, options)
        if index is None:
            shown = ", ".join(f"{number}: {option!r}" for number, option in enumerate(options))
            raise DataError(
                f"gold answer {value!r} is neither an index nor an option",
                where=row.where,
                hint=f"options: {shown}",
            )
        if isinstance(value, str) and value in options and _is_index(value, options):
            if int(value) == index:
                return index
            raise DataError(
                f"gold answer {value!r} is an option's text and also another option's index",
                where=row.where,
                hint='for an index write gold = "{{ column | int }}"',
            )
        return index


def _gold_from(value: Any, options: tuple[str, ...]) -> int | None:
    if isinstance(value, int):
        return value if 0 <= value < len(options) else None
    if isinstance(value, str):
        if value in options:
            return options.index(value)
        if _is_index(value, options):
            return int(value)
    return None


def _is_index(value: str, options: tuple[str, ...]) -> bool:
    text = value.strip()
    return text.isascii() and text.isdigit() and len(text) < 6 and int(text) < len(options)


def _with_unique_ids(examples: Iterable[tuple[Example, str]]) -> Iterator[Example]:
    places: dict[str, str] = {}
    for example, where in examples:
        if example.id in places:
            raise DataError(
                f"id {example.id!r} stands already at {places[example.id]}",
                where=where,
                hint="ids name examples: give each its own, or remove the duplicate row",
            )
        places[example.id] = where
        yield example


def build_tasks(settings: Settings) -> Mapping[str, Task]:
    """Return the tasks of muscle.toml by name; their data is read on first use."""
    return {
        name: Task(
            name=name,
            settings=table,
            root=settings.root,
            file=settings.path.name,
            limit=settings.limit,
        )
        for name, table in settings.tasks.items()
    }
