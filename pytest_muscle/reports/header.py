"""What is under test, for pytest's report header; reads no model and no data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_muscle.settings.locations import is_path
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.settings import Settings
    from pytest_muscle.settings.keys import ModelSettings


def describe_update(settings: Settings, *, verbose: bool = False) -> list[str]:
    """Return what is under test, a line each.

    Args:
        settings: What the user configured.
        verbose: Whether to say how much the cache holds.
    """
    lines = [f"muscle: {settings.path.name}, tasks: {', '.join(settings.tasks) or 'none'}"]
    for version, model in (("old", settings.old), ("new", settings.new)):
        if model is None:
            answers = getattr(settings, f"{version}_predictions")
            lines += [f"muscle: {version} = answers of {answers}"] if answers else []
            continue
        kind = "local" if is_path(model.model, settings.root) else "hub"
        name = name_model(model)
        adapter = f", adapter {model.adapter}" if model.adapter else ""
        lines.append(f"muscle: {version} = {name} ({kind}{adapter})")
    lines += _describe_families(settings)
    run = settings.run
    held = _held(settings) if verbose else ""
    lines.append(f"muscle: device {run.device}, dtype {run.dtype}, cache {run.cache}{held}")
    return lines


def name_model(model: ModelSettings) -> str:
    """Return a configured model in words: its path or hub id, and its revision if it has one."""
    return f"{model.model}@{model.revision}" if model.revision else model.model


def _describe_families(settings: Settings) -> list[str]:
    gates = [task.gate for task in settings.tasks.values() if task.gate.family_wise]
    if not gates:
        return []
    limits = gates[0].family
    levels = sorted({f"{100 * (gate.judged_confidence or 0):.4g} %" for gate in gates})
    return [f"muscle: family-wise, {counted(limits, 'limit')} judged at {', '.join(levels)} each"]


def _held(settings: Settings) -> str:
    from pytest_muscle.housekeeping import cache_contents

    contents = cache_contents(settings.cache)
    return f" ({contents.describe()})" if contents.size else ""
