"""Prompt and option as tokens, the way lm-evaluation-harness makes them; prompts to go on from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import ModelError
from pytest_muscle.tasks import Example

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


def encode_prompt(tokenizer: PreTrainedTokenizerBase, example: Example) -> tuple[int, ...]:
    """Encode what a model is given to write the answer to an example.

    A text is encoded with the special tokens that the tokenizer puts before texts, none after it.
    Spaces at its end are left out, unless the example is exact: the model writes them, for most
    tokenizers take them as the beginning of the next word. Line breaks at its end stay. An empty
    text is the model's prefix token. A chat is what the tokenizer's chat template makes of it, up
    to where the answer begins.

    Returns:
        Token ids, at least one.

    Raises:
        ModelError: If there is no prefix token for an empty text, or no usable chat template for
            a chat.
    """
    if example.messages is not None:
        return _encode_chat_text(tokenizer, chat_text(tokenizer, example))
    return _encode_start(tokenizer, _start(example))


def encode_answered(tokenizer: PreTrainedTokenizerBase, example: Example) -> EncodedPair:
    """Encode an example with its solution, as a model learns it.

    The tokens before `start` are those of `encode_prompt`. Prompt and answer are encoded together
    where the prompt's tokens stay the same; else the answer's are its own, for that is what the
    model can write after this prompt. The sequence has an end-of-text token after the answer, or
    in a chat what the template puts there, so that the model learns to stop.

    Raises:
        ModelError: As `encode_prompt`, or if the answer has no token.
    """
    end = tokenizer.eos_token_id
    prompt = encode_prompt(tokenizer, example)
    if example.messages is not None:
        text = chat_text(tokenizer, example)
        whole = chat_text(tokenizer, example, answered=True)
        rest = whole[len(text) :] if whole.startswith(text) else example.solution
        together = _encode_chat_text(tokenizer, text + rest)
    else:
        text = _start(example)
        rest = example.prompt[len(text) :] + example.solution
        together = _encode_start(tokenizer, text + rest)
    if together[: len(prompt)] == prompt:
        answer = together[len(prompt) :]
    else:
        answer = tuple(tokenizer.encode(rest, add_special_tokens=False))
    if not answer:
        raise ModelError(
            f"the gold answer {rest!r} of example {example.id!r} has no token",
            hint="check the task's gold",
        )
    if end is not None and end not in answer:
        answer = (*answer, end)
    return EncodedPair((*prompt, *answer), len(prompt))


def _start(example: Example) -> str:
    return example.prompt if example.exact else example.prompt.rstrip(" ")


def _encode_start(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Encode a text that goes on: with what the tokenizer puts before it, nothing after it."""
    tokens = _encode(tokenizer, [text])[0] if text else []
    end = tokenizer.eos_token_id
    if tokens and tokens[-1] == end:
        own = tokenizer.encode(text, add_special_tokens=False)
        tokens = tokens[: len(tokens) - (own[-1:] != [end])]
    if tokens:
        return tuple(tokens)
    prefix = _prefix_token(tokenizer)
    if prefix is None:
        raise ModelError(
            "an empty prompt needs a token to begin with, and the tokenizer has none",
            hint="let the prompt have a text",
        )
    return (prefix,)


def chat_text(
    tokenizer: PreTrainedTokenizerBase, example: Example, *, answered: bool = False
) -> str:
    """Return a chat as the tokenizer's template writes it, to be answered or with the answer.

    Raises:
        ModelError: If there is no usable chat template.
    """
    if not tokenizer.chat_template:
        raise ModelError(
            "the tokenizer has no chat template, and the task asks in chats",
            where=str(tokenizer.name_or_path) or None,
            hint="leave out chat and write the prompt as the model knows it, or take a model (or "
            "[old] and [new] tokenizer) that has one",
        )
    messages: list[dict[str, Any]] = [
        {"role": role, "content": content} for role, content in example.messages or ()
    ]
    if answered:
        messages.append({"role": "assistant", "content": example.solution})
    try:
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=not answered
        )
    except Exception as error:  # whatever a template refuses: a system's message, two in a row
        raise ModelError(
            f"the chat template fails on example {example.id!r}: {type(error).__name__}: {error}",
            where=str(tokenizer.name_or_path) or None,
            hint="does it know these roles in this order? the model's page says",
        ) from error
    return str(text)


def _encode_chat_text(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Encode what a chat template wrote, which has all special tokens in it."""
    return tuple(tokenizer.encode(text, add_special_tokens=False))
