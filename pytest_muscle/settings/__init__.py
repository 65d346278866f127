"""What the user configured: muscle.toml, `[tool.muscle]` and flags; nothing else reads those.

Names load on first use: a pytest run without muscle.toml does not pay for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_muscle.lazy import lazy_names

if TYPE_CHECKING:
    from pytest_muscle.settings.file import read_settings
    from pytest_muscle.settings.gate_keys import GateSettings, NoiseSettings
    from pytest_muscle.settings.keys import (
        CompatSettings,
        ModelSettings,
        RecipeSettings,
        ReportSettings,
        RunSettings,
        Settings,
        TaskSettings,
        TrainingSettings,
    )

_HOMES = {
    "CompatSettings": "keys",
    "GateSettings": "gate_keys",
    "ModelSettings": "keys",
    "NoiseSettings": "gate_keys",
    "RecipeSettings": "keys",
    "ReportSettings": "keys",
    "RunSettings": "keys",
    "Settings": "keys",
    "TaskSettings": "keys",
    "TrainingSettings": "keys",
    "read_settings": "file",
}

__all__ = [
    "CompatSettings",
    "GateSettings",
    "ModelSettings",
    "NoiseSettings",
    "RecipeSettings",
    "ReportSettings",
    "RunSettings",
    "Settings",
    "TaskSettings",
    "TrainingSettings",
    "read_settings",
]

__getattr__ = lazy_names(__name__, _HOMES)
