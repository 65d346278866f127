"""How good a written answer is: each metric is one function of an answer and one gold answer."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

from pytest_muscle import extensions
from pytest_muscle.errors import ConfigurationError
from pytest_muscle.references import find
from pytest_muscle.tasks.metrics import CHOICE_METRICS
from pytest_muscle.tasks.normalising import squad_tokens

TextMetric = Callable[[str, str], bool | float]
"""(answer, gold) -> right or wrong, or a score of 0-1."""

INSTALL = "pip install 'pytest-muscle[text]'"


def exact_match(answer: str, gold: str) -> bool:
    """Return whether the texts are the same; both are normalised (`normalising.normalise`)."""
    return answer == gold


def contains(answer: str, gold: str) -> bool:
    """Return whether the answer contains the gold answer as whole words; both are normalised.

    Where a script writes no spaces between words, any place will do.
    """
    start = answer.find(gold)
    while start >= 0:
        end = start + len(gold)
        before, after = answer[max(start - 2, 0) : start][::-1], answer[end : end + 2]
        if _ends(before, gold[:1]) and _ends(after, gold[-1:]):
            return True
        start = answer.find(gold, start + 1)
    return False


def _ends(beyond: str, edge: str) -> bool:
    """Return whether a word or number ends with `edge`; two signs follow, going away from it."""
    if not beyond or not edge:
        return True
    if edge.isdigit() and beyond[0] in ".,:/-":  # of 1.5, 12:30; the sign of -5
        return not (beyond[1:2].isdigit() or (beyond[0] == "-" and not beyond[1:2].isalnum()))
    return not (_is_spaced(beyond[0]) and _is_spaced(edge))


def _is_spaced(sign: str) -> bool:
    """Return whether a sign belongs to a word of a script that has spaces between words."""
    unspaced = "\u0e00" <= sign <= "\u0eff" or "\u1000" <= sign <= "\u109f" or sign >= "\u2e80"
    return sign.isalnum() and not unspaced


def f1(answer: str, gold: str) -> float:
    """Return the harmonic mean of precision and recall of the words, 0-1.

    Source: `compute_f1` of SQuAD's evaluation script (v2.0).
    """
    found, wanted = squad_tokens(answer), squad_tokens(gold)
    if not found or not wanted:
        return float(found == wanted)
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted))


def rouge1(answer: str, gold: str) -> float:
    """Return ROUGE-1's F-measure, 0-1: words in common.

    Words are stemmed (Porter), as summaries are usually judged.

    Raises:
        ValueError: If the gold answer has no word that ROUGE sees.

    Source: rouge-score with `use_stemmer=True`, as `cnn_dailymail` of lm-evaluation-harness.
    """
    return _rouge("rouge1", answer, gold)


def rouge_l(answer: str, gold: str) -> float:
    """Return ROUGE-L's F-measure, 0-1: the longest common subsequence of words.

    Raises:
        ValueError: If the gold answer has no word that ROUGE sees.

    Source: as `rouge1`.
    """
    return _rouge("rougeL", answer, gold)


def _rouge(kind: str, answer: str, gold: str) -> float:
    if not any(sign.isascii() and sign.isalnum() for sign in gold.lower()):
        raise ValueError(
            "ROUGE counts words of Latin letters and digits alone, and the gold answer has none; "
            "chrf reads every script"
        )
    return float(_rouge_scorer(kind).score(gold, answer)[kind].fmeasure)


@cache
def _rouge_scorer(kind: str) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], use_stemmer=True)


def bleu(answer: str, gold: str) -> float:
    """Return the sentence's BLEU, 0-1.

    Source: `sentence_bleu` of sacrebleu (effective order, exponential smoothing), over 100.
    """
    import sacrebleu

    return _share(sacrebleu.sentence_bleu(answer, [gold]).score)


def chrf(answer: str, gold: str) -> float:
    """Return the sentence's chrF2, 0-1: n-grams of characters in common.

    Source: `sentence_chrf` of sacrebleu, over 100.
    """
    import sacrebleu

    return _share(sacrebleu.sentence_chrf(answer, [gold]).score)


def _share(percent: float) -> float:
    return min(round(percent / 100, 12), 1.0)  # 100.00000000000004 for equal texts


TEXT_METRICS: dict[str, TextMetric] = {
    "exact_match": exact_match,
    "contains": contains,
    "f1": f1,
    "rouge1": rouge1,
    "rougeL": rouge_l,
    "bleu": bleu,
    "chrf": chrf,
}
NORMALISED = frozenset({"exact_match", "contains"})
"""Metrics of normalised texts; the others have their own way of reading."""
_LIBRARIES = {
    "rouge1": "rouge_score",
    "rougeL": "rouge_score",
    "bleu": "sacrebleu",
    "chrf": "sacrebleu",
}


def find_text_metric(name: str, *, where: str | None = None) -> Callable[..., Any]:
    """Return a metric by its name, ours or a plugin's, or yours as `package.module:function`.

    Yours and a plugin's take (answer, gold, fields).

    Args:
        name: What the user wrote.
        where: File and key that named it, for errors.

    Raises:
        ConfigurationError: If there is no such metric, or the library that it needs is missing.
    """
    added = extensions.current().metrics
    if name in CHOICE_METRICS:
        raise ConfigurationError(
            f"{name!r} chooses an option, and a generation task has none",
            where=where,
            hint=f"choose of {', '.join([*TEXT_METRICS, *added])}",
        )
    library = _LIBRARIES.get(name)
    if library is not None and importlib.util.find_spec(library) is None:
        raise ConfigurationError(f"{name} needs {library}", where=where, hint=INSTALL)
    return find(
        name, TEXT_METRICS, what="metric", error=ConfigurationError, where=where, added=added
    )
