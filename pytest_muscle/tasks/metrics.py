"""How log-likelihoods of options become an answer: each metric is one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_muscle import extensions
from pytest_muscle.errors import ConfigurationError
from pytest_muscle.references import find

ChoiceMetric = Callable[[Sequence[float], Sequence[str]], int]
"""(log-likelihood of each option in nats, the options' texts) -> index of the chosen option."""


def acc(loglikelihoods: Sequence[float], options: Sequence[str]) -> int:
    """Choose the option of the highest summed log-likelihood; the first of equals.

    Source: `acc` of lm-evaluation-harness.
    """
    return _argmax(option_values("acc", loglikelihoods, options))


def acc_norm(loglikelihoods: Sequence[float], options: Sequence[str]) -> int:
    """Choose by log-likelihood divided by the option's length in characters.

    Source: `acc_norm` of lm-evaluation-harness, which counts characters of the option without
    the delimiter; for ASCII texts that is the length in bytes.
    """
    return _argmax(option_values("acc_norm", loglikelihoods, options))


def acc_bytes(loglikelihoods: Sequence[float], options: Sequence[str]) -> int:
    """Choose by log-likelihood divided by the option's length in UTF-8 bytes.

    Source: `acc_bytes` of lm-evaluation-harness.
    """
    return _argmax(option_values("acc_bytes", loglikelihoods, options))


def option_values(
    metric: str, loglikelihoods: Sequence[float], options: Sequence[str]
) -> list[float]:
    """Return what a metric compares of each option, in the unit that `UNITS` names.

    Args:
        metric: Its name; of one that is not ours it is the summed log-likelihoods.
        loglikelihoods: Summed log-likelihood of each option, in nats.
        options: The options' texts.
    """
    length = _LENGTHS.get(metric)
    if length is None:
        return list(loglikelihoods)
    pairs = zip(loglikelihoods, options, strict=True)
    return [value / max(length(text), 1) for value, text in pairs]


def _argmax(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


_LENGTHS: dict[str, Callable[[str], int]] = {
    "acc_norm": len,
    "acc_bytes": lambda text: len(text.encode()),
}

UNITS: dict[str, str] = {
    "acc": "nats",
    "acc_norm": "nats per character",
    "acc_bytes": "nats per byte",
}
"""The units of what our metrics compare."""

CHOICE_METRICS: dict[str, ChoiceMetric] = {
    "acc": acc,
    "acc_norm": acc_norm,
    "acc_bytes": acc_bytes,
}


def find_choice_metric(name: str, *, where: str | None = None) -> ChoiceMetric:
    """Return a metric by its name, ours or a plugin's, or yours as `package.module:function`.

    Args:
        name: What the user wrote.
        where: File and key that named it, for errors.

    Raises:
        ConfigurationError: If there is no such metric.
    """
    added = extensions.current().metrics
    return find(
        name, CHOICE_METRICS, what="metric", error=ConfigurationError, where=where, added=added
    )


def resolve_metric(name: str) -> str:
    """Return a metric that a plugin named as `package.module:function`; any other as it is."""
    return extensions.resolve(name, extensions.current().metrics)
