"""Real texts with summaries that every Python has: the docstrings of its standard library.

The first line of a docstring sums up the rest (PEP 257), so that rest and first line are an article
and its summary, written by people.
"""

from __future__ import annotations

import importlib
import inspect
import random
import sys
import warnings
from collections.abc import Iterator

SHORTEST, LONGEST = 80, 700
"""Characters of an article."""

SKIPPED = {"antigravity", "this", "idlelib", "turtledemo", "lib2to3", "test"}


def docstring_rows(seed: int = 0) -> list[dict[str, str]]:
    """Return all articles with their summaries, each once, in a seeded order."""
    rows: dict[str, dict[str, str]] = {}
    for name, text in sorted(_docstrings()):
        first, _, rest = inspect.cleandoc(text).partition("\n\n")
        summary, article = " ".join(first.split()), " ".join(rest.split())
        if 15 < len(summary) < 120 and SHORTEST < len(article) < LONGEST:
            rows.setdefault(article, {"id": name, "article": article, "summary": summary})
    ordered = list(rows.values())
    random.Random(seed).shuffle(ordered)
    return ordered


def _docstrings() -> Iterator[tuple[str, str]]:
    for module_name in sorted(sys.stdlib_module_names - SKIPPED):
        if module_name.startswith("_"):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = importlib.import_module(module_name)
        except Exception:  # what this machine has not, as tkinter
            continue
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) != module_name or name.startswith("_"):
                continue
            if isinstance(value, type):
                for method, function in vars(value).items():
                    if inspect.isroutine(function) and isinstance(function.__doc__, str):
                        yield f"{module_name}.{name}.{method}", function.__doc__
            elif inspect.isroutine(value) and isinstance(value.__doc__, str):
                yield f"{module_name}.{name}", value.__doc__
