"""Model-update regression testing: who gets hurt when a language model is updated.

Public names load on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_muscle.lazy import lazy_names
from pytest_muscle.version import __version__

if TYPE_CHECKING:
    from pytest_muscle.assertions import (
        assert_accuracy_drop,
        assert_flips_reduced,
        assert_gate,
        assert_inconsistency_rate,
        assert_mean_regress,
        assert_negative_flip_rate,
    )
    from pytest_muscle.comparison import FlipReport, compare
    from pytest_muscle.errors import MuscleError
    from pytest_muscle.predictions import Prediction, Predictions
    from pytest_muscle.settings import Settings, read_settings
    from pytest_muscle.update import ModelUpdate

_HOMES = {
    "FlipReport": "comparison",
    "ModelUpdate": "update",
    "MuscleError": "errors",
    "Prediction": "predictions",
    "Predictions": "predictions",
    "Settings": "settings",
    "assert_accuracy_drop": "assertions",
    "assert_flips_reduced": "assertions",
    "assert_gate": "assertions",
    "assert_inconsistency_rate": "assertions",
    "assert_mean_regress": "assertions",
    "assert_negative_flip_rate": "assertions",
    "compare": "comparison",
    "read_settings": "settings",
}

__all__ = [
    "FlipReport",
    "ModelUpdate",
    "MuscleError",
    "Prediction",
    "Predictions",
    "Settings",
    "__version__",
    "assert_accuracy_drop",
    "assert_flips_reduced",
    "assert_gate",
    "assert_inconsistency_rate",
    "assert_mean_regress",
    "assert_negative_flip_rate",
    "compare",
    "read_settings",
]


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
