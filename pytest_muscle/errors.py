"""What can go wrong, one class per kind of mistake.

Every message says what is wrong, where (file:line, key or id), and what to do about it. Under
pytest a `MuscleError` never ends in a traceback: the plugin turns it into a usage error or a
failed fixture that shows the message alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_muscle.wording import SHOWN

LONGEST_PART = 1_000
"""Characters of a problem, place, hint or detail that are shown: data may be of any size."""


class MuscleError(Exception):
    """A mistake that a user can mend.

    Args:
        problem: What is wrong, as one sentence without a full stop at the end.
        where: The file, `file:line`, key or id that the problem is at.
        hint: What to do about it.
        details: What the problem is made of, a line each.
    """

    def __init__(
        self,
        problem: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        details: Sequence[str] = (),
    ) -> None:
        self.problem = problem
        self.where = where
        self.hint = hint
        self.details = tuple(details)
        super().__init__(problem)

    def __str__(self) -> str:
        problem = _shorten(self.problem)
        text = f"{_shorten(self.where)}: {problem}" if self.where else problem
        hint = [self.hint] if self.hint else []
        return "\n  ".join([text, *map(_shorten, [*self.details, *hint])])

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.problem, self.where, self.hint, self.details)


class ConfigurationError(MuscleError):
    """muscle.toml, `[tool.muscle]` or a `--muscle-*` flag is not usable."""


class DataError(MuscleError):
    """A data file, a row, a template or a gold answer is not usable."""


class ModelError(MuscleError):
    """A model, its tokenizer or its adapter cannot be loaded or run."""


class PredictionsError(MuscleError):
    """A table of predictions is not usable or cannot be read."""


class ComparisonError(MuscleError):
    """Two tables of predictions cannot be compared."""


class TrainingError(MuscleError):
    """An adapter cannot be trained, or training is not allowed and the adapter is missing."""


class BaselineWarning(UserWarning):
    """A baseline fits today's run only in part."""


class MuscleWarning(UserWarning):
    """Something may not work tomorrow, or never can; `--muscle-strict` refuses it."""


def _rebuild(
    kind: type[MuscleError],
    problem: str,
    where: str | None,
    hint: str | None,
    details: Sequence[str],
) -> MuscleError:
    return kind(problem, where=where, hint=hint, details=details)


def _shorten(text: str) -> str:
    """Return a text without its middle where it is very long, as one that UTF-8 can write."""
    if len(text) > LONGEST_PART:
        half = LONGEST_PART // 2
        text = f"{text[:half]} … {text[-half:]}"
    return text.encode(errors="backslashreplace").decode()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "did you mean …?" for the known name most like `name`, or the known names.

    Of many names, the first ten are listed.
    """
    import difflib

    names = sorted(map(str, known))
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return "none is known"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"known: {', '.join(names[:SHOWN])}{more}"
