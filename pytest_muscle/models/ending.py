"""Where a text ends: at a token that says so, at a stop string, or when it is long enough."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SLACK = 8
"""Tokens more than a stop string has bytes; special tokens among them give no text."""


class Ending:
    """Knows when a text is over, and what of it counts.

    Args:
        tokenizer: The model's tokenizer.
        ends: Tokens that end a text; they are no part of it.
        stop: Strings that end a text; it is cut off at the first of them.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, ends: Iterable[int], stop: Sequence[str]
    ) -> None:
        special = {
            str(token): number
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.special
        }
        # Special tokens are not in the text, but may well be given as stop strings.
        self._ends = {*ends, *(special[text] for text in stop if text in special)}
        self._stop = [text for text in stop if text and text not in special]
        self._tail = SLACK + max((len(text.encode()) for text in self._stop), default=0)
        self._tokenizer = tokenizer

    def is_reached(self, tokens: Sequence[int]) -> bool:
        """Return whether a text of some tokens is over with the last of them."""
        if tokens[-1] in self._ends:
            return True
        if not self._stop:
            return False
        # Most texts have no stop string in their last tokens; then the rest need not be decoded.
        return self._stops(tokens[-self._tail :]) and self._stops(tokens)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of some tokens as far as it counts, special tokens left out."""
        if tokens and tokens[-1] in self._ends:
            tokens = tokens[:-1]
        text = self._decode(tokens)
        places = [text.find(stop) for stop in self._stop]
        return text[: min((place for place in places if place >= 0), default=len(text))]

    def _stops(self, tokens: Sequence[int]) -> bool:
        text = self._decode(tokens)
        return any(stop in text for stop in self._stop)

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))


def end_tokens(network: Any, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Return the tokens with which a model ends a text: its own and its tokenizer's."""
    ends: set[int] = set()
    settings = getattr(network, "generation_config", None) or network.config.get_text_config()
    for owner in (settings, tokenizer):
        found = getattr(owner, "eos_token_id", None)
        ends.update([found] if isinstance(found, int) else found or [])
    return ends
