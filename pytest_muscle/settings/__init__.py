"""What the user configured: muscle.toml, `[tool.muscle]` and flags; nothing else reads those."""

from pytest_muscle.settings.file import find_file, read_settings
from pytest_muscle.settings.flags import Flags
from pytest_muscle.settings.keys import (
    CompatSettings,
    GateSettings,
    ModelSettings,
    RecipeSettings,
    RunSettings,
    Settings,
    TaskSettings,
)

__all__ = [
    "CompatSettings",
    "Flags",
    "GateSettings",
    "ModelSettings",
    "RecipeSettings",
    "RunSettings",
    "Settings",
    "TaskSettings",
    "find_file",
    "read_settings",
]
