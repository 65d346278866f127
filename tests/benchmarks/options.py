"""What to measure, as the command line says it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tests.benchmarks.contenders import CONTENDERS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
MODELS = ROOT / "example_project" / "models"
PARTS = ("scoring", "training", "scaling")

EXAMPLES = {"cpu": 64, "cuda": 1000}
"""Scoring examples per case, by device."""
TEXTS = {"cpu": 32, "cuda": 512}
"""Training texts per case, by device."""


class BenchmarkError(Exception):
    """A benchmark cannot run; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure.

    Attributes:
        parts: Which of `PARTS`.
        model: Directory of the model that is scored, and the new version in training.
        old_model: Directory of the old version.
        device: Where everything runs.
        dtype: Floating-point type of the weights, for all contenders.
        repeats: Measured rounds; each runs every contender once.
        quick: Only see that everything runs: tiny sizes, one process, no figures worth keeping.
        arc_easy: ARC-Easy rows to use in place of made ones.
        results: Where results are written; none where they are not kept.
        examples: Scoring examples per case.
        texts: Training texts per case.
        epochs: Passes over the training texts.
        batch_size: Texts per training step.
        rank: LoRA rank.
        contenders: Who trains.
        write_readme: Write the stored results into README.md at the end.
        stored: Measure nothing; work with stored results.
    """

    parts: tuple[str, ...]
    model: Path
    old_model: Path
    device: Literal["cpu", "cuda"]
    dtype: Literal["float32", "bfloat16"]
    repeats: int
    quick: bool
    arc_easy: Path | None
    results: Path | None
    examples: int
    texts: int
    epochs: int
    batch_size: int
    rank: int
    contenders: tuple[str, ...]
    write_readme: bool
    stored: bool


def read_options(arguments: Sequence[str] | None = None) -> Options:
    """Return the options of a command line.

    Raises:
        BenchmarkError: If they contradict each other.
    """
    given = _parser().parse_args(arguments)
    quick: bool = given.quick
    if quick and given.write_readme:
        raise BenchmarkError("--quick makes no figures for README: leave out one of the two")
    if unknown := [part for part in given.parts if part not in PARTS]:
        raise BenchmarkError(f"there is no part {unknown[0]!r}: choose from {', '.join(PARTS)}")
    options = Options(
        parts=tuple(given.parts) or PARTS,
        model=given.model,
        old_model=given.old_model,
        device=given.device,
        dtype=given.dtype,
        repeats=given.repeats,
        quick=quick,
        arc_easy=given.arc_easy,
        results=given.results or (None if quick else RESULTS),
        examples=given.examples or EXAMPLES[given.device],
        texts=given.texts or TEXTS[given.device],
        epochs=given.epochs,
        batch_size=given.batch_size,
        rank=given.rank,
        contenders=tuple(given.contenders),
        write_readme=given.write_readme,
        stored=given.stored,
    )
    if quick:
        options = replace(options, repeats=1, examples=4, texts=4, epochs=1, batch_size=2, rank=4)
    if not options.stored:
        _check(options)
    return options


def _check(options: Options) -> None:
    for directory in (options.model, options.old_model):
        if not (directory / "config.json").is_file():
            raise BenchmarkError(
                f"there is no model in {directory}: make the example's two models with "
                "`python example_project/prepare.py`, or name others with --model and --old-model"
            )
    if options.arc_easy is not None and not options.arc_easy.is_file():
        raise BenchmarkError(f"there is no file {options.arc_easy} (--arc-easy)")
    if options.texts % options.batch_size:
        raise BenchmarkError(
            f"{options.texts} training texts do not fill batches of {options.batch_size}: TRL "
            "drops the rest and would do less work (--texts, --batch-size)"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure scoring against lm-evaluation-harness, compatibility training "
        "against a plain loop and TRL, and how the cost of both grows.",
        epilog="Run it on an otherwise idle machine. From a checkout: "
        "pip install -c constraints.txt -e '.[bench]'",
    )
    add = parser.add_argument
    add("parts", nargs="*", metavar="part", help=f"any of {', '.join(PARTS)}; all if none")
    add("--model", type=Path, default=MODELS / "v2", help="the model; v2 of the example project")
    add("--old-model", type=Path, default=MODELS / "v1", help="its old version; the example's v1")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--dtype", choices=("float32", "bfloat16"), default="float32")
    add("--repeats", type=_positive, default=5, help="measured rounds (5)")
    add("--examples", type=_positive, help=f"scoring examples per case ({_by_device(EXAMPLES)})")
    add("--texts", type=_positive, help=f"training texts per case ({_by_device(TEXTS)})")
    add("--epochs", type=_positive, default=5, help="passes over the training texts (5)")
    add("--batch-size", type=_positive, default=8, help="texts per training step (8)")
    add("--rank", type=_positive, default=32, help="LoRA rank, on all linear layers (32)")
    add(
        "--contenders",
        nargs="+",
        choices=tuple(CONTENDERS),
        default=list(CONTENDERS),
        help="who trains; all if left out",
    )
    add("--arc-easy", type=Path, metavar="FILE", help="JSONL of {id, question, choices, answer}")
    add("--results", type=Path, metavar="DIR", help="where to write (tests/benchmarks/results)")
    add("--quick", action="store_true", help="only see that all of it runs")
    add("--write-readme", action="store_true", help="write the stored results into README.md")
    add("--stored", action="store_true", help="measure nothing; draw and write stored results")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _by_device(sizes: dict[str, int]) -> str:
    return ", ".join(f"{size} on {device}" for device, size in sizes.items())
