"""What was answered: predictions and tables of them."""

from pytest_muscle.predictions.prediction import Prediction, Predictions

__all__ = ["Prediction", "Predictions"]
