"""Predictions from the logs of other tools, as `lm-eval:PATH?metric=acc` names them."""

from pytest_muscle.importers.registry import IMPORTERS, check_reference, import_predictions

__all__ = ["IMPORTERS", "check_reference", "import_predictions"]
