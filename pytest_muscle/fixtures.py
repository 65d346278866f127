"""The fixtures: one line each over `ModelUpdate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_muscle.errors import MuscleError
from pytest_muscle.session import session_of

if TYPE_CHECKING:
    from pytest_muscle.comparison import FlipReport
    from pytest_muscle.comparison.noise import NoiseFloor
    from pytest_muscle.models import LanguageModel
    from pytest_muscle.predictions import Predictions
    from pytest_muscle.tasks import Task
    from pytest_muscle.training.store import Adapter
    from pytest_muscle.update import ModelUpdate

TASK_FIXTURES = frozenset(
    {
        "muscle_task",
        "old_predictions",
        "new_predictions",
        "compat_predictions",
        "flip_report",
        "noise_floor",
        "compat_adapter",
        "compat_model",
    }
)
COMPAT_FIXTURES = frozenset({"compat_predictions", "compat_adapter", "compat_model"})
FIXTURES = TASK_FIXTURES | {"model_update", "old_model", "new_model"}


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn a user's mistake into a failure that shows the message alone."""
    try:
        yield
    except MuscleError as error:
        raise pytest.fail.Exception(f"{type(error).__name__}: {error}", pytrace=False) from None


@pytest.fixture(scope="session")
def model_update(request: pytest.FixtureRequest) -> ModelUpdate:
    """The update under test: models, adapters, predictions and reports, each made once."""
    with clear_errors():
        return session_of(request.config).update


@pytest.fixture(scope="session")
def old_model(model_update: ModelUpdate) -> LanguageModel:
    """The old version as configured in [old]: base and given adapter; loads on first use."""
    with clear_errors():
        return model_update.model("old")


@pytest.fixture(scope="session")
def new_model(model_update: ModelUpdate) -> LanguageModel:
    """The new version as configured in [new]: base and given adapter; loads on first use."""
    with clear_errors():
        return model_update.model("new")


@pytest.fixture(scope="session")
def muscle_task(request: pytest.FixtureRequest, model_update: ModelUpdate) -> Task:
    """The task of this test: each task of muscle.toml, or those of @pytest.mark.muscle."""
    with clear_errors():
        return model_update.task(request.param)


@pytest.fixture(scope="session")
def compat_adapter(model_update: ModelUpdate, muscle_task: Task) -> Adapter:
    """The compatibility adapter (directory, origin, facts): given, stored, or trained now."""
    with clear_errors():
        return model_update.compat_adapter(muscle_task.name)


@pytest.fixture(scope="session")
def compat_model(model_update: ModelUpdate, muscle_task: Task) -> LanguageModel:
    """The new base model with the compatibility adapter; loads on first use."""
    with clear_errors():
        return model_update.task_model("compat", muscle_task.name)


@pytest.fixture(scope="session")
def old_predictions(model_update: ModelUpdate, muscle_task: Task) -> Predictions:
    """What the old task model answers to the task's evaluation examples."""
    with clear_errors():
        return model_update.predictions("old", muscle_task.name)


@pytest.fixture(scope="session")
def new_predictions(model_update: ModelUpdate, muscle_task: Task) -> Predictions:
    """What the new task model answers to the task's evaluation examples."""
    with clear_errors():
        return model_update.predictions("new", muscle_task.name)


@pytest.fixture(scope="session")
def compat_predictions(model_update: ModelUpdate, muscle_task: Task) -> Predictions:
    """What the new base model with the compatibility adapter answers."""
    with clear_errors():
        return model_update.predictions("compat", muscle_task.name)


@pytest.fixture(scope="session")
def flip_report(model_update: ModelUpdate, muscle_task: Task) -> FlipReport:
    """The comparison of the old with the new task model's answers."""
    with clear_errors():
        return model_update.flip_report(muscle_task.name)


@pytest.fixture(scope="session")
def noise_floor(model_update: ModelUpdate, muscle_task: Task) -> NoiseFloor:
    """The negative flip rate between builds of the same version, as `[noise]` says."""
    with clear_errors():
        return model_update.noise_floor(muscle_task.name)
