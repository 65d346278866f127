"""Texts to train on, with lengths like those of the sets that they stand for."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.facts import City, cities
from tests.benchmarks.questions import SEED, made_questions

INSTRUCTION = (
    "You are given a question about the geography of the world, and answer it for a reader who "
    "knows the continents but not every country. Use the common English name of a country, a "
    "city or a currency. Answer with the name or the sentence asked for and with nothing else.\n\n"
)


@dataclass(frozen=True)
class Text:
    """A training example: what is asked, the right answer, and one wrong answer."""

    prompt: str
    answer: str
    wrong: str

    @property
    def whole(self) -> str:
        """What a model is trained on."""
        return f"{self.prompt} {self.answer}"


def choice_texts(count: int) -> list[Text]:
    """Return short choice questions behind an instruction that all share."""
    return [
        Text(
            INSTRUCTION + question.prompt,
            question.options[question.gold],
            question.options[question.gold - 1],
        )
        for question in made_questions(count, seed=SEED + 1)
    ]


def story_texts(count: int, facts: int | None = None) -> list[Text]:
    """Return sums over cities with their solution, step by step, as long as GSM8K's.

    Of SmolLM2's tokens, GSM8K's questions with their answers have 189 on average with a standard
    deviation of 69.

    Args:
        count: How many.
        facts: Cities in each; left out: two to nine, few more often.
    """
    rng = random.Random(SEED + 2)
    sizes = range(2, 10)
    weights = [5, 9, 9, 7, 4, 3, 2, 1]
    made = []
    for _ in range(count):
        size = facts or rng.choices(sizes, weights)[0]
        made.append(_sum(rng.sample(cities(), size)))
    return made


def _sum(chosen: Sequence[City]) -> Text:
    told = [
        f"{city.name} in {city.country.name} has {city.thousands} thousand inhabitants."
        for city in chosen
    ]
    total = chosen[0].thousands
    steps = [f"{chosen[0].name} has {total} thousand."]
    for city in chosen[1:]:
        steps.append(
            f"With {city.name} it is {total} + {city.thousands} = {total + city.thousands}."
        )
        total += city.thousands
    question = f"How many thousand people live in these {len(chosen)} cities together?"
    return Text(
        f"Question: {' '.join(told)} {question}\nAnswer:",
        f"{' '.join(steps)}\n#### {total}",
        f"#### {total + 1}",
    )


CASES: dict[str, Callable[[int], list[Text]]] = {
    "choice questions with an instruction": choice_texts,
    "GSM8K-like texts": story_texts,
}
"""The cases of training by name."""


def write_texts(path: Path, texts: Sequence[Text]) -> None:
    """Write texts as JSON Lines."""
    path.write_text("".join(json.dumps(asdict(text)) + "\n" for text in texts), encoding="utf-8")


def read_texts(path: Path) -> list[Text]:
    """Read what `write_texts` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Text(**json.loads(line)) for line in lines]
