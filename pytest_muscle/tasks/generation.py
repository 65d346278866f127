"""Generation: prompts or chats, and the texts that are right answers, rendered from a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from pytest_muscle.errors import DataError
from pytest_muscle.settings import TaskSettings
from pytest_muscle.settings.keys import MessageSettings
from pytest_muscle.settings.kinds import message_roles
from pytest_muscle.settings.table import show
from pytest_muscle.tasks.example import Example, Message
from pytest_muscle.tasks.renderer import Renderer, append, plain_text
from pytest_muscle.tasks.rows import Row
from pytest_muscle.tasks.templates import Expression, Template


class GenerationRenderer(Renderer):
    """The templates of a generation task.

    The delimiter is the end of the prompt, so that the model is given all that stands before the
    answer and the gold answer follows the prompt without anything between.

    Args:
        settings: The task's table in muscle.toml.
        where: File and key of that table, for errors.

    Raises:
        ConfigurationError: If a template is not valid.
    """

    def __init__(self, settings: TaskSettings, *, where: str) -> None:
        super().__init__(settings, where=where)
        self._gold = Expression(settings.gold, where=f"{where}.gold")
        self._target = (
            None if settings.target is None else Template(settings.target, where=f"{where}.target")
        )
        if isinstance(settings.chat, tuple):
            self._roles = message_roles(settings.chat)
            sources = [
                message.content if isinstance(message, MessageSettings) else message
                for message in settings.chat
            ]
            places = [f"{where}.chat[{number}]" for number in range(len(sources))]
        else:
            self._roles = ["user"]
            sources, places = [settings.prompt or ""], [f"{where}.prompt"]
        self._templates = [
            Template(source, where=place) for source, place in zip(sources, places, strict=True)
        ]

    def question(self, row: Row) -> Example:
        """Return a row's example without few-shot examples.

        Raises:
            DataError: If the row is not usable; it names file and line.
        """
        texts = [template.render(row.columns, row=row.where) for template in self._templates]
        if self._settings.chat:
            messages = tuple(zip(self._roles, texts, strict=True))
            prompt = transcript(messages)
        else:
            messages = None
            prompt = texts[0] + append(texts[0], self._settings.delimiter, "")
        return Example(
            id=self.id(row),
            prompt=prompt,
            options=(),
            gold=self._gold_texts(row),
            fields=row.columns,
            messages=messages,
            target=self._target_text(row),
        )

    def answered(self, example: Example) -> str:
        """Return a prompt with its solution, as a few-shot example has it."""
        return example.prompt + example.solution

    def with_shots(self, example: Example, shots: Iterable[Example]) -> Example:
        """Return an example with few-shot examples before its question.

        In a chat they are earlier messages, after the system's.
        """
        if example.messages is None:
            return super().with_shots(example, shots)
        before = [
            message
            for shot in shots
            for message in (*_without_system(shot.messages or ()), ("assistant", shot.solution))
        ]
        own = _without_system(example.messages)
        system = example.messages[: len(example.messages) - len(own)]
        messages = (*system, *before, *own)
        prompt = transcript(messages)
        return replace(
            example, messages=messages, prompt=prompt, shots=len(prompt) - len(transcript(own))
        )

    def _gold_texts(self, row: Row) -> str | tuple[str, ...]:
        value = self._gold.evaluate(row.columns, row=row.where)
        if not isinstance(value, list | tuple):
            return self._gold_text(value, row)
        texts = tuple(dict.fromkeys(self._gold_text(item, row) for item in value))
        if not texts:
            raise self._no_gold(value, row)
        return texts if len(texts) > 1 else texts[0]

    def _target_text(self, row: Row) -> str | None:
        if self._target is None:
            return None
        text = self._target.render(row.columns, row=row.where)
        if not text.strip():
            raise DataError(
                f"{self._table}.target is empty",
                where=row.where,
                hint="target is a text that ends in the right answer",
            )
        return text

    def _gold_text(self, value: Any, row: Row) -> str:
        text = plain_text(value)
        if text is None or not text.strip():
            raise self._no_gold(value, row)
        return text

    def _no_gold(self, value: Any, row: Row) -> DataError:
        return DataError(
            f"{self._table}.gold is {show(value)}, and no text is the right answer",
            where=row.where,
            hint="gold is a text or a number, or a list of those that are right",
        )


def transcript(messages: Iterable[Message]) -> str:
    """Return a chat as text that a person can read; models are given its messages."""
    return "\n\n".join(f"{role}: {content}" for role, content in messages)


def _without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(message for message in messages if message[0] != "system")
