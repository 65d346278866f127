"""A task: its examples, rendered from data by the templates of muscle.toml."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pytest_muscle.digests import ListDigest
from pytest_muscle.errors import ConfigurationError, DataError, ModelError
from pytest_muscle.settings import GateSettings, Settings, TaskSettings
from pytest_muscle.settings.table import join
from pytest_muscle.tasks.choices import ChoiceRenderer
from pytest_muscle.tasks.decoding import Decoding
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.examples import Examples, ExamplesById
from pytest_muscle.tasks.fewshot import Shots, draw_rows, find_rows
from pytest_muscle.tasks.generation import GenerationRenderer
from pytest_muscle.tasks.grading import Grade, Grader
from pytest_muscle.tasks.memory import DigestMemory
from pytest_muscle.tasks.metrics import ChoiceMetric, find_choice_metric, resolve_metric
from pytest_muscle.tasks.renderer import Renderer, append
from pytest_muscle.tasks.rows import read_rows
from pytest_muscle.wording import counted


@dataclass(frozen=True)
class Task:
    """One task of muscle.toml.

    Attributes:
        name: Its name in muscle.toml.
        settings: Its table in muscle.toml.
        root: The directory that its data's paths are relative to.
        file: Name of the configuration file, for errors.
        limit: Only the first so many evaluation examples, or all.
        memory: Where digests of the data are remembered; none reads the data each time.
    """

    name: str
    settings: TaskSettings = field(repr=False)
    root: Path = field(repr=False)
    file: str
    limit: int | None = None
    memory: DigestMemory | None = field(default=None, repr=False, compare=False)

    @property
    def gate(self) -> GateSettings:
        """The limits of muscle.toml for this task, for `assert_gate`."""
        return self.settings.gate

    @property
    def kind(self) -> str:
        """What is asked: `kind` of muscle.toml."""
        return str(self.settings.kind)

    @property
    def metric(self) -> str:
        """Name of the metric; of a plugin's the function that it stands for."""
        return resolve_metric(self.settings.metric or ("exact_match" if self.generates else "acc"))

    @property
    def generates(self) -> bool:
        """Whether answers are texts that the model writes, not options that it chooses."""
        return self.kind == "generation"

    @property
    def is_imported(self) -> bool:
        """Whether nothing is asked, and both models' answers are read from logs."""
        return self.kind == "predictions"

    @property
    def tolerance(self) -> float:
        """The largest change of a score that is no flip."""
        return self.settings.tolerance

    @property
    def is_graded(self) -> bool:
        """Whether it is known before any answer that scores are marks between right and wrong."""
        return self.generates and (self.settings.repeats > 1 or bool(self._grader.graded))

    @cached_property
    def decoding(self) -> Decoding | None:
        """How answers are written; none where options are chosen."""
        keys = self.settings
        if not self.generates:
            return None
        stop = keys.stop
        if stop is None:
            # As lm-evaluation-harness: an untrained model goes on with the next example.
            stop = keys.fewshot_separator if keys.fewshot and not keys.chat else ""
        return Decoding(
            max_new_tokens=keys.max_new_tokens,
            stop=tuple(filter(None, (stop,) if isinstance(stop, str) else stop)),
            no_repeat_ngram_size=keys.no_repeat_ngram_size,
            temperature=keys.temperature,
            top_k=keys.top_k,
            top_p=keys.top_p,
            repeats=keys.repeats,
            seed=(keys.seed + keys.draws) % 2**32,
        )

    @property
    def conditions(self) -> dict[str, Any]:
        """What determines texts and scores beside examples and metric; nothing where options are.

        JSON values by the names of keys in muscle.toml.
        """
        if self.decoding is None:
            return {}
        keys = self.settings
        return {
            **self.decoding.to_json(),
            "extract": keys.extract,
            "extract_match": keys.extract_match,
            "normalise": sorted(keys.normalise),
        }

    @cached_property
    def renderer(self) -> Renderer:
        """The task's templates, compiled; what is wrong with its metric shows here too."""
        if not self.generates:
            return ChoiceRenderer(self.settings, where=self._where)
        _ = self._grader
        return GenerationRenderer(self.settings, where=self._where)

    @cached_property
    def _metric(self) -> ChoiceMetric:
        return find_choice_metric(self.metric, where=f"{self._where}.metric")

    @cached_property
    def _grader(self) -> Grader:
        return Grader(self.settings, where=self._where)

    @property
    def _where(self) -> str:
        return f"{self.file}: {join('tasks', self.name)}"

    @property
    def eval(self) -> Sequence[Example]:
        """The evaluation examples, in the data's order; a long list of them is kept on disk.

        Raises:
            DataError: For a row that is not usable; it names file and line.
        """
        return self._evaluation[0]

    @cached_property
    def eval_by_id(self) -> ExamplesById:
        """The evaluation examples by id; the data are read when the first one is asked for."""
        return ExamplesById(lambda: self._evaluation[0])

    @property
    def train(self) -> Sequence[Example]:
        """The training examples, in the data's order; empty where there is no train set.

        Raises:
            DataError: For a row that is not usable; it names file and line.
        """
        return self._training[0]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that determines the evaluation: kind, metric, examples.

        Data that have not changed since it was remembered are not read.

        Raises:
            DataError: For a row that is not usable; it names file and line.
        """
        return self._recall("eval", lambda: self._evaluation[1])

    @cached_property
    def train_digest(self) -> str:
        """SHA-256 of the training examples in their order, delimiter included.

        Data that have not changed since it was remembered are not read.

        Raises:
            DataError: For a row that is not usable; it names file and line.
        """
        return self._recall("train", lambda: self._training[1])

    @cached_property
    def _evaluation(self) -> tuple[Examples, str]:
        keys = self.settings
        if self.is_imported:
            raise ConfigurationError(
                "asks nothing: its kind is 'predictions', both models' answers are read",
                where=self._where,
                hint="set another kind to ask a model",
            )
        conditions = [self.conditions] if self.generates else []
        digest = ListDigest(self.kind, self.metric, keys.delimiter, *conditions)
        examples = self._read(
            keys.eval, lambda example: digest.add([example.id, example.digest]), self.limit
        )
        self._check_memory("eval")
        return examples, digest.hexdigest()

    @cached_property
    def _training(self) -> tuple[Examples, str]:
        # Of what is generated the end of the answer is learnt too.
        kind = ["generation"] if self.generates else []
        digest = ListDigest(self.settings.delimiter, *kind)
        data = self.settings.train
        examples = (
            self._read(data, lambda example: digest.add(_learnt(example))) if data else Examples(())
        )
        self._check_memory("train")
        return examples, digest.hexdigest()

    @cached_property
    def _shots(self) -> Shots:
        """The few-shot examples; their data is read for them."""
        keys, renderer = self.settings, self.renderer
        data = keys.fewshot_data or keys.train
        if not keys.fewshot or data is None:
            return Shots()
        rows = read_rows(data, self.root)
        where = f"{self._where}.fewshot"
        if isinstance(keys.fewshot, tuple):
            ids = list(map(str, keys.fewshot))
            found = find_rows(rows, ids, renderer.id, data=data, where=where)
            return Shots(tuple(map(renderer.question, found)))
        found = draw_rows(rows, keys.fewshot + 1, keys.seed, renderer.id)
        examples = tuple(map(renderer.question, found))
        if len(examples) < keys.fewshot:
            raise DataError(
                f"{data} has {counted(len(examples), 'example')}, fewer than {keys.fewshot}",
                where=where,
                hint="ask for fewer, or name other data as fewshot_data",
            )
        spare = examples[keys.fewshot] if len(examples) > keys.fewshot else None
        return Shots(examples[: keys.fewshot], spare)

    def _recall(self, part: Literal["eval", "train"], compute: Callable[[], str]) -> str:
        read = {"eval": "_evaluation", "train": "_training"}[part]
        if self.memory is None or read in vars(self):  # read before, maybe from another file
            return compute()
        return self.memory.recall(self, part, compute)

    def _check_memory(self, part: Literal["eval", "train"]) -> None:
        if self.memory is not None:
            self.memory.check(self, part)

    def continuation(self, example: Example, option: int) -> str:
        """Return an option as it is appended to the prompt: with the delimiter before it.

        A prompt that ends in white space brings its own delimiter.
        """
        return append(example.prompt, self.settings.delimiter, example.options[option])

    def pairs(self, example: Example) -> list[tuple[str, str]]:
        """Return what is scored of an example: for each option a prompt and what follows it."""
        options = range(len(example.options))
        return [(example.prompt, self.continuation(example, option)) for option in options]

    def answer(self, loglikelihoods: tuple[float, ...], example: Example) -> int:
        """Return the index of the option that the task's metric chooses.

        Args:
            loglikelihoods: Of each option, in nats.
            example: What was asked.

        Raises:
            ModelError: If a log-likelihood is not a number.
            ConfigurationError: If the metric fails or chooses what is no option.
        """
        where = f"{self._where}.metric"
        if any(math.isnan(value) for value in loglikelihoods):
            raise ModelError(
                f"a log-likelihood of example {example.id!r} is not a number",
                where=self._where,
                hint='the weights may be damaged or overflow: try run.dtype = "float32"',
            )
        metric = self._metric
        try:
            chosen = operator.index(metric(loglikelihoods, example.options))
        except Exception as error:  # whatever the user's own metric does
            raise ConfigurationError(
                f"{self.metric} fails on example {example.id!r}: {type(error).__name__}: {error}",
                where=where,
                hint="a metric takes log-likelihoods and options and returns an option's index",
            ) from error
        if not 0 <= chosen < len(example.options):
            raise ConfigurationError(
                f"{self.metric} chose {chosen} of {len(example.options)} options "
                f"of example {example.id!r}",
                where=where,
                hint="a metric returns an option's index, from 0",
            )
        return chosen

    def grade(self, text: str, example: Example) -> Grade:
        """Return what a text is worth as the answer to an example of a generation task.

        Args:
            text: What the model wrote, without the prompt.
            example: What was asked.

        Raises:
            ConfigurationError: If the metric fails or gives neither a bool nor a finite number, or
                the regular expression takes too long.
        """
        return self._grader.grade(text, example)

    def _read(
        self, data: str, each: Callable[[Example], None], limit: int | None = None
    ) -> Examples:
        """Read, render and check all rows, and hand each example to `each`."""

        def rendered() -> Iterator[Example]:
            rows = islice(read_rows(data, self.root), limit)
            for example, _ in self.renderer.examples(rows, self._shots):
                each(example)
                yield example

        examples = Examples(rendered())
        repeated = examples.find_repeated()
        if repeated is not None:
            first, second = repeated
            raise DataError(
                f"id {examples[second].id!r} stands already at {self._place(data, first)}",
                where=self._place(data, second),
                hint="ids name examples: give each its own, or remove the duplicate row",
            )
        return examples

    def _place(self, data: str, position: int) -> str:
        return next(islice(read_rows(data, self.root), position, None)).where


def _learnt(example: Example) -> str | list[str]:
    """Return what stands for an example that adapters learn from."""
    return example.digest if example.target is None else [example.digest, example.target]


def build_tasks(
    settings: Settings,
    memory: DigestMemory | None = None,
    task_of: Callable[..., Task] = Task,
) -> Mapping[str, Task]:
    """Return the tasks of muscle.toml by name; their data is read on first use.

    Args:
        settings: What the user configured.
        memory: Where digests of the data are remembered, if anywhere.
        task_of: Makes a task of its attributes.
    """
    return {
        name: task_of(
            name=name,
            settings=table,
            root=settings.root,
            file=settings.path.name,
            limit=settings.limit,
            memory=memory,
        )
        for name, table in settings.tasks.items()
    }
