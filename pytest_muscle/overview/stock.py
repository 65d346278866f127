"""What a run would find stored and what it would make, told by the run's own look-ups."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_muscle.answers import Answers
from pytest_muscle.cache import DIGEST_NOTES
from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import ModelError, MuscleError
from pytest_muscle.housekeeping import cache_contents
from pytest_muscle.memo import Memo
from pytest_muscle.models.loading import load_tokenizer
from pytest_muscle.progress import SILENT
from pytest_muscle.settings import Settings
from pytest_muscle.task_models import VERSIONS, Side, TaskModels, Version
from pytest_muscle.training.checkpoints import PREFIX
from pytest_muscle.update import ModelUpdate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from pytest_muscle.predictions import Predictions
    from pytest_muscle.predictions.question import Question
    from pytest_muscle.stopping import Stopping
    from pytest_muscle.tasks import Task
    from pytest_muscle.training.store import Adapter, AdapterKey

State = Literal["baseline", "read", "given", "stored", "begun", "missing", "refused", "none", "not"]
"""Of a thing: a baseline, a log, the user's, in the cache, in part there, to be made, to be made
and forbidden, not wanted, not to be had."""

MADE: frozenset[State] = frozenset({"begun", "missing"})
"""States of what a run makes."""


@dataclass(frozen=True)
class Item:
    """One thing that a run needs.

    Attributes:
        state: Whether it is there.
        n: Number of examples: that are asked, or trained on.
        done: Number of those that were answered before.
        detail: What else there is to say, in words.
        at_most: Whether fewer may be asked.
    """

    state: State
    n: int = 0
    done: int = 0
    detail: str = ""
    at_most: bool = False

    @property
    def is_made(self) -> bool:
        """Whether a run makes it, or goes on with it."""
        return self.state in MADE


@dataclass(frozen=True)
class TaskStock:
    """What a run needs for one task.

    Attributes:
        task: The task.
        adapters: The adapters by side; none where a side has no such thing.
        answers: The answers by side.
        teachers: What the teachers say, by name; only where a compat adapter is to be trained.
        notes: What the look brought up: warnings of the run.
    """

    task: Task
    adapters: dict[Side, Item]
    answers: dict[Side, Item]
    teachers: dict[Version, Item]
    notes: tuple[str, ...] = ()


class Stock:
    """Looks up what is stored; it makes, fetches, locks and writes nothing.

    Args:
        settings: What the user configured.
        compat: Tasks whose compat model is asked for by tests, if more than `[compat]` says.
    """

    def __init__(self, settings: Settings, compat: frozenset[str] = frozenset()) -> None:
        self.settings = settings
        self._compat = compat
        looking = replace(settings, train=False, writes=False)
        digests = FileDigests(settings.cache / DIGEST_NOTES, writes=False)
        self.models = TaskModels(looking, digests, SILENT)
        self.update = ModelUpdate(looking, SILENT, models=self.models)
        self._memo = Memo()
        self._answers = Answers(looking, self.models, SILENT, None)

    def of(self, task: Task) -> TaskStock:
        """Return what a run needs for a task.

        Raises:
            DataError: If its data are not usable.
        """
        if not task.is_imported:
            self.models.check_data(task)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stock = TaskStock(
                task=task,
                adapters={side: self._adapter(side, task) for side in self._sides(task)},
                answers=dict(self._all_answers(task)),
                teachers=self._teachers(task),
            )
        notes = dict.fromkeys(str(warning.message) for warning in caught)
        return replace(stock, notes=tuple(notes))

    def wants_compat(self, task: Task) -> bool:
        """Return whether `[compat]`, the task or a test asks for a compat model."""
        return not task.is_imported and (
            self.settings.has_compat(task.name) or task.name in self._compat
        )

    def _sides(self, task: Task) -> list[Side]:
        """Return the sides that have an adapter, or are to get one."""
        if task.is_imported:
            return []
        sides: list[Side] = ["new"]
        if self.settings.old is not None and not self.update.baselines.has(task.name):
            sides.insert(0, "old")
        elif self.settings.old is not None and self.wants_compat(task):
            sides.insert(0, "old")  # it teaches
        return [*sides, "compat"] if self.wants_compat(task) else sides

    def _adapter(self, side: Side, task: Task) -> Item:
        try:
            return self._look_for_adapter(side, task)
        except MuscleError as error:
            return Item("not", detail=_problem(error))
        except OSError:  # of an old model that is gone and a baseline that is here
            return Item("not", detail="its base model is not here any more")

    def _look_for_adapter(self, side: Side, task: Task) -> Item:
        if (given := self.models.given_adapter(side, task)) is not None:
            return Item("given", detail=str(given.path))
        if side == "compat":
            self.models.check_teacher(task)
        elif not self.models.is_trained(side, task):
            return Item("none", detail="the task has no train set")
        key = None if self.is_empty else self.models.adapter_key(side, task)
        stored = None if key is None else self.models.adapters.find(key)
        if stored is not None:
            return Item("stored", detail=self._describe_adapter(stored))
        if side == "compat" and (obstacle := self._obstacle(task)) is not None:
            return Item("not", detail=obstacle)
        n = len(task.train)
        if not self.settings.train:
            return Item("refused", n, detail="--muscle-no-train")
        checkpoint = None if key is None else self._checkpoint(key)
        if checkpoint is None:
            return Item("missing", n)
        return Item("begun", n, detail=f"goes on after step {checkpoint:,}")

    def _obstacle(self, task: Task) -> str | None:
        """Return why a compat adapter cannot be trained, or none.

        Raises:
            TrainingError: If old and new model do not share a vocabulary.
        """
        from pytest_muscle.training.adapters import check_vocabularies

        if task.settings.train is None:
            return "the task has no train set"
        for version in VERSIONS:
            state = self._adapter(version, task).state
            if state == "not" or (version, state) == ("new", "none"):
                return f"it needs the {version} task adapter"
        try:
            old, new = map(self.tokenizer, VERSIONS)
        except ModelError:
            return None  # not at hand: a run will see
        check_vocabularies(old, new, task)
        return None

    def _describe_adapter(self, adapter: Adapter) -> str:
        seconds, device = adapter.facts.get("seconds"), adapter.facts.get("device")
        how = (
            f", trained in {seconds:.0f} s on {device}" if isinstance(seconds, int | float) else ""
        )
        return f"{adapter.path.name}{how}"

    def _checkpoint(self, key: AdapterKey) -> int | None:
        """Return the step of the newest checkpoint; whether it is whole, the run will see."""
        found = self.models.adapters.work_directory(key).glob(f"{PREFIX}*")
        numbers = (path.name.removeprefix(PREFIX) for path in found)
        return max((int(number) for number in numbers if number.isdecimal()), default=None)

    def _all_answers(self, task: Task) -> Iterator[tuple[Side, Item]]:
        old = self._old(task)
        yield "old", old
        sides: list[Side] = ["new", "compat"] if self.wants_compat(task) else ["new"]
        for side in sides:
            try:
                yield side, self._newer(side, task, old)
            except MuscleError as error:
                yield side, Item("not", detail=_problem(error))

    def _old(self, task: Task) -> Item:
        baselines = self.update.baselines
        try:
            if task.is_imported:
                return Item("read", len(self.update.predictions("old", task.name)))
            if baselines.has(task.name):
                table = self.update.predictions("old", task.name)
                return Item("baseline", len(table), detail=f"{_describe(table)}; fits")
        except MuscleError as error:
            return Item("not", detail=_problem(error))
        if self.settings.old is None:
            return Item("not", detail="there is neither a baseline nor an old model")
        try:
            return self._answered("old", [(self._whole(task), None)])
        except MuscleError as error:
            return Item("not", detail=_problem(error))

    def _newer(self, side: Side, task: Task, old: Item) -> Item:
        if task.is_imported:
            return Item("read", len(self.update.predictions(side, task.name)))
        known = old.state in ("baseline", "stored")
        if old.state == "not":
            return Item("not", detail="needs the old model's answers")
        depends = task.gate.sequential or self.settings.run.score == "needed"
        if depends and not known:
            at_most = Item("missing", len(task.eval), at_most=True)
            return at_most if self._is_ready(side, task) else self._blocked(side, task, at_most)
        return self._answered(side, self.update.questions(task))

    def _answered(self, side: Side, questions: list[tuple[Question, Stopping | None]]) -> Item:
        """Return whether a side's answers to one of some questions are stored."""
        question, stopping = questions[-1]
        task, n = question.task, len(question.examples)
        missing = Item("missing", n, at_most=stopping is not None)
        if not self._is_ready(side, task):
            return self._blocked(side, task, missing)
        if self.is_empty:
            return missing
        for one, until in questions:
            if (table := self._answers.stored(side, one, until)) is not None:
                stop = "" if table.stop is None else f"; {table.stop.describe()}"
                return Item("stored", len(table), detail=f"{_date(table)}{stop}")
        done = self._answers.begun(side, question, stopping)
        return replace(missing, state="begun", done=min(done, n)) if done else missing

    def _is_ready(self, side: Side, task: Task) -> bool:
        """Return whether the adapter that answers is there, or none is needed."""
        return self._adapter(side, task).state in ("given", "stored", "none")

    def _blocked(self, side: Side, task: Task, missing: Item) -> Item:
        """Return what there is of answers where their adapter is not there yet."""
        adapter = self._adapter(side, task)
        if adapter.is_made:
            return missing
        return replace(missing, state=adapter.state, detail="needs its adapter")

    def _whole(self, task: Task) -> Question:
        from pytest_muscle.predictions.question import Question

        return Question(task)

    def _teachers(self, task: Task) -> dict[Version, Item]:
        """Return what is kept of the teachers' states, where a compat adapter is to be trained."""
        if not self.wants_compat(task) or not self._adapter("compat", task).is_made:
            return {}
        n = len(task.train)
        key = None if self.is_empty else self.models.adapter_key("compat", task)
        if key is None:
            return {"old": Item("missing", n), "new": Item("missing", n)}
        work = self.models.adapters.work_directory(key)
        return {
            version: Item("stored" if _is_kept(work, version) else "missing", n)
            for version in ("old", "new")
        }

    def tokenizer(self, version: Version) -> PreTrainedTokenizerBase:
        """Return a version's tokenizer, loaded once.

        Raises:
            ModelError: If it cannot be loaded.
        """
        spec = self.models.spec(version)
        return self._memo.once((version,), lambda: load_tokenizer(spec))

    @cached_property
    def is_empty(self) -> bool:
        """Whether the cache holds nothing: then no digest of large files is needed to know that."""
        return not cache_contents(self.settings.cache).size


def _is_kept(work: Path, version: str) -> bool:
    return (work / f"{version}.json").is_file() and (work / f"{version}.states").is_file()


def _describe(table: Predictions) -> str:
    """Return when a table was recorded, and who answered."""
    said = [_date(table), f"answered by {table.model}" if table.model else ""]
    return ", ".join(filter(None, said))


def _date(table: Predictions) -> str:
    return str(table.facts.get("date", ""))[:10]


def _problem(error: MuscleError) -> str:
    """Return an error on one line, its first details among it."""
    details = "; ".join(error.details[:2])
    return f"{error.problem}: {details}" if details else error.problem
