"""A task's first prompt as the model sees it, drawn so that nothing in it is out of sight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

from pytest_muscle.models.encoding import chat_text, encode_pairs, encode_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from pytest_muscle.tasks import Example, Task

SCANNED = 10_000
"""Examples whose gold answers and options are counted."""


@dataclass(frozen=True)
class Asked:
    """What a model is given of one example.

    Attributes:
        text: The prompt; of a chat, what the chat template makes of it.
        answers: What is appended to it and scored, or the right texts.
        gold: Which of the answers are right.
        tokens: Number of the prompt's tokens; none where no tokenizer is at hand.
        first: The first token, in words, where it is not of the text.
    """

    text: str
    answers: tuple[str, ...]
    gold: tuple[bool, ...]
    tokens: int | None = None
    first: str | None = None


def first_prompt(task: Task, example: Example, tokenizer: PreTrainedTokenizerBase | None) -> Asked:
    """Return what a model is given of an example.

    Args:
        task: The task.
        example: One of its examples.
        tokenizer: The model's; without it, a chat is shown as its messages.

    Raises:
        ModelError: If there is no usable chat template for a chat.
    """
    if task.generates:
        golds = example.golds
        answers, gold = tuple(map(str, golds)), (True,) * len(golds)
        text = example.prompt.rstrip(" ")
        if example.messages is not None and tokenizer is not None:
            text = chat_text(tokenizer, example)
        ids = None if tokenizer is None else encode_prompt(tokenizer, example)
    else:
        pairs = task.pairs(example)
        # An option may stand in its prompt; characters are meant, not parts of a path.
        prompt = commonprefix([before for before, _ in pairs])  # noqa: RUF071
        text = prompt.rstrip()
        answers = tuple((before + after)[len(text) :] for before, after in pairs)
        gold = tuple(number == example.gold for number in range(len(answers)))
        ids = None
        if tokenizer is not None:
            (pair,) = encode_pairs(tokenizer, pairs[:1])
            ids = pair.tokens[: pair.start]
    if ids is None or tokenizer is None:
        return Asked(text, answers, gold)
    first = str(tokenizer.decode([ids[0]]))
    own = not text.startswith(first) and ids[0] in tokenizer.all_special_ids
    return Asked(text, answers, gold, len(ids), first if own else None)


def describe_answers(task: Task) -> list[str]:
    """Return how many options examples have, and how often which gold answer is right."""
    examples = list(islice(task.eval, SCANNED))
    if task.generates:
        golds = Counter(len(example.golds) for example in examples)
        several = sum(count for number, count in golds.items() if number > 1)
        distinct = len({example.golds for example in examples})
        said = f"{distinct:,} different"
        return [said + (f", {several:,} examples with several right ones" if several else "")]
    counts = Counter(len(example.options) for example in examples)
    options = _range(sorted(counts))
    if task.kind == "classification":
        labels = examples[0].options if examples else ()
        right: Counter[Any] = Counter(labels[example.gold] for example in examples)
    else:
        right = Counter(f"option {example.gold + 1}" for example in examples)
    total = max(len(examples), 1)
    shares = [f"{name} {100 * count / total:.0f} %" for name, count in right.most_common(6)]
    more = f", {len(right) - 6} more" if len(right) > 6 else ""
    return [f"{options} options", f"{', '.join(shares)}{more}"]


def draw(text: str, width: int, most_lines: int | None) -> list[str]:
    """Return a text line by line within a margin, white space at ends of lines visible.

    Spaces at the end of a line are dots, tabs arrows, control characters escaped. A long line goes
    on behind another margin. Of too many lines the middle is left out, and it is said how much.

    Args:
        text: Any text.
        width: Columns.
        most_lines: Most lines, or all.
    """
    drawn: list[str] = []
    for line in text.split("\n"):
        shown = _visible(line)
        room = max(10, width - 2)
        pieces = [shown[start : start + room] for start in range(0, len(shown), room)] or [""]
        drawn += [f"{'│' if not number else '┊'} {piece}" for number, piece in enumerate(pieces)]
    if most_lines is None or len(drawn) <= most_lines:
        return drawn
    head = most_lines // 2
    tail = most_lines - head
    left = len(drawn) - head - tail
    return [*drawn[:head], f"⋮ {left:,} lines left out; -v shows them", *drawn[-tail:]]


def _visible(line: str) -> str:
    kept = line.rstrip(" ")
    return "".join(map(_character, kept)) + "·" * (len(line) - len(kept))


def _character(character: str) -> str:
    if character == "\t":
        return "→"
    if character.isprintable() or character in "\u200c\u200d":
        return character
    return character.encode("unicode_escape").decode("ascii")


def _range(numbers: Sequence[int]) -> str:
    if not numbers:
        return "no"
    first, last = numbers[0], numbers[-1]
    return f"{first}" if first == last else f"{first} to {last}"
