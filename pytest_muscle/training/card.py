"""Model cards of stored adapters: what they are and how they were made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_muscle.settings import CompatSettings
from pytest_muscle.version import __version__


def task_card(directory: Path, base: str, task: str, facts: Mapping[str, Any]) -> None:
    """Write README.md of a task adapter into its directory."""
    body = (
        f"# Task adapter `{task}` on `{base}`\n\n"
        f"A LoRA adapter trained by cross-entropy on the train set of task `{task}`.\n"
    )
    _write(directory, base, body, facts)


def compat_card(
    directory: Path,
    old: str,
    new: str,
    task: str,
    recipe: CompatSettings,
    facts: Mapping[str, Any],
) -> None:
    """Write README.md of a compatibility adapter into its directory."""
    base = new.split(" + ")[0]
    body = (
        f"# Compatibility adapter `{task}`: `{old}` → `{new}`\n\n"
        f"A LoRA adapter for `{base}` that answers task `{task}` and keeps to what the old model "
        f"`{old}` got right. It started from the new task adapter's weights and was trained with "
        f"the strategy `{recipe.strategy}` (temperature {recipe.temperature:g}, distillation "
        f"weight {recipe.distillation_weight:g}); *MUSCLE: A Model Update Strategy for Compatible "
        "LLM Evolution*, arXiv 2407.09435.\n"
    )
    _write(directory, base, body, facts)


def _write(directory: Path, base: str, body: str, facts: Mapping[str, Any]) -> None:
    from tabulate import tabulate

    curve = facts.get("curve") or [{}]
    rows = [
        ("training examples", facts["examples"]["train"]),
        ("validation examples", facts["examples"]["validation"]),
        ("optimiser steps", facts["steps"]),
        ("best step", facts["best_step"] or "last"),
        ("validation cross-entropy there", _number(facts["best_validation_cross_entropy"])),
        ("masked tokens, last logged", _number(curve[-1].get("masked"))),
        ("duration", f"{facts['seconds']:.0f} s on {facts['device']}, {facts['dtype']}"),
    ]
    text = (
        f"---\nlibrary_name: peft\nbase_model: {base}\ntags:\n- lora\n- pytest-muscle\n---\n\n"
        f"{body}\n{tabulate(rows, headers=('', ''), tablefmt='github')}\n\n"
        f"Made by pytest-muscle {__version__}; everything that made it stands in `muscle.json`.\n\n"
        "```python\nfrom peft import PeftModel\n\nmodel = PeftModel.from_pretrained(base, "
        "directory)\n```\n"
    )
    (directory / "README.md").write_text(text, encoding="utf-8")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
