"""All that `--muscle-show` prints, looked up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_muscle.errors import MuscleError
from pytest_muscle.overview.configuration import Entry, describe_settings
from pytest_muscle.overview.estimate import Estimate, Estimator
from pytest_muscle.overview.models import ModelFacts, describe_model
from pytest_muscle.overview.prompts import Asked, describe_answers, first_prompt
from pytest_muscle.overview.stock import Stock, TaskStock
from pytest_muscle.settings.file import parse
from pytest_muscle.settings.logs import find_log
from pytest_muscle.task_models import VERSIONS, Version

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from pytest_muscle.settings import Settings
    from pytest_muscle.settings.flags import Flags
    from pytest_muscle.tasks import Task


@dataclass(frozen=True)
class TaskView:
    """What is told of one task beside what is stored.

    Attributes:
        task: The task.
        n: Number of evaluation examples.
        trained_on: Number of training examples.
        answers: What is known of options and gold answers.
        id: Id of the first example; none where nothing is asked.
        asked: What a model is given of it.
        problem: Why that is not known.
        logs: What answers are read from, where nothing is asked.
        failed: What is wrong with the task, so that nothing else is known of it; none where
            nothing is.
    """

    task: Task
    n: int = 0
    trained_on: int = 0
    answers: tuple[str, ...] = ()
    id: str | None = None
    asked: Asked | None = None
    problem: str | None = None
    logs: tuple[str, ...] = ()
    failed: str | None = None


@dataclass(frozen=True)
class Overview:
    """Everything.

    Attributes:
        settings: The configuration.
        entries: Its keys.
        models: The base models by version.
        tasks: The tasks.
        stocks: What is stored of each task with which nothing is wrong, in the same order.
        estimate: What the rest costs.
        failed: What is wrong with the configuration as a whole, if anything is.
    """

    settings: Settings
    entries: tuple[Entry, ...]
    models: dict[Version, ModelFacts]
    tasks: tuple[TaskView, ...]
    stocks: tuple[TaskStock, ...]
    estimate: Estimate
    failed: str | None = None

    @property
    def errors(self) -> tuple[str, ...]:
        """All that is wrong, each once."""
        found = [self.failed, *(view.failed for view in self.tasks)]
        return tuple(dict.fromkeys(text for text in found if text is not None))


def look(settings: Settings, flags: Flags, compat: frozenset[str] = frozenset()) -> Overview:
    """Return what a run would start from; no model is loaded and nothing is written.

    What is wrong with one task hides nothing of the others.

    Args:
        settings: What the user configured.
        flags: The command line.
        compat: Tasks whose compat model is asked for by tests.

    Raises:
        MuscleError: If the configuration is not readable.
    """
    stock = Stock(settings, compat)
    failed = None
    try:
        stock.update.check()
    except MuscleError as error:
        failed = str(error)
    entries = describe_settings(settings, parse(settings.path), flags)
    models = {
        version: describe_model(stock.models, version)
        for version in VERSIONS
        if getattr(settings, version) is not None
    }
    views, stocks = [], []
    for task in stock.update.tasks.values():
        try:
            view = _view(task, stock, models)
            stocks.append(stock.of(task))
        except MuscleError as error:
            view = TaskView(task, failed=str(error))
        views.append(view)
    estimate = Estimator(stock, models).estimate(stocks)
    return Overview(settings, tuple(entries), models, tuple(views), tuple(stocks), estimate, failed)


def _view(task: Task, stock: Stock, models: dict[Version, ModelFacts]) -> TaskView:
    if task.is_imported:
        logs = (find_log(stock.settings, side, task.name) for side in VERSIONS)
        n = len(stock.update.predictions("old", task.name))
        return TaskView(task, n=n, logs=tuple(log.text for log in logs if log is not None))
    n, answers = len(task.eval), tuple(describe_answers(task))
    if not n:
        return TaskView(task, n, len(task.train), answers, problem="there is no example")
    example = task.eval[0]
    tokenizer, problem = _tokenizer(stock, models)
    asked = None
    try:
        asked = first_prompt(task, example, tokenizer)
    except MuscleError as error:
        problem = str(error)
    return TaskView(task, n, len(task.train), answers, example.id, asked, problem)


def _tokenizer(
    stock: Stock, models: dict[Version, ModelFacts]
) -> tuple[PreTrainedTokenizerBase | None, str | None]:
    """Return the new version's tokenizer, else the old one's, or none and why not."""
    problem = "no model is configured"
    for version in reversed(VERSIONS):
        if version in models:
            try:
                return stock.tokenizer(version), None
            except MuscleError as error:
                problem = error.problem
    return None, problem
