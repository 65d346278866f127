"""Language models: which, where, and what they answer."""

from pytest_muscle.models.language_model import BaseModel, LanguageModel
from pytest_muscle.models.scoring import LoglikelihoodRequest
from pytest_muscle.models.spec import ModelSpec, model_spec

__all__ = ["BaseModel", "LanguageModel", "LoglikelihoodRequest", "ModelSpec", "model_spec"]
