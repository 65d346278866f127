"""What a run would cost: tokens, floating-point operations, time and memory, all of them about.

A forward pass takes 2 operations per weight and token, a training step 6 (Kaplan et al. 2020,
table 1), less the 2 that gradients of weights take which are not trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pytest_muscle.errors import MuscleError
from pytest_muscle.models.memory import MOST_TOKENS
from pytest_muscle.models.spec import first_line
from pytest_muscle.overview.models import ModelFacts
from pytest_muscle.overview.peak import Peak, answering_peak, training_peak
from pytest_muscle.overview.speed import LAUNCHING, UTILISATION, Past, find_past, probe
from pytest_muscle.overview.stock import Item, Stock, TaskStock
from pytest_muscle.overview.work import Training, Work, answering_work, sample, training_work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from pytest_muscle.settings import TrainingSettings
    from pytest_muscle.task_models import Side, Version

Kind = Literal["forward", "training"]


@dataclass(frozen=True)
class Step:
    """One thing that a run does with a model.

    Attributes:
        task: Name of the task.
        what: What it is, as a run's progress bars say.
        examples: How many examples it goes through, repeats counted.
        tokens: Positions that the model runs.
        operations: Floating-point operations.
        seconds: How long that takes.
        peak: Memory.
        at_most: Whether it may be less.
        unknown: Why the figures are not known; none where they are.
    """

    task: str
    what: str
    examples: float
    tokens: float = 0
    operations: float = 0
    seconds: float = 0
    peak: Peak | None = None
    at_most: bool = False
    unknown: str | None = None


@dataclass
class Estimate:
    """All that a run would do.

    Attributes:
        steps: One by one.
        basis: What times rest on where no training was measured, a sentence each.
        pasts: The trainings that the other times rest on.
    """

    steps: list[Step] = field(default_factory=list)
    basis: list[str] = field(default_factory=list)
    pasts: list[Past] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it takes, the steps that are known."""
        return sum(step.seconds for step in self.steps)

    @property
    def operations(self) -> float:
        """Floating-point operations of the steps that are known."""
        return sum(step.operations for step in self.steps)

    @property
    def peak(self) -> Peak | None:
        """The highest peak of memory."""
        peaks = [step.peak for step in self.steps if step.peak is not None]
        return max(peaks, key=lambda peak: peak.size, default=None)


