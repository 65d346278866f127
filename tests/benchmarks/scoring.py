"""Scoring against lm-evaluation-harness: the same strings, the same network, in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytest_muscle.models import LoglikelihoodRequest
from pytest_muscle.models.scoring import score_loglikelihoods
from tests.benchmarks import questions
from tests.benchmarks.harness import BATCH_SIZES, fastest_batch_size, harness_scorer
from tests.benchmarks.machine import describe_machine, describe_model
from tests.benchmarks.measuring import interleave, say
from tests.benchmarks.models import load_model
from tests.benchmarks.options import Options

TARGETS = {"zero-shot": 2.5, "five-shot": 8.0, "PIQA-like": 1.4}
"""How many times faster than lm-evaluation-harness it should be, by case."""

WARM_UP = 8
"""Questions that each engine answers before it is measured."""


def measure_scoring(options: Options) -> dict[str, Any]:
    """Return time and agreement of both engines on each case."""
    network, tokenizer = load_model(options.model, device=options.device, dtype=options.dtype)
    return {
        "part": "scoring",
        "data": "arc-easy" if options.arc_easy else None,
        "machine": describe_machine(options.device, options.dtype),
        "model": describe_model(network),
        "cases": [
            _measure_case(options, name, requests, network, tokenizer)
            for name, requests in _cases(options).items()
        ],
    }


def _cases(options: Options) -> dict[str, list[LoglikelihoodRequest]]:
    count = options.examples + questions.SHOTS
    if options.arc_easy is not None:
        asked, kind = questions.arc_easy(options.arc_easy, count), "ARC-Easy"
    else:
        asked, kind = questions.made_questions(count), "ARC-Easy-like"
    return {
        f"{kind}, zero-shot": questions.zero_shot(asked),
        f"{kind}, five-shot": questions.few_shot(asked),
        "PIQA-like": questions.zero_shot(questions.piqa_like(count)),
    }


def _measure_case(
    options: Options,
    name: str,
    requests: Sequence[LoglikelihoodRequest],
    network: Any,
    tokenizer: Any,
) -> dict[str, Any]:
    say(f"  {name}: {len(requests)} questions")
    sizes = BATCH_SIZES[options.device][: 2 if options.quick else None]
    batch_size, tried = fastest_batch_size(network, tokenizer, requests, sizes)
    theirs = harness_scorer(network, tokenizer, requests, batch_size)
    answers: dict[str, list[tuple[float, ...]]] = {}

    def score_ours() -> None:
        answers["ours"] = list(score_loglikelihoods(network, tokenizer, requests))

    def score_theirs() -> None:
        answers["theirs"] = _by_request(theirs(), requests)

    list(score_loglikelihoods(network, tokenizer, requests[:WARM_UP]))
    seconds = interleave(
        {"ours": score_ours, "theirs": score_theirs},
        rounds=options.repeats,
        device=options.device,
    )
    return {
        "name": name,
        "target": next(value for case, value in TARGETS.items() if name.endswith(case)),
        "questions": len(requests),
        "harness_batch_size": batch_size,
        "harness_batch_sizes": tried,
        "lengths": _lengths(requests, tokenizer),
        "seconds": seconds,
        "agreement": _agreement(answers["ours"], answers["theirs"]),
    }


def _by_request(
    values: Sequence[float], requests: Sequence[LoglikelihoodRequest]
) -> list[tuple[float, ...]]:
    numbers = iter(values)
    return [tuple(next(numbers) for _ in request.continuations) for request in requests]


def _agreement(
    ours: Sequence[tuple[float, ...]], theirs: Sequence[tuple[float, ...]]
) -> dict[str, Any]:
    """Return how far two engines' log-likelihoods are apart, and how many answers differ."""
    differences = [
        abs(one - other)
        for mine, yours in zip(ours, theirs, strict=True)
        for one, other in zip(mine, yours, strict=True)
    ]
    answers = [(_answer(mine), _answer(yours)) for mine, yours in zip(ours, theirs, strict=True)]
    return {
        "largest_difference": max(differences),
        "other_answers": sum(mine != yours for mine, yours in answers),
    }


def _answer(loglikelihoods: Sequence[float]) -> int:
    return max(range(len(loglikelihoods)), key=lambda option: loglikelihoods[option])


def _lengths(requests: Sequence[LoglikelihoodRequest], tokenizer: Any) -> dict[str, Any]:
    """Return tokens per prompt and per option: mean, a tenth below, a tenth above."""
    prompts = [request.prompt for request in requests]
    options = [option for request in requests for option in request.continuations]
    return {
        "prompt": token_lengths(prompts, tokenizer),
        "option": token_lengths(options, tokenizer),
    }


def token_lengths(texts: Sequence[str], tokenizer: Callable[..., Any]) -> dict[str, float]:
    """Return the tokens of texts: the mean, and what a tenth is below and a tenth above."""
    counts = sorted(len(tokens) for tokens in tokenizer(list(texts))["input_ids"])
    return {
        "mean": sum(counts) / len(counts),
        "low": counts[len(counts) // 10],
        "high": counts[-1 - len(counts) // 10],
    }
