"""Multiple-choice questions to score, with lengths like those of the sets that they stand for."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pytest_muscle.models import LoglikelihoodRequest
from tests.benchmarks.facts import City, Country, cities, countries
from tests.benchmarks.options import BenchmarkError

SEED = 20261124
SHOTS = 5
OPTIONS = 4


@dataclass(frozen=True)
class Question:
    """A question, its options, and which one is right."""

    text: str
    options: tuple[str, ...]
    gold: int

    @property
    def prompt(self) -> str:
        """The question as it is put to a model."""
        return f"Question: {self.text}\nAnswer:"

    @property
    def solved(self) -> str:
        """The question with its answer, as an example for others."""
        return f"{self.prompt} {self.options[self.gold]}\n\n"

    def request(self, before: str = "") -> LoglikelihoodRequest:
        """Return what is scored; `before` stands in front of the prompt."""
        continuations = tuple(f" {option}" for option in self.options)
        return LoglikelihoodRequest(before + self.prompt, continuations)


def zero_shot(questions: Sequence[Question]) -> list[LoglikelihoodRequest]:
    """Return one request per question but the first `SHOTS`."""
    return [question.request() for question in questions[SHOTS:]]


def few_shot(questions: Sequence[Question]) -> list[LoglikelihoodRequest]:
    """Return the same requests with the first `SHOTS` questions, solved, before each.

    Source: the `first_n` sampler of lm-evaluation-harness.
    """
    before = "".join(question.solved for question in questions[:SHOTS])
    return [question.request(before) for question in questions[SHOTS:]]


def made_questions(
    count: int, *, options: int = OPTIONS, background: int = 0, seed: int = SEED
) -> list[Question]:
    """Return questions about countries and cities, as long as ARC-Easy's.

    Of SmolLM2's tokens, ARC-Easy's questions have 27 on average (a tenth fewer than 15, a tenth
    more than 46) and its options 4.4 (half of them 3 or fewer, a tenth 9 or more). What is asked
    about comes early, so that questions begin no more alike than there.

    Args:
        count: How many.
        options: Options of each.
        background: Sentences of other facts before each question, different ones each time.
        seed: Of the choice of facts.
    """
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        text, right, wrong = rng.choice(_TEMPLATES)(rng)
        chosen = [right, *rng.sample(sorted(set(wrong) - {right}), options - 1)]
        rng.shuffle(chosen)
        sentences = [_population(city) for city in rng.sample(cities(), background)]
        text = " ".join([*sentences, text])
        made.append(Question(text, tuple(chosen), chosen.index(right)))
    return made


def piqa_like(count: int, seed: int = SEED) -> list[Question]:
    """Return questions with two long options, as long as PIQA's.

    In half of them the options begin alike, as PIQA's often do.
    """
    rng = random.Random(seed)
    made = []
    for number in range(count):
        city = rng.choice(cities())
        other = rng.choice([home for home in countries() if home is not city.country])
        describe = _city_first if number % 2 else _country_first
        chosen = [describe(city, city.country), describe(city, other)]
        right = chosen[0]
        rng.shuffle(chosen)
        text = f"{city.name} is a city. Which description of it is right?"
        made.append(Question(text, tuple(chosen), chosen.index(right)))
    return made


def arc_easy(path: Path, count: int) -> list[Question]:
    """Return the first ARC-Easy questions of a JSONL file.

    Raises:
        BenchmarkError: If a line has not the columns question, choices and answer.
    """
    questions = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(islice(lines, count), start=1):
            try:
                row = json.loads(line)
                choices = tuple(row["choices"])
                questions.append(Question(row["question"], choices, int(row["answer"])))
            except (ValueError, KeyError, TypeError) as error:
                raise BenchmarkError(
                    f"{path.name}:{number} is no ARC-Easy row ({error!r}): each line is a JSON "
                    "object with id, question, choices (a list) and answer (an index)"
                ) from error
    if len(questions) <= SHOTS:
        raise BenchmarkError(f"{path.name} has {len(questions)} rows, and more than {SHOTS} needed")
    return questions


Draft = tuple[str, str, list[str]]
"""A question's text, its right answer, and answers to others, of which wrong ones are taken."""


def _capital(rng: random.Random) -> Draft:
    country = rng.choice(countries())
    text = f"{country.name} lies in {country.continent}. Which city is its capital?"
    return text, country.capital, [other.capital for other in countries()]


def _home(rng: random.Random) -> Draft:
    city = rng.choice(cities())
    text = (
        f"{city.name} has {city.thousands} thousand inhabitants. In which country "
        f"of {city.country.continent} does it lie?"
    )
    return text, city.country.name, [country.name for country in countries()]


def _traveller(rng: random.Random) -> Draft:
    country = rng.choice(countries())
    text = (
        f"{country.capital} is the capital of a country in {country.continent} with "
        f"{country.thousands} thousand inhabitants. Which country is it, and what is the currency "
        "called in which a traveller pays there?"
    )
    return text, _with_currency(country), [_with_currency(other) for other in countries()]


def _sentence(rng: random.Random) -> Draft:
    country = rng.choice(countries())
    text = (
        f"{country.name} has {country.thousands} thousand inhabitants. Which of these sentences "
        "about it is true?"
    )
    return text, _of_continent(country), [_of_continent(other) for other in countries()]


def _currency(rng: random.Random) -> Draft:
    city = rng.choice(cities())
    text = f"People in {city.name} usually pay with which currency?"
    return text, f"the {city.country.currency}", [f"the {home.currency}" for home in countries()]


_TEMPLATES: tuple[Callable[[random.Random], Draft], ...] = (
    _capital,
    _home,
    _traveller,
    _sentence,
    _currency,
)


def _with_currency(country: Country) -> str:
    return f"{country.name}, the {country.currency}"


def _of_continent(country: Country) -> str:
    return f"Its capital is {country.capital} in {country.continent}."


def _population(city: City) -> str:
    return f"{city.name} in {city.country.name} has {city.thousands} thousand inhabitants."


def _city_first(city: City, country: Country) -> str:
    return (
        f"The city of {city.name} lies in {country.name}, a country of {country.continent} "
        f"whose capital is {country.capital}."
    )


def _country_first(city: City, country: Country) -> str:
    return (
        f"{country.name}, whose capital is {country.capital} and whose currency is the "
        f"{country.currency}, is where {city.name} lies."
    )
