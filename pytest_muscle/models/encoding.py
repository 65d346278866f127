"""Prompt and option as tokens, the way lm-evaluation-harness makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_muscle.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A prompt and its continuation as one sequence.

    Attributes:
        tokens: Token ids of both.
        start: Position of the continuation's first token, at least 1.
    """

    tokens: tuple[int, ...]
    start: int


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]]
) -> list[EncodedPair]:
    """Encode (prompt, continuation) pairs.

    White space at the prompt's end moves to the continuation; both are encoded together and
    split at the length of the prompt's own encoding. An empty prompt is the model's prefix token.

    Raises:
        ModelError: If a continuation has no token of its own.

    Source: `TemplateLM._encode_pair` and `HFLM.tok_encode` of lm-evaluation-harness 0.4.13.
    """
    prompts = [prompt.rstrip() for prompt, _ in pairs]
    moved = [
        prompt[len(stripped) :] + continuation
        for stripped, (prompt, continuation) in zip(prompts, pairs, strict=True)
    ]
    unique = list(dict.fromkeys(prompt for prompt in prompts if prompt))
    lengths = {
        prompt: len(tokens)
        for prompt, tokens in zip(unique, _encode(tokenizer, unique), strict=True)
    }
    wholes = iter(
        _encode(
            tokenizer,
            [
                prompt + continuation
                for prompt, continuation in zip(prompts, moved, strict=True)
                if prompt
            ],
        )
    )
    encoded = []
    for prompt, continuation in zip(prompts, moved, strict=True):
        if prompt:
            pair = EncodedPair(tuple(next(wholes)), lengths[prompt])
        else:
            pair = _encode_alone(tokenizer, continuation)
        if not 0 < pair.start < len(pair.tokens):
            raise ModelError(
                f"option {continuation!r} has no token of its own after the prompt "
                f"ending in {prompt[-40:]!r}",
                hint="check the option's text and the task's delimiter",
            )
        encoded.append(pair)
    return encoded


def _encode_alone(tokenizer: PreTrainedTokenizerBase, text: str) -> EncodedPair:
    tokens = tokenizer.encode(text, add_special_tokens=False)
    prefix = _prefix_token(tokenizer)
    if prefix is None or (tokens and tokens[0] == prefix):
        return EncodedPair(tuple(tokens), 1)
    return EncodedPair((prefix, *tokens), 1)


def _prefix_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    begin: int | None = tokenizer.bos_token_id
    end: int | None = tokenizer.eos_token_id
    return begin if begin is not None else end


def _encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Encode texts; the tokenizer adds its special tokens unless the text brings them."""
    prefix = _prefix_token(tokenizer)
    marker = str(tokenizer.decode([prefix])) if prefix is not None else None
    plain = [text for text in texts if not (marker and text.startswith(marker))]
    marked = [text for text in texts if marker and text.startswith(marker)]
    tokens: dict[str, list[int]] = {}
    if plain:
        tokens.update(zip(plain, tokenizer(plain)["input_ids"], strict=True))
    if marked:
        encoded = tokenizer(marked, add_special_tokens=False)["input_ids"]
        tokens.update(zip(marked, encoded, strict=True))
    return [tokens[text] for text in texts]
