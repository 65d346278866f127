"""Builds of one version that the noise floor is measured between: what each of them differs in.

A build is the same configuration with one value changed: the seed of the task adapter, the dtype,
the size of batches, or the seed of drawn answers. The usual predictions are those of the first one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import ConfigurationError, TrainingError
from pytest_muscle.settings import Settings
from pytest_muscle.tasks import Task
from pytest_muscle.training.given import is_given
from pytest_muscle.wording import counted

if TYPE_CHECKING:
    from pytest_muscle.models.placement import Placement
    from pytest_muscle.settings.gate_keys import Variation
    from pytest_muscle.task_models import Version

BUILDS = 3
"""How many where that is left out: from three on the floor's interval covers other builds."""

SEEDS = 2**32
"""Seeds are below this."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """One build of a version, other than the usual one.

    Attributes:
        settings: The configuration that it is built by.
        number: Which build it is; 1 is the usual one.
        count: How many there are.
        variation: What is other in it, where no other part of the predictions' key says so.
    """

    settings: Settings
    number: int
    count: int
    variation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """What progress says of it."""
        return f", build {self.number} of {self.count}"


@dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """Which builds the noise floor is measured between.

    Attributes:
        version: Which version they are of.
        varied: What they differ in.
        others: All but the usual one.
    """

    version: Version
    varied: Variation
    others: tuple[Build, ...]


def plan_builds(settings: Settings, task: Task, placement: Placement) -> BuildPlan:
    """Return the builds that `[noise]` asks for.

    Args:
        settings: What the user configured.
        task: The task that they answer.
        placement: Where models run.

    Raises:
        ConfigurationError: If there are no such builds; it names the key.
    """
    version = _version(settings)
    varied = settings.noise.vary
    if varied is None:
        varied = _usual_variation(settings, task, version, placement)
    elif (problem := _find_problem(settings, task, version, varied)) is not None:
        raise problem
    kinds = {"seed": _by_seed, "dtype": _by_dtype, "batch": _by_batch, "sampling": _by_sampling}
    changed = kinds[varied](settings, task, placement)
    others = tuple(
        Build(
            settings=other,
            number=number,
            count=len(changed) + 1,
            variation={"batch_tokens": other.run.batch_tokens} if varied == "batch" else {},
        )
        for number, other in enumerate(changed, start=2)
    )
    return BuildPlan(version=version, varied=varied, others=others)


def check_noise(settings: Settings, tasks: Iterable[Task]) -> None:
    """Refuse a variation that none of the tasks can have, before any model loads.

    Raises:
        ConfigurationError: It says why.
    """
    varied, version = settings.noise.vary, settings.noise.version or "new"
    if varied is None or getattr(settings, version) is None:
        return
    problems = [_find_problem(settings, task, version, varied) for task in tasks]
    if problems and problems[0] is not None and None not in problems:
        raise problems[0]


def missing_adapters(task: Task, plan: BuildPlan, missing: Sequence[Path]) -> TrainingError:
    """Return the error for adapters that are to be trained and must not be.

    Args:
        task: The task.
        plan: The builds.
        missing: Where the adapters would be stored.
    """
    return TrainingError(
        f"the noise floor of task {task.name!r} is measured between {len(plan.others) + 1} builds "
        f"of the {plan.version} version with task adapters of other seeds; "
        f"{counted(len(missing), 'adapter')} of them not stored, and --muscle-no-train forbids "
        "training:",
        where=str(missing[0].parent),
        details=[path.name for path in missing],
        hint="run the same configuration without --muscle-no-train on a machine that may train, "
        "and bring these folders here; or vary what needs no training, as [noise] "
        'vary = "dtype"',
    )


def _version(settings: Settings) -> Version:
    version = settings.noise.version or ("old" if settings.new is None else "new")
    if getattr(settings, version) is None:
        raise ConfigurationError(
            f"the noise floor is measured between builds of the {version} version, which is not "
            "configured",
            where=f"{settings.path.name}: noise.version",
            hint=f"add [{version}] with model = …, or set version to the other one",
        )
    return version


def _usual_variation(
    settings: Settings, task: Task, version: Version, placement: Placement
) -> Variation:
    usual: tuple[Variation, Variation] = "seed", "sampling"
    for varied in usual:
        if _find_problem(settings, task, version, varied) is None:
            return varied
    from pytest_muscle.models.device import runnable_dtypes

    dtypes = runnable_dtypes(placement.device, placement.dtype)
    return "dtype" if (settings.noise.repeats or 2) <= len(dtypes) else "batch"


def _find_problem(
    settings: Settings, task: Task, version: Version, varied: Variation
) -> ConfigurationError | None:
    """Return why builds of a task cannot differ in something, or none where they can."""
    problem, other = None, 'vary = "dtype" or "batch"'
    if varied == "seed" and is_given(settings, version, task):
        problem = (
            f"the {version} version's adapter for task {task.name!r} is given, so there is none to "
            "train with other seeds"
        )
    elif varied == "seed" and task.settings.train is None:
        problem = f"task {task.name!r} has no train set, so there is no adapter to train again"
    elif varied == "sampling" and task.decoding is None:
        problem = f"task {task.name!r} chooses among options: no answer is drawn"
    elif varied == "sampling" and task.decoding is not None and not task.decoding.samples:
        problem = (
            f"the answers of task {task.name!r} are greedy: with temperature = 0 none is drawn"
        )
        other = f"temperature above 0, or {other}"
    if problem is None:
        return None
    return ConfigurationError(
        problem,
        where=f"{settings.path.name}: noise.vary",
        hint=f"set {other}; left out, each task varies what it can",
    )


def _count(settings: Settings) -> int:
    return settings.noise.repeats or BUILDS


def _by_seed(settings: Settings, task: Task, placement: Placement) -> list[Settings]:
    recipe = settings.adapter
    return [
        replace(settings, adapter=replace(recipe, seed=(recipe.seed + number) % SEEDS))
        for number in range(1, _count(settings))
    ]


def _by_sampling(settings: Settings, task: Task, placement: Placement) -> list[Settings]:
    return [
        replace(settings, tasks={**settings.tasks, task.name: replace(task.settings, draws=number)})
        for number in range(1, _count(settings))
    ]


def _by_dtype(settings: Settings, task: Task, placement: Placement) -> list[Settings]:
    from pytest_muscle.models.device import runnable_dtypes

    dtypes = runnable_dtypes(placement.device, placement.dtype)
    count = settings.noise.repeats or len(dtypes)
    if count > len(dtypes):
        raise ConfigurationError(
            f"asks for {count} builds of task {task.name!r} that differ in dtype, and device "
            f"{placement.device!r} runs {len(dtypes)} types: {', '.join(dtypes)}",
            where=f"{settings.path.name}: noise.repeats",
            hint='leave repeats out, or set vary = "batch"',
        )
    return [
        replace(settings, run=replace(settings.run, dtype=dtype))  # type: ignore[arg-type]
        for dtype in dtypes[1:count]
    ]


def _by_batch(settings: Settings, task: Task, placement: Placement) -> list[Settings]:
    """Return builds with batches of half the tokens, a quarter …; the last one has no batches."""
    from pytest_muscle.models.memory import MOST_CACHED, MOST_TOKENS

    most, count = settings.run.batch_tokens, _count(settings)
    if most == "auto":
        most = (MOST_CACHED if task.generates else MOST_TOKENS)[placement.device]
    sizes = [most >> halvings for halvings in range(count - 1)]
    if sizes[-1] < 2:
        raise ConfigurationError(
            f"batches of {most} tokens cannot be halved for {count} builds that differ in their "
            "size",
            where=f"{settings.path.name}: noise.repeats",
            hint="set fewer repeats, or a larger batch_tokens in [run]",
        )
    return [
        replace(settings, run=replace(settings.run, batch_tokens=size)) for size in (*sizes[1:], 1)
    ]
