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
        assert_within_noise_floor,
    )
    from pytest_muscle.comparison import FlipReport, compare
    from pytest_muscle.comparison.noise import NoiseFloor, noise_floor
    from pytest_muscle.errors import MuscleError
    from pytest_muscle.predictions import Prediction, Predictions
    from pytest_muscle.settings import Settings, read_settings
    from pytest_muscle.update import ModelUpdate

_HOMES = {
    "FlipReport": "comparison",
    "ModelUpdate": "update",
    "MuscleError": "errors",
    "NoiseFloor": "comparison.noise",
    "Prediction": "predictions",
    "Predictions": "predictions",
    "Settings": "settings",
    "assert_accuracy_drop": "assertions",
    "assert_flips_reduced": "assertions",
    "assert_gate": "assertions",
    "assert_inconsistency_rate": "assertions",
    "assert_mean_regress": "assertions",
    "assert_negative_flip_rate": "assertions",
    "assert_within_noise_floor": "assertions",
    "compare": "comparison",
    "noise_floor": "comparison.noise",
    "read_settings": "settings",
}

__all__ = [
    "FlipReport",
    "ModelUpdate",
    "MuscleError",
    "NoiseFloor",
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
    "assert_within_noise_floor",
    "compare",
    "noise_floor",
    "read_settings",
]


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
