"""What a run came to: the one data structure that every report file is written from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pytest_muscle.reports.curves import Training
from pytest_muscle.reports.history import PastRun

if TYPE_CHECKING:
    from pytest_muscle.reports.margins import Margins
    from pytest_muscle.reports.terminal import TaskSummary

VERSION = 1
"""Of `RunReport` as report.json has it. A field more leaves it; another meaning raises it."""

MOST_FLIPS = 10
"""Most flipped examples that Markdown shows of a task."""

Change = Literal["negative", "positive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many examples are right or wrong with the old model and with a newer one.

    Attributes:
        negative: Right before and wrong now; of graded scores, those that fall. Where a gate was
            decided early, those seen by then.
        positive: Wrong before and right now; of graded scores, those that rise. None where the
            newer model was not asked all examples, as the next two.
        both_right: Right with both; none of graded scores.
        both_wrong: Wrong with both; none of graded scores.
        unasked: Examples that the newer model was not asked.
    """

    negative: int
    positive: int | None = None
    both_right: int | None = None
    both_wrong: int | None = None
    unasked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreChanges:
    """How far graded scores moved from old to a newer model, counted in bins of equal width.

    Attributes:
        edges: Ends of the bins, newer less old score, rising; one more than bins. Zero is in the
            middle of the middle bin.
        counts: How many examples are in each bin.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedExample:
    """One example that flipped, from old to new or from old to compat, in plain values.

    What is none is not known: there is no such model, it was not asked, or answers are not texts.

    Attributes:
        position: Its place among the examples that the old model answered, from 0.
        id: The example's id; as text unless it is a whole number.
        question: The prompt without its few-shot examples.
        gold: The right answer in words, as the answers.
        to_new: "negative", "positive" or none, from old to new.
        to_compat: The same, from old to compat.
        old: The old model's answer in words.
        new: The new model's.
        compat: That of the new model with the compat adapter.
        old_score: The metric's value for the old answer, of graded scores.
        new_score: For the new one.
        compat_score: For the compat model's.
        old_text: All that the old model wrote, where it wrote a text.
        new_text: The new model.
        compat_text: The compat model.
        old_margin: What the metric compares of the right option less the most of any other, by
            the old model; see `Margins`. None where log-likelihoods are not known.
        new_margin: By the new model.
        compat_margin: By the compat model.
        slices: Its values of the columns that group the examples, as texts, by column.
    """

    position: int
    id: str | int
    question: str | None = None
    gold: str | None = None
    to_new: Change | None = None
    to_compat: Change | None = None
    old: str | None = None
    new: str | None = None
    compat: str | None = None
    old_score: float | None = None
    new_score: float | None = None
    compat_score: float | None = None
    old_text: str | None = None
    new_text: str | None = None
    compat_text: str | None = None
    old_margin: float | None = None
    new_margin: float | None = None
    compat_margin: float | None = None
    slices: Mapping[str, str] | None = None

    def merge(self, other: FlippedExample) -> FlippedExample:
        """Return this example with what only the other one knows of it."""
        names = [known.name for known in dataclasses.fields(self)]
        mine = {name: getattr(self, name) for name in names}
        others = {name: getattr(other, name) for name in names if mine[name] is None}
        return dataclasses.replace(self, **others)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDetails:
    """What the summary of a task leaves out, in plain values that travel between processes.

    Attributes:
        task: Name of the task.
        models: What answered, in words, by "old", "new" and "compat".
        counts: How many are right or wrong, by "new" and "compat".
        flips: The examples that flipped, in the order of the old model's answers.
        changes: Of graded scores: how far they moved, by "new" and "compat".
        margins: Those of the negative flips, by "new" and "compat", where options were chosen by
            log-likelihoods that are known.
        training: How the adapters were trained, by "old", "new" and "compat"; those that this run
            used.
    """

    task: str
    models: Mapping[str, str]
    counts: Mapping[str, Counts]
    flips: tuple[FlippedExample, ...] = ()
    changes: Mapping[str, ScoreChanges] = field(default_factory=dict)
    margins: Mapping[str, Margins] = field(default_factory=dict)
    training: Mapping[str, Training] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the details as a dictionary of JSON values."""
        return {
            "task": self.task,
            "models": dict(self.models),
            "counts": {side: dataclasses.asdict(counts) for side, counts in self.counts.items()},
            "flips": [flip_values(flip) for flip in self.flips],
            "changes": {
                side: {"edges": list(moved.edges), "counts": list(moved.counts)}
                for side, moved in self.changes.items()
            },
            "margins": {side: dataclasses.asdict(of) for side, of in self.margins.items()},
            "training": {side: dataclasses.asdict(of) for side, of in self.training.items()},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TaskDetails:
        """Return the details that `to_json` wrote."""
        from pytest_muscle.reports.margins import Margins

        return cls(
            task=values["task"],
            models=values["models"],
            counts={side: Counts(**counts) for side, counts in values["counts"].items()},
            flips=tuple(FlippedExample(**flip) for flip in values["flips"]),
            changes={
                side: ScoreChanges(edges=tuple(moved["edges"]), counts=tuple(moved["counts"]))
                for side, moved in values["changes"].items()
            },
            margins={side: Margins.from_json(of) for side, of in values["margins"].items()},
            training={side: Training.from_json(of) for side, of in values["training"].items()},
        )

    def merge(self, other: TaskDetails) -> TaskDetails:
        """Return these details with what only the other ones know of the same task."""
        flips = {flip.position: flip for flip in self.flips}
        for flip in other.flips:
            known = flips.get(flip.position)
            flips[flip.position] = flip if known is None else known.merge(flip)
        return TaskDetails(
            task=self.task,
            models={**other.models, **self.models},
            counts={**other.counts, **self.counts},
            flips=tuple(flips[position] for position in sorted(flips)),
            changes={**other.changes, **self.changes},
            margins={**other.margins, **self.margins},
            training={**other.training, **self.training},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTest:
    """One test of a task that failed.

    Attributes:
        nodeid: pytest's name of it.
        message: The first line of what it said.
        file: Its file, relative to pytest's root directory.
        line: Its first line, from 1, where it is known.
    """

    nodeid: str
    message: str
    file: str
    line: int | None = None


class GateLimit(NamedTuple):
    """The limit on negative flips that `[gate]` sets for a task, of the new and the compat model.

    Attributes:
        max_nfr: Largest negative flip rate, 0-1; none where the limit is above the noise floor.
        floor_margin: Largest negative flip rate above the noise floor, 0-1.
        confidence: Of the one-sided upper bound that must keep the limit, adjusted where it is
            held family-wise; none where the rate itself must.
    """

    max_nfr: float | None = None
    floor_margin: float | None = None
    confidence: float | None = None

    def place(self, summary: TaskSummary) -> float | None:
        """Return the rate that must be kept; none where it is above a floor that is not known."""
        if self.floor_margin is None:
            return self.max_nfr
        return None if summary.noise is None else summary.noise.rate + self.floor_margin


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """What a run says of one task.

    Attributes:
        name: Name of the task.
        tests: How many of its tests were run.
        failed: Those that failed.
        summary: What the terminal's table shows; none where nothing was compared.
        details: What that leaves out; none where nothing was compared.
        limit: What the configuration allows of negative flips; none where it has no such limit.
    """

    name: str
    tests: int = 0
    failed: tuple[FailedTest, ...] = ()
    summary: TaskSummary | None = None
    details: TaskDetails | None = None
    limit: GateLimit | None = None

    @property
    def passed(self) -> bool | None:
        """Whether all of its tests passed; none where none was run."""
        return not self.failed if self.tests else None

    @property
    def negative_flips(self) -> tuple[FlippedExample, ...]:
        """The examples that the new model breaks; without one, those that the compat model does."""
        if self.details is None:
            return ()
        to = "to_new" if "new" in self.details.counts else "to_compat"
        flips = self.details.flips
        return tuple(flip for flip in flips if getattr(flip, to) == "negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run came to.

    Attributes:
        written: When, ISO 8601 in UTC.
        pytest_muscle: The version of pytest-muscle.
        settings: Name of the configuration file.
        old: The old model as it is configured, in words.
        new: The new model as it is configured, in words.
        commit: The commit that the CI service says it builds, else the one that is checked out.
        limit: Of each task only so many examples were looked at; none where all were.
        exit_status: pytest's exit code.
        tasks: Those that were compared or tested, in the order of the file.
        history: The last runs before this one, the oldest first, where there is a history.
        history_skipped: How many lines of it among them could not be read.
    """

    written: str
    pytest_muscle: str
    settings: str
    old: str | None = None
    new: str | None = None
    commit: str | None = None
    limit: int | None = None
    exit_status: int = 0
    tasks: tuple[TaskReport, ...] = ()
    history: tuple[PastRun, ...] = ()
    history_skipped: int = 0

    @property
    def interrupted(self) -> bool:
        """Whether the run was stopped before its end, so that this is what was known by then."""
        return self.exit_status == 2  # pytest.ExitCode.INTERRUPTED

    @property
    def verdict(self) -> Literal["passed", "failed", "none"]:
        """Whether the tests of all tasks passed; "none" where none was run, or not all were."""
        outcomes = [task.passed for task in self.tasks]
        if False in outcomes:
            return "failed"
        return "passed" if True in outcomes and not self.interrupted else "none"


_FLIP_FIELDS = tuple(known.name for known in dataclasses.fields(FlippedExample))


def flip_values(flip: FlippedExample) -> dict[str, Any]:
    """Return what is known of a flipped example as JSON values; the rest is left out."""
    values = ((name, getattr(flip, name)) for name in _FLIP_FIELDS)
    return {name: value for name, value in values if value is not None}