class Estimator:
    """Estimates what is to be made of some tasks.

    Args:
        stock: What is stored.
        facts: The base models by version, those that are configured.
    """

    def __init__(self, stock: Stock, facts: dict[Version, ModelFacts]) -> None:
        self._stock = stock
        self._facts = facts
        self._basis: dict[str, None] = {}
        self._pasts: dict[Past, None] = {}

    def estimate(self, tasks: Sequence[TaskStock]) -> Estimate:
        """Return what a run would do for these tasks."""
        steps = [step for stock in tasks for step in self._steps(stock)]
        return Estimate(steps, list(self._basis), list(self._pasts))

    def _steps(self, stock: TaskStock) -> Iterator[Step]:
        sides: tuple[Side, ...] = ("old", "new", "compat")
        for side in sides:
            adapter, answers = stock.adapters.get(side), stock.answers.get(side)
            if adapter is not None and adapter.is_made:
                yield from self._known(stock, side, adapter, self._training)
            if answers is not None and answers.is_made:
                yield from self._known(stock, side, answers, self._answering)

    def _known(
        self,
        stock: TaskStock,
        side: Side,
        item: Item,
        estimate: Callable[[TaskStock, Side, Item], Iterator[Step]],
    ) -> list[Step]:
        """Return steps as they are estimated, or one that says why they cannot be."""
        try:
            return list(estimate(stock, side, item))
        except MuscleError as error:
            problem = error.problem
        except RuntimeError as error:  # the probe found no room on the device
            problem = first_line(error)
        what = "compat adapter" if side == "compat" else f"{side} task adapter"
        if estimate == self._answering:
            what = f"{side} model answers"
        return [Step(stock.task.name, what, item.n - item.done, unknown=problem)]

    def _answering(self, stock: TaskStock, side: Side, item: Item) -> Iterator[Step]:
        version: Version = "old" if side == "old" else "new"
        task, facts, n = stock.task, self._facts[version], item.n - item.done
        what = f"{side} model answers"
        if not facts.is_known or facts.placement is None:
            yield _unknown(task.name, what, n, facts)
            return
        some = sample(task.eval, len(task.eval))
        work = answering_work(task, some, self._tokenizer(version), facts.placement.device)
        work = work.times(n / max(len(some), 1))
        measured = self._measured(stock, side)
        loaded = [facts]
        if side != "old" and stock.answers["old"].is_made:
            loaded.insert(0, self._facts["old"])
        yield Step(
            task.name,
            what,
            n,
            work.tokens,
            _forward(work, facts),
            self._seconds("forward", work, facts, _forward(work, facts), measured),
            answering_peak(loaded, work.at_once, what),
            at_most=item.at_most or work.longest,
        )

    def _training(self, stock: TaskStock, side: Side, item: Item) -> Iterator[Step]:
        version: Version = "old" if side == "old" else "new"
        task, facts = stock.task, self._facts[version]
        what = "compat adapter" if side == "compat" else f"{side} task adapter"
        if not facts.is_known or facts.placement is None:
            yield _unknown(task.name, what, item.n, facts)
            return
        work, lora = self._work(stock, side), self._lora(facts)
        if side == "compat":
            for teacher, kept in stock.teachers.items():
                if kept.is_made:
                    yield self._teaching(stock, teacher, work)
        learning = _training(work.learnt, facts, lora, teachers=side == "compat")
        checking = _forward(work.validated, facts)
        measured = self._measured(stock, side)
        seconds = self._seconds("training", work.learnt, facts, learning, measured)
        seconds += self._seconds("forward", work.validated, facts, checking, measured)
        recipe = self._recipe(side)
        yield Step(
            task.name,
            what,
            self._seen(stock, side),
            work.learnt.tokens + work.validated.tokens,
            learning + checking,
            seconds,
            training_peak(
                facts,
                max(work.learnt.at_once, work.learnt.row),
                lora,
                what,
                teacher=self._facts.get("old") if side == "compat" else None,
                checkpointing=recipe.gradient_checkpointing,
            ),
            at_most=item.state == "begun",
        )

    def _teaching(self, stock: TaskStock, version: Version, training: Training) -> Step:
        facts, what = self._facts[version], f"{version} model teaches"
        if not facts.is_known or facts.placement is None:
            return _unknown(stock.task.name, what, training.kept, facts)
        work = training.read
        operations = _forward(work, facts, self._lora(facts))
        measured = self._measured(stock, version)
        seconds = self._seconds("forward", work, facts, operations, measured)
        peak = answering_peak([facts], work.at_once, what)
        n, name = training.kept, stock.task.name
        return Step(name, what, n, work.tokens, operations, seconds, peak)

    def _work(self, stock: TaskStock, side: Side) -> Training:
        version: Version = "old" if side == "old" else "new"
        task, facts, recipe = stock.task, self._facts[version], self._recipe(side)
        assert facts.placement is not None
        limits = (recipe.max_length, facts.number("max_position_embeddings"))
        longest = min((limit for limit in limits if limit is not None), default=None)
        n = len(task.train)
        return training_work(
            task,
            sample(task.train, n),
            n,
            self._tokenizer(version),
            recipe,
            longest,
            facts.placement.device,
        )

    def _seen(self, stock: TaskStock, side: Side) -> float:
        recipe, n = self._recipe(side), len(stock.task.train)
        if recipe.max_steps is not None:
            return recipe.max_steps * recipe.batch_size * recipe.gradient_accumulation
        return recipe.epochs * n * (1 - recipe.validation_fraction)

    def _seconds(
        self, kind: Kind, work: Work, facts: ModelFacts, operations: float, measured: float | None
    ) -> float:
        """Return how long some work takes; what is written goes on row by row."""
        if not work.tokens:
            return 0.0
        factor = UTILISATION[kind]
        share = work.written / work.tokens
        seconds = operations * (1 - share) / (self._probe(facts, work.at_once) * factor)
        if share:
            seconds += operations * share / (self._probe(facts, work.abreast) * factor)
        assert facts.placement is not None
        if facts.placement.device != "cpu":
            seconds = max(seconds, work.passes * (facts.layers or 1) * LAUNCHING[kind])
        return seconds / (1.0 if measured is None else measured)

    def _probe(self, facts: ModelFacts, tokens: float | None = None) -> float:
        """Return the speed of matrix products of so many tokens at once; the next power of two."""
        assert facts.placement is not None
        where = facts.placement
        most = MOST_TOKENS[where.device]
        rows = min(most, 1 << max(0, math.ceil(math.log2(max(tokens or most, 1)))))
        return probe(where.device, where.dtype, rows, facts.hidden or 1, facts.inner or 1)

    def _measured(self, stock: TaskStock, wanted: Side) -> float | None:
        """Return how fast an earlier training was, relative to what the probe says of it."""
        version: Version = "old" if wanted == "old" else "new"
        facts, task = self._facts[version], stock.task
        assert facts.placement is not None
        sides: dict[Side, None] = {wanted: None}
        if version == "new":
            sides |= {"new": None, "compat": None}
        for side in () if self._stock.is_empty else sides:
            past = find_past(
                self._stock.models.adapters.directory,
                task.name,
                side,
                self._stock.models.base_facts(version),
                facts.placement,
            )
            if past is not None and task.settings.train is not None:
                self._pasts[past] = None
                return self._relative(stock, side, past)
        where, reached = facts.placement, self._probe(facts) / 1e9
        self._basis[
            f"a probe: matrix products of these sizes reach {reached:,.0f} GFLOP/s "
            f"here ({where.device}, {where.dtype}), of which a run uses perhaps "
            f"{100 * UTILISATION['forward']:.0f} %, training {100 * UTILISATION['training']:.0f} %"
        ] = None
        return None

    def _relative(self, stock: TaskStock, side: Side, past: Past) -> float:
        version: Version = "old" if side == "old" else "new"
        facts, work = self._facts[version], self._work(stock, side)
        share = past.examples / max(self._seen(stock, side), 1e-9)
        learning = _training(work.learnt, facts, self._lora(facts), teachers=side == "compat")
        expected = self._seconds("training", work.learnt, facts, learning, None) * share
        checking = _forward(work.validated, facts)
        expected += self._seconds("forward", work.validated, facts, checking, None) * share
        return expected / past.seconds

    def _lora(self, facts: ModelFacts) -> float:
        """Return the number of an adapter's weights on a model."""
        recipe = self._stock.settings.adapter
        names = recipe.target_modules
        chosen = (
            tensor
            for tensor, _ in facts.matrices
            if isinstance(names, str) or any(f".{name}." in tensor.name for name in names)
        )
        return float(
            sum(
                recipe.rank * sum(tensor.shape[-2:]) * (tensor.count // _area(tensor.shape))
                for tensor in chosen
            )
        )

    def _recipe(self, side: Side) -> TrainingSettings:
        settings = self._stock.settings
        return settings.compat if side == "compat" else settings.adapter

    def _tokenizer(self, version: Version) -> PreTrainedTokenizerBase:
        return self._stock.tokenizer(version)


def _forward(work: Work, facts: ModelFacts, lora: float = 0) -> float:
    decoder = work.tokens * (facts.per_token + lora)
    return 2 * (decoder + work.projected * facts.per_projection)


def _training(work: Work, facts: ModelFacts, lora: float, *, teachers: bool) -> float:
    """Return the operations of training an adapter; a teacher's vocabulary is projected too."""
    decoder = work.tokens * (4 * facts.per_token + 6 * lora)
    return decoder + (6 if teachers else 4) * work.projected * facts.per_projection


def _area(shape: tuple[int, ...]) -> int:
    return max(1, shape[-1] * shape[-2])


def _unknown(task: str, what: str, n: float, facts: ModelFacts) -> Step:
    return Step(task, what, n, unknown="; ".join(facts.problems) or "its sizes are not known")
