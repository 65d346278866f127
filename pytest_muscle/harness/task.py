"""A task whose examples, metric and way of answering a definition of the harness gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pytest_muscle.cache import CacheKey
from pytest_muscle.digests import digest_json
from pytest_muscle.errors import ConfigurationError, DataError, MuscleError, nearest
from pytest_muscle.harness.definition import Definition, describe
from pytest_muscle.harness.judging import grade, process
from pytest_muscle.harness.loading import check_installed, harness, load_task
from pytest_muscle.harness.reference import Reference, parse_reference
from pytest_muscle.harness.requests import build_examples
from pytest_muscle.harness.snapshots import Made, Snapshot, Snapshots
from pytest_muscle.harness.sources import definition_files, source_files
from pytest_muscle.libraries import library_versions
from pytest_muscle.tasks.decoding import Decoding
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.examples import Examples
from pytest_muscle.tasks.grading import Grade
from pytest_muscle.tasks.renderer import Renderer
from pytest_muscle.tasks.task import Task
from pytest_muscle.version import __version__

READING_VERSION = 1
"""Goes up when the same definition would give other examples, or these another digest."""
_READERS = ("lm_eval", "datasets", "Jinja2")


@dataclass(frozen=True)
class HarnessTask(Task):
    """One task of muscle.toml that names a definition.

    Attributes:
        snapshots: Where its examples are kept.
    """

    snapshots: Snapshots = field(kw_only=True, repr=False, compare=False)

    @cached_property
    def reference(self) -> Reference:
        """What the table names.

        Raises:
            ConfigurationError: If an option is not usable.
        """
        return parse_reference(str(self.settings.task), self.root, f"{self._where}.task")

    @property
    def definition(self) -> Definition:
        """What the definition says; it is loaded by the harness where that is not stored.

        Raises:
            MuscleError: If it is not there, is not supported, or its data cannot be had.
        """
        return self._snapshot.definition

    @property
    def kind(self) -> str:
        """What is asked, by the definition's `output_type`."""
        return self.definition.kind

    @property
    def metric(self) -> str:
        """Name of the metric: the one that is asked for, or the definition's usual one."""
        return self.definition.choose_metric(self.settings.metric, f"{self._where}.metric")

    @property
    def filter(self) -> str:
        """Name of the filter whose answers are judged."""
        return self.definition.choose_filter(self.settings.filter, f"{self._where}.filter")

    @property
    def is_imported(self) -> bool:
        """Whether nothing is asked: never."""
        return False

    @property
    def is_graded(self) -> bool:
        """Whether scores are marks between right and wrong, as far as one answer told."""
        return self.definition.metrics[self.metric]

    @cached_property
    def decoding(self) -> Decoding | None:
        """How answers are written; none where options are chosen."""
        if not self.generates:
            return None
        values = self.definition.decoding
        return Decoding(**{**values, "stop": tuple(values["stop"])})

    @property
    def conditions(self) -> dict[str, Any]:
        """What determines answers and scores beside documents and metric."""
        definition = self.definition
        return {
            **definition.decoding,
            "filter": self.filter,
            "num_fewshot": definition.num_fewshot,
            "definition": definition.digest,
            "lm_eval": definition.lm_eval,
        }

    @cached_property
    def renderer(self) -> Renderer:
        """There are no templates; what is wrong with the definition or a key beside it shows here.

        Raises:
            MuscleError: It names file and key.
        """
        _ = self.metric, self.filter
        for key, default in (("filter", None), ("tolerance", 0)):
            if getattr(self.settings, key) != default and not self.generates:
                raise ConfigurationError(
                    "is of written answers, and this definition has options to choose from",
                    where=f"{self._where}.{key}",
                    hint="leave it out",
                )
        if self.settings.train is not None and not self.definition.trains:
            raise ConfigurationError(
                f"{self.definition.name} has no training split",
                where=f"{self._where}.train",
                hint="leave it out, or name finished adapters",
            )
        return _NoTemplates(self.settings, where=self._where)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that determines the evaluation."""
        return digest_json(
            ["lm-eval", self.kind, self.metric, self.conditions, self._snapshot.digest]
        )

    @cached_property
    def train_digest(self) -> str:
        """SHA-256 of the training examples in their order."""
        trained = self._train_snapshot
        return digest_json(["lm-eval", self.kind, trained.digest if trained else None])

    def continuation(self, example: Example, option: int) -> str:
        """Return an option as the harness appends it to the prompt: the delimiter before it."""
        return f"{self.definition.delimiter}{example.options[option]}"

    def pairs(self, example: Example) -> list[tuple[str, str]]:
        """Return what is scored of an example: for each option a prompt and what follows it."""
        if not self.definition.in_prompt:
            return super().pairs(example)
        follows = f"{self.definition.delimiter}{example.target}"
        return [(f"{example.prompt}{option}", follows) for option in example.options]

    def grade(self, text: str, example: Example) -> Grade:
        """Return what a text is worth by the definition's filter and metric.

        Raises:
            ConfigurationError: If the definition fails on it or gives no number.
        """
        with harness(self.root):
            task, _ = self._loaded
            return grade(
                task,
                example,
                text,
                metric=self.metric,
                filter_=self.filter,
                graded=self.is_graded,
                where=self._where,
            )

    @cached_property
    def _evaluation(self) -> tuple[Examples, str]:
        return self._snapshot.examples(self._check_slices), self.digest

    @cached_property
    def _training(self) -> tuple[Examples, str]:
        trained = self._train_snapshot
        examples = Examples(()) if trained is None else trained.examples(lambda _: None)
        return examples, self.train_digest

    def _check_slices(self, example: Example) -> None:
        for column in self.settings.slices:
            if column not in example.fields:
                raise DataError(
                    f"there is no column {column!r}, which {self._where}.slices names",
                    where=example.id,
                    hint=nearest(column, example.fields),
                )

    @cached_property
    def _snapshot(self) -> Snapshot:
        return self._recall_examples("eval")

    @cached_property
    def _train_snapshot(self) -> Snapshot | None:
        return None if self.settings.train is None else self._recall_examples("train")

    def _recall_examples(self, part: Literal["eval", "train"]) -> Snapshot:
        reference = self.reference
        check_installed(reference.where)
        asked = {**reference._asdict(), "include_path": str(reference.include_path), "where": None}
        made_of = {
            "version": [READING_VERSION, __version__],
            "libraries": library_versions(*_READERS),
            "part": part,
            "limit": self.limit if part == "eval" else None,
            "reference": {**asked, "text": None},
            "definitions": list(map(str, definition_files(reference))),
            "root": str(self.root),
        }
        key = CacheKey(reference.name, part, made_of)
        return self.snapshots.get(key, lambda: self._make(part))

    def _make(self, part: Literal["eval", "train"]) -> Made:
        """Load the definition and read its examples."""
        reference = self.reference
        with self._harness("its requests cannot be built"):
            task, yaml = self._loaded  # here, so that random numbers go on as in the harness
            limit = self.limit if part == "eval" else None
            examples = build_examples(task, reference, part, limit)
            definition = describe(task, reference, _tried(task, examples))
            files = source_files(task, reference, yaml, self.root)
        return Made(definition=definition, examples=examples, files=files)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The definition as the harness loads it, and its YAML file; asked for within `harness`."""
        return load_task(self.reference)

    @contextmanager
    def _harness(self, doing: str) -> Iterator[None]:
        try:
            with harness(self.root):
                yield
        except MuscleError:
            raise
        except Exception as error:  # whatever a definition's own code does
            raise ConfigurationError(
                f"the definition {self.reference.name} fails, {doing}: "
                f"{type(error).__name__}: {error}",
                where=self.reference.where,
                hint=f"does `lm_eval --tasks {self.reference.name} --limit 1` run?",
            ) from error


def _tried(task: Any, examples: list[Example]) -> Any:
    """Return what a definition's metrics give for a right answer, or none where they fail on it."""
    if not examples or examples[0].options:
        return None
    example = examples[0]
    try:
        _, results = process(task, example.fields, example.golds[0], task._filters[0].name)
    except Exception:  # some need an answer of their own form
        return None
    return dict(results) or None


class _NoTemplates(Renderer):
    """What stands for templates where there are none."""

    def question(self, row: Any) -> Example:
        raise NotImplementedError

    def answered(self, example: Example) -> str:
        raise NotImplementedError
