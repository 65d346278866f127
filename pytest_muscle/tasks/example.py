"""One question with its gold answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_muscle.digests import digest_json


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a task, as a model is asked it.

    Attributes:
        id: From the data, or the SHA-256 of the row's canonical JSON.
        prompt: The rendered prompt, without the option.
        options: The rendered options, each as it is appended to the prompt, delimiter excluded.
        gold: Index of the right option.
        fields: The data's columns.
    """

    id: str
    prompt: str
    options: tuple[str, ...]
    gold: int
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def digest(self) -> str:
        """SHA-256 of what the model is asked and of the gold answer."""
        return digest_json([self.prompt, self.options, self.gold])

    def answer_text(self, answer: Any) -> str:
        """Return an answer in words: the option's text for an option's index."""
        if isinstance(answer, int) and 0 <= answer < len(self.options):
            return self.options[answer]
        return str(answer)
