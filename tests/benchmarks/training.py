"""Compatibility training against a plain loop and TRL: time, peak memory, padding, losses."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks.contenders import CONTENDERS, find_contender
from tests.benchmarks.contenders.job import Job
from tests.benchmarks.machine import describe_machine, describe_model
from tests.benchmarks.measuring import measure_training, say
from tests.benchmarks.models import load_model, write_adapter
from tests.benchmarks.options import ROOT, BenchmarkError, Options
from tests.benchmarks.scoring import token_lengths
from tests.benchmarks.texts import CASES, Text, write_texts

TARGETS = {"time": 2.5, "memory": 0.4, "trl": 1.0}
"""Times faster than the plain loop, share of its peak memory, times as fast as TRL; at least, at
most, at least."""

CURVE_STEPS = 50
CURVE_TEXTS = 4


def measure_training_part(options: Options) -> dict[str, Any]:
    """Return what every contender takes for each case of texts.

    Raises:
        BenchmarkError: If a contender's package is not installed, or a contender fails.
    """
    check_contenders(options.contenders)
    network, tokenizer = load_model(options.model, device="cpu", dtype=options.dtype)
    model = describe_model(network)
    del network
    with tempfile.TemporaryDirectory() as directory:
        job = prepare_job(options, Path(directory))
        cases = []
        for name, make in CASES.items():
            say(f"  {name}: {options.texts} texts, {options.epochs} epochs")
            texts = make(options.texts)
            cases.append(
                {
                    "name": name,
                    "texts": len(texts),
                    "lengths": token_lengths([text.whole for text in texts], tokenizer),
                    "runs": run_rounds(options, job, texts),
                }
            )
        curve = _compare_losses(options, job) if options.dtype == "float32" else None
    return {
        "part": "training",
        "machine": describe_machine(options.device, options.dtype),
        "model": model,
        "recipe": {
            "rank": options.rank,
            "batch_size": options.batch_size,
            "epochs": options.epochs,
            "temperature": job.temperature,
        },
        "cases": cases,
        "losses": curve,
    }


def check_contenders(names: Sequence[str]) -> None:
    """Raise where a contender's package is missing.

    Raises:
        BenchmarkError: It says how to install it or do without.
    """
    if any(name.startswith("trl") for name in names) and find_spec("trl") is None:
        others = " ".join(name for name in names if not name.startswith("trl"))
        raise BenchmarkError(
            "trl is not installed: pip install -c constraints.txt -e '.[bench]', or do without it "
            f"(--contenders {others})"
        )


def prepare_job(options: Options, directory: Path) -> Job:
    """Return a job with both models and new adapters on them; its texts are still to be set."""
    adapters = [
        write_adapter(model, directory / name, rank=options.rank, seed=seed)
        for seed, (name, model) in enumerate(
            {"old-adapter": options.old_model, "new-adapter": options.model}.items()
        )
    ]
    return Job(
        texts="",
        old_model=str(options.old_model.resolve()),
        new_model=str(options.model.resolve()),
        old_adapter=str(adapters[0]),
        new_adapter=str(adapters[1]),
        device=options.device,
        dtype=options.dtype,
        epochs=options.epochs,
        batch_size=options.batch_size,
        output="",
    )


def run_rounds(
    options: Options, job: Job, texts: Sequence[Text], names: Sequence[str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Return what each contender took in each round; a round runs every contender once, in turn."""
    chosen = names or options.contenders
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    for number in range(options.repeats):
        for name in chosen:
            runs[name].append(_run(options, name, job, texts))
            took = runs[name][-1]
            say(
                f"    round {number + 1} of {options.repeats}: {CONTENDERS[name]} "
                f"{took['seconds']:.1f} s, {took['peak_bytes'] / 2**20:,.0f} MiB"
            )
    return runs


def _run(options: Options, name: str, job: Job, texts: Sequence[Text]) -> dict[str, Any]:
    """Run one contender in a process of its own; a quick look runs it in this one."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        write_texts(folder / "texts.jsonl", texts)
        job = replace(job, texts=str(folder / "texts.jsonl"), output=directory)
        if options.quick:
            return measure_training(find_contender(name), job)
        job.write(folder / "job.json")
        command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.contenders", name]
        ended = subprocess.run(
            [*command, str(folder / "job.json"), str(folder / "result.json")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise BenchmarkError(f"{CONTENDERS[name]} {_end(ended)}")
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return result


def _end(ended: subprocess.CompletedProcess[str]) -> str:
    """Return how a process failed, in words."""
    if ended.returncode < 0:
        return (
            f"was killed (signal {-ended.returncode}): if memory ran out, give a smaller "
            "--batch-size or leave it out (--contenders)"
        )
    lines = ended.stderr.strip().splitlines()[-20:]
    return "\n".join(["failed:", *lines])


def _compare_losses(options: Options, job: Job) -> dict[str, Any] | None:
    """Return the largest relative difference of our losses from the plain loop's.

    One batch holds all texts, so that every step sees the same whatever the order.
    """
    if not {"ours", "naive"} <= set(options.contenders):
        return None
    texts = CASES["choice questions with an instruction"](CURVE_TEXTS)
    steps = 2 if options.quick else CURVE_STEPS
    say(f"  losses of {steps} steps on one batch of {len(texts)} texts")
    same = replace(job, epochs=steps, batch_size=len(texts))
    losses = {name: dict(_run(options, name, same, texts)["losses"]) for name in ("ours", "naive")}
    both = sorted(losses["ours"].keys() & losses["naive"].keys())
    if not both:
        return None
    differences = [
        abs(losses["ours"][step] - losses["naive"][step]) / abs(losses["naive"][step])
        for step in both
    ]
    return {
        "steps": len(both),
        "largest_relative_difference": max(differences),
        "first": losses["naive"][both[0]],
        "last": losses["naive"][both[-1]],
    }
