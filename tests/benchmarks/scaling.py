"""How cost grows: with examples, options, prompt length and vocabulary, one at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_muscle.models import LoglikelihoodRequest
from pytest_muscle.models.scoring import score_loglikelihoods
from tests.benchmarks.contenders.job import Job
from tests.benchmarks.harness import BATCH_SIZES, fastest_batch_size, harness_scorer
from tests.benchmarks.machine import describe_machine, describe_model
from tests.benchmarks.measuring import interleave, say
from tests.benchmarks.models import load_model, random_model
from tests.benchmarks.options import Options
from tests.benchmarks.questions import OPTIONS, made_questions
from tests.benchmarks.texts import story_texts
from tests.benchmarks.training import prepare_job, run_rounds

FACTORS = {
    "examples": (1, 3, 10),
    "options": (1, 2, 4),
    "prompt length": (1, 2, 4),
    "vocabulary": (1, 2, 4),
}
QUICK_FACTORS = (1, 2)
LAYERS, QUICK_LAYERS = 6, 1
"""Of the small model whose vocabulary grows."""
EXAMPLES = {"cpu": 8, "cuda": 100}
"""Examples at factor 1, by device."""
BACKGROUND = 2
"""Sentences before each question at factor 1, where the prompt grows."""
EPOCHS = 2
"""Most passes over the texts."""
FACTS = 3
"""Facts in each training text at factor 1, where texts grow."""


@dataclass(frozen=True)
class Point:
    """What is scored at one factor of one dimension."""

    requests: list[LoglikelihoodRequest]
    network: Any


def measure_scaling(options: Options) -> dict[str, Any]:
    """Return times of scoring by ours and the harness, and of training by ours and a plain loop."""
    network, tokenizer = load_model(options.model, device=options.device, dtype=options.dtype)
    return {
        "part": "scaling",
        "machine": describe_machine(options.device, options.dtype),
        "model": describe_model(network),
        "small_model": describe_model(_small(options, tokenizer)),
        "scoring": _measure_scoring(options, network, tokenizer),
        "training": _measure_training(options, tokenizer),
    }


def _measure_scoring(options: Options, network: Any, tokenizer: Any) -> dict[str, Any]:
    count = 2 if options.quick else EXAMPLES[options.device]
    dimensions: dict[str, Callable[[int], Point]] = {
        "examples": lambda factor: Point(_requests(count * factor), network),
        "options": lambda factor: Point(_requests(count, options=OPTIONS * factor), network),
        "prompt length": lambda factor: Point(
            _requests(count, background=BACKGROUND * factor), network
        ),
        "vocabulary": lambda factor: Point(_requests(count), _small(options, tokenizer, factor)),
    }
    sizes = BATCH_SIZES[options.device][: 1 if options.quick else None]
    batch_size, _ = fastest_batch_size(network, tokenizer, _requests(count), sizes)
    found: dict[str, Any] = {}
    for dimension, point in dimensions.items():
        found[dimension] = []
        for factor in _factors(options, dimension):
            say(f"  scoring, {dimension} × {factor}")
            seconds = _score(options, point(factor), tokenizer, batch_size)
            found[dimension].append({"factor": factor, "seconds": seconds})
    return {"harness_batch_size": batch_size, "examples": count, "dimensions": found}


def _score(
    options: Options, point: Point, tokenizer: Any, batch_size: int | str
) -> dict[str, list[float]]:
    def ours() -> None:
        list(score_loglikelihoods(point.network, tokenizer, point.requests))

    theirs = harness_scorer(point.network, tokenizer, point.requests, batch_size)
    list(score_loglikelihoods(point.network, tokenizer, point.requests[:2]))
    return interleave(
        {"ours": ours, "theirs": theirs}, rounds=options.repeats, device=options.device
    )


def _measure_training(options: Options, tokenizer: Any) -> dict[str, Any]:
    names = [name for name in ("ours", "naive") if name in options.contenders]
    options = replace(options, epochs=min(options.epochs, EPOCHS))
    found: dict[str, Any] = {"text length": [], "vocabulary": []}
    with tempfile.TemporaryDirectory() as directory:
        job = prepare_job(options, Path(directory))
        for factor in _factors(options, "prompt length"):
            say(f"  training, text length × {factor}")
            # Fewer texts where they are longer, so that about as many tokens are learnt from.
            batch_size = max(1, options.batch_size // factor)
            texts = story_texts(batch_size * 2, facts=FACTS * factor)
            runs = run_rounds(options, replace(job, batch_size=batch_size), texts, names)
            found["text length"].append({"factor": factor, "epochs": job.epochs, "runs": runs})
        for factor in _factors(options, "vocabulary"):
            say(f"  training, vocabulary × {factor}")
            folder = Path(directory) / f"vocabulary-{factor}"
            small = _small_job(options, folder, tokenizer, factor)
            texts = story_texts(options.batch_size * 2, facts=FACTS)
            runs = run_rounds(options, small, texts, names)
            found["vocabulary"].append({"factor": factor, "epochs": small.epochs, "runs": runs})
    return found


def _small_job(options: Options, folder: Path, tokenizer: Any, factor: int) -> Job:
    """Return a job on small random models whose vocabulary is enlarged; no text has its tokens."""
    models = [folder / "old", folder / "new"]
    for seed, model in enumerate(models):
        _small(options, tokenizer, factor, seed).save_pretrained(model)
        tokenizer.save_pretrained(model)
    return prepare_job(replace(options, old_model=models[0], model=models[1]), folder)


def _small(options: Options, tokenizer: Any, factor: int = 1, seed: int = 0) -> Any:
    return random_model(
        len(tokenizer) * factor,
        seed,
        layers=QUICK_LAYERS if options.quick else LAYERS,
        device=options.device,
        dtype=options.dtype,
    )


def _requests(count: int, *, options: int = OPTIONS, background: int = 0) -> list[Any]:
    questions = made_questions(count, options=options, background=background)
    return [question.request() for question in questions]


def _factors(options: Options, dimension: str) -> Sequence[int]:
    return QUICK_FACTORS if options.quick else FACTORS[dimension]
