"""How log-likelihoods of options become an answer: each metric is one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.references import find

ChoiceMetric = Callable[[Sequence[float], Sequence[str]], int]
"""(log-likelihood of each option in nats, the options' texts) -> index of the chosen option."""


def acc(loglikelihoods: Sequence[float], options: Sequence[str]) -> int:
    """Choose the option of the highest summed log-likelihood; the first of equals.

    Source: `acc` of lm-evaluation-harness.
    """
    return _argmax(loglikelihoods)


def acc_norm(loglikelihoods: Sequence[float], options: Sequence[str]) -> int:
    """Choose by log-likelihood divided by the option's length in characters.

    Source: `acc_norm` of lm-evaluation-harness, which counts characters of the option without
    the delimiter; for ASCII texts that is the length in bytes.
    """
    return _argmax(
        [value / max(len(text), 1) for value, text in zip(loglikelihoods, options, strict=True)]
    )


def acc_bytes(loglikelihoods: Sequence[float], options: Sequence[str]) -> int:
    """Choose by log-likelihood divided by the option's length in UTF-8 bytes.

    Source: `acc_bytes` of lm-evaluation-harness.
    """
    return _argmax(
        [
            value / max(len(text.encode()), 1)
            for value, text in zip(loglikelihoods, options, strict=True)
        ]
    )


def _argmax(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


CHOICE_METRICS: dict[str, ChoiceMetric] = {
    "acc": acc,
    "acc_norm": acc_norm,
    "acc_bytes": acc_bytes,
}


def find_choice_metric(name: str, *, where: str | None = None) -> ChoiceMetric:
    """Return a metric by its name in muscle.toml, or yours as `package.module:function`.

    Args:
        name: What the user wrote.
        where: File and key that named it, for errors.

    Raises:
        ConfigurationError: If there is no such metric.
    """
    return find(name, CHOICE_METRICS, what="metric", error=ConfigurationError, where=where)
