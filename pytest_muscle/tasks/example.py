"""One question with its gold answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_muscle.digests import digest_json

NO_ANSWER = "(no answer found)"
"""What stands in reports for the answer of a text in which none was found."""

Message = tuple[str, str]
"""One message of a chat: (role, content)."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a task, as a model is asked it.

    Attributes:
        id: From the data, or the SHA-256 of the row's canonical JSON.
        prompt: The rendered prompt, without the option; of a chat, its messages as readable text.
        options: The rendered options, each as it is appended to the prompt, delimiter excluded;
            none where the answer is a text that the model writes.
        gold: Index of the right option; the right text, or the right ones, best first.
        fields: The data's columns.
        messages: What is said in a chat so far, for the tokenizer's chat template; none where the
            prompt is asked as it stands.
        shots: Characters of the prompt that few-shot examples take up; the question follows.
        target: What a model learns to write, if that is not the first right text.
        exact: Whether white space at the prompt's end is the model's to read; else it writes it.
        logged_as: Digest of question and gold answer that another tool's logs have, if it is known
            by that.
    """

    id: str
    prompt: str
    options: tuple[str, ...]
    gold: Any
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)
    messages: tuple[Message, ...] | None = None
    shots: int = 0
    target: str | None = None
    exact: bool = False
    logged_as: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of what the model is asked and of the gold answer."""
        if self.logged_as is not None:
            return self.logged_as
        asked = [self.prompt, self.options, self.gold]
        return digest_json(asked if self.messages is None else [*asked, self.messages])

    @property
    def question(self) -> str:
        """The prompt without its few-shot examples."""
        return self.prompt[self.shots :]

    @property
    def golds(self) -> tuple[str, ...]:
        """The right texts, best first, of an example whose answer is a text."""
        return self.gold if isinstance(self.gold, tuple) else (self.gold,)

    @property
    def solution(self) -> str:
        """What a model learns to write and a few-shot example shows, where answers are texts."""
        return self.golds[0] if self.target is None else self.target

    def answer_text(self, answer: Any) -> str:
        """Return an answer in words: the option's text for an option's index."""
        if answer is None:
            return NO_ANSWER
        if isinstance(answer, int) and 0 <= answer < len(self.options):
            return self.options[answer]
        if isinstance(answer, tuple | list):
            return " | ".join(map(str, answer))
        return str(answer)
