"""The keys of muscle.toml as frozen dataclasses; a field's `help` is what README's table says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pytest_muscle.settings.field import key as _key
from pytest_muscle.settings.gate_keys import GateSettings, NoiseSettings
from pytest_muscle.settings.paths import local_path

Kind = Literal["multiple_choice", "classification", "generation", "predictions"]
Role = Literal["system", "user", "assistant"]
Normalisation = Literal["case", "punctuation", "articles"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
SliceAdjustment = Literal["holm", "benjamini-hochberg", "none"]
Score = Literal["all", "needed"]


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """`[old]` and `[new]`: one version of the model.

    `flag` is no key: it names the flag that stands in for the file's table, for errors.
    """

    model: str = _key(
        "A directory, a hub id or a .gguf file; needed unless `predictions` is given",
        "",
        filled=True,
    )
    predictions: str | None = _key(
        "Instead of a model: its answers, in a log of another tool (`lm-eval:PATH`, …) or a table "
        "that `Predictions.save` wrote; `{task}` in it is the task's name",
        filled=True,
    )
    revision: str | None = _key(
        "Commit, branch or tag of a hub id; pin a commit, whole: 40 hex digits", filled=True
    )
    tokenizer: str | None = _key(
        "Directory or hub id of the tokenizer, if it is not the model's", filled=True
    )
    tokenizer_revision: str | None = _key(
        "Commit, branch or tag of a tokenizer on the hub", filled=True
    )
    adapter: str | None = _key(
        "PEFT directory or hub id; left out: trained from the task's train set, if it has one",
        filled=True,
    )
    adapter_revision: str | None = _key(
        "Commit, branch or tag of an adapter on the hub", filled=True
    )
    trust_remote_code: bool = _key("Run Python code that comes with the model", False)
    flag: str | None = None


@dataclass(frozen=True, kw_only=True)
class MessageSettings:
    """One message of `chat` in `[tasks.NAME]`."""

    role: Role = _key("system, user or assistant")
    content: str = _key("Jinja2 template of what is said", filled=True)


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """`[tasks.NAME]`: what is asked.

    `draws` is no key: builds that differ in drawn answers add it to `seed`, of the draws alone.
    """

    kind: Kind | None = _key(
        "multiple_choice, classification or generation; predictions: nothing is asked, both "
        "models' answers are read from logs. Needed unless `task` names a definition"
    )
    task: str | None = _key(
        "A definition of lm-evaluation-harness in place of data and templates: `lm-eval:NAME`, "
        "with options after a question mark: `?num_fewshot=5&include_path=FOLDER`",
        filled=True,
    )
    old_predictions: str | None = _key(
        "The old model's answers, where kind is predictions; left out: `predictions` of [old]",
        filled=True,
    )
    new_predictions: str | None = _key(
        "The new model's answers, likewise; left out: `predictions` of [new]", filled=True
    )
    eval: str = _key(
        "Evaluation data: a .jsonl, .csv or .parquet file, or datasets:NAME; needed unless kind is "
        "predictions or `task` names a definition",
        "",
        filled=True,
    )
    train: str | None = _key(
        "Training data of the task adapters and the compat adapter; beside `task` the word "
        "training: the definition's training split",
        filled=True,
    )
    prompt: str | None = _key(
        "Jinja2 template over the data's columns; needed unless `chat` lists the messages"
    )
    chat: bool | tuple[str | MessageSettings, ...] = _key(
        "Generation: ask through the tokenizer's chat template. true: the prompt is the user's "
        'message; or a list of templates, user and assistant in turn, or {role = "system", '
        'content = "…"}',
        False,
        filled=True,
    )
    choices: tuple[str, ...] | str | None = _key(
        'Choice kinds: templates of the options, or one "{{ column }}" that holds a list',
        filled=True,
    )
    gold: str = _key(
        "Template of the right option: its index (from 0) or its text. Generation: the right "
        'answer, or "{{ column }}" that holds a list of right ones. Needed unless kind is '
        "predictions",
        "",
        filled=True,
    )
    target: str | None = _key(
        "Generation: template of what adapters learn to write and few-shot examples show, as a "
        "worked solution; left out: the first right answer",
        filled=True,
    )
    id: str | None = _key(
        "Column of the example's id; left out: `id` if there is one, else content", filled=True
    )
    delimiter: str = _key("What stands between prompt and option or answer", " ")
    metric: str | None = _key(
        "acc, acc_norm or acc_bytes (left out: acc). Generation: exact_match, contains, f1, "
        "rouge1, rougeL, bleu or chrf (left out: exact_match). Beside `task`: one of the "
        "definition's. Or a name that a plugin adds, or package.module:function",
        filled=True,
    )
    filter: str | None = _key(
        "Beside `task`: which of the definition's filters finds the answer; needed where there "
        "are several",
        filled=True,
    )
    tolerance: float = _key(
        "Generation, predictions: score changes of at most this are no flips", 0.0, minimum=0
    )
    extract: str | None = _key(
        "Generation: regular expression of the answer within the text; its first group, if it has "
        "one. No match is no answer",
        filled=True,
    )
    extract_match: Literal["last", "first"] = _key("Which match of it: last or first", "last")
    normalise: tuple[Normalisation, ...] = _key(
        "Generation: what exact_match and contains do not look at. Numbers are compared as "
        "numbers in any case",
        ("case", "punctuation", "articles"),
    )
    max_new_tokens: int = _key(
        "Generation: most tokens of an answer", 256, minimum=1, maximum=2**20
    )
    stop: tuple[str, ...] | str | None = _key(
        "Generation: texts that end an answer; left out: `fewshot_separator`, where few-shot "
        "examples stand in the prompt's text"
    )
    no_repeat_ngram_size: int = _key(
        "Generation: no sequence of this many tokens is repeated; 0: no restriction",
        0,
        minimum=0,
        maximum=2**20,
    )
    temperature: float = _key(
        "Generation: 0 is greedy; above, answers are sampled", 0.0, minimum=0, maximum=1000
    )
    top_k: int = _key("Draw from so many of the likeliest tokens alone; 0: from all", 0, minimum=0)
    top_p: float = _key(
        "Draw from the likeliest tokens that make up this share alone", 1.0, above=0, maximum=1
    )
    repeats: int = _key(
        "How many answers are sampled for each example", 1, minimum=1, maximum=10_000
    )
    seed: int = _key(
        "Seed of sampled answers and drawn few-shot examples", 0, minimum=0, maximum=2**32 - 1
    )
    fewshot: int | tuple[str | int, ...] = _key(
        "Few-shot examples before each question: how many are drawn, or a list of their ids",
        0,
        minimum=0,
        maximum=1000,
    )
    fewshot_data: str | None = _key(
        "Data that few-shot examples are taken from; left out: the train set", filled=True
    )
    fewshot_separator: str = _key("What stands after each few-shot example", "\n\n")
    slices: tuple[str, ...] = _key("Columns whose values group examples in reports", ())
    slice_adjustment: SliceAdjustment = _key(
        "How p-values of slices are adjusted for their number: holm, benjamini-hochberg or none",
        "holm",
    )
    find_slices: bool = _key(
        "Search all columns, on one half of the examples, for where flips concentrate, and confirm "
        "on the other",
        False,
    )
    old_adapter: str | None = _key("Task adapter of the old model for this task alone", filled=True)
    new_adapter: str | None = _key("Task adapter of the new model for this task alone", filled=True)
    compat_adapter: str | None = _key("Compatibility adapter for this task alone", filled=True)
    old_adapter_revision: str | None = _key("Commit, branch or tag of it on the hub", filled=True)
    new_adapter_revision: str | None = _key("Commit, branch or tag of it on the hub", filled=True)
    compat_adapter_revision: str | None = _key(
        "Commit, branch or tag of it on the hub", filled=True
    )
    gate: GateSettings = field(default_factory=GateSettings, metadata={"help": "Limits"})
    draws: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How an adapter is trained. Defaults: the recipe of the MUSCLE paper."""

    epochs: float = _key("Passes over the training part", 10.0, above=0, maximum=10**6)
    max_steps: int | None = _key("Stop after so many optimiser steps", minimum=1)
    learning_rate: float = _key("Peak learning rate (AdamW)", 1e-4, above=0)
    warmup_steps: int | None = _key(
        "Steps of linear warm-up; left out: 500, or a tenth of all steps if that is less", minimum=0
    )
    weight_decay: float = _key("AdamW weight decay", 0.0, minimum=0)
    batch_size: int = _key("Examples per device and forward pass", 8, minimum=1)
    gradient_accumulation: int = _key("Forward passes per optimiser step", 8, minimum=1)
    max_grad_norm: float = _key("Clip the gradient's norm to this", 1.0, above=0)
    gradient_checkpointing: bool = _key("Trade time for memory", False)
    max_length: int | None = _key("Longest training example in tokens", minimum=2)
    validation_fraction: float = _key(
        "Share of the train set kept to choose the best epoch", 0.2, minimum=0, below=1
    )
    seed: int = _key("Seed of initial weights, split and order", 0, minimum=0, maximum=2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class RecipeSettings(TrainingSettings):
    """`[adapter]`: how task adapters are trained, and their LoRA weights' size and place."""

    rank: int = _key("LoRA rank r", 128, minimum=1, maximum=2**16)
    alpha: float | None = _key("LoRA alpha; left out: twice the rank", above=0)
    dropout: float = _key("LoRA dropout", 0.0, minimum=0, below=1)
    target_modules: tuple[str, ...] | str = _key(
        "Names of the layers that get LoRA weights", "all-linear", filled=True
    )


@dataclass(frozen=True, kw_only=True)
class CompatSettings(TrainingSettings):
    """`[compat]`: how the compatibility adapter is trained; keys left out are `[adapter]`'s.

    It starts from the new task adapter's weights, so alpha, dropout and layers are that adapter's.
    """

    rank: int | None = _key(
        "LoRA rank; it is the new task adapter's, so say it there ([adapter])",
        minimum=1,
        maximum=2**16,
    )
    adapter: str | None = _key(
        "A finished compat adapter, PEFT directory or hub id: no training", filled=True
    )
    adapter_revision: str | None = _key(
        "Commit, branch or tag of a compat adapter on the hub", filled=True
    )
    strategy: str = _key(
        "Training objective by name, ours or a plugin's, or package.module:function", "muscle"
    )
    temperature: float = _key("Temperature T of the distillation", 2.0, above=0)
    distillation_weight: float = _key(
        "Weight lambda of the distillation; 1 - lambda goes to cross-entropy",
        1.0,
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """`[run]`: where and how it runs."""

    device: Device = _key("auto: CUDA if there is one, else MPS, else CPU", "auto")
    dtype: Dtype = _key("auto: bfloat16 where the device is fast at it", "auto")
    batch_tokens: int | Literal["auto"] = _key("Tokens per scoring batch", "auto", minimum=1)
    score: Score = _key(
        "all examples; needed: new and compat answer only what the old model has right", "all"
    )
    cache: str = _key("Directory of trained adapters and predictions", ".muscle_cache", filled=True)
    baselines: str = _key(
        "Directory of the recorded baselines, inside the project", "muscle_baselines", filled=True
    )


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """`[report]`: what is written at the end of a run; nothing where nothing is named."""

    dir: str | None = _key(
        "Directory of report.json, report.md, report.html and metrics.txt, inside the project; "
        "left out: none",
        filled=True,
    )
    history: str | None = _key(
        "JSONL file, inside the project, that gets a line per run; report.html shows its last "
        "runs; left out: none",
        filled=True,
    )


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything the user configured.

    Attributes:
        path: The file it was read from; relative paths are relative to its directory.
        limit: Only the first so many evaluation examples of each task, or all.
        train: Whether missing adapters may be trained.
        accept_changes: Whether a baseline may leave out examples that are asked otherwise now.
        strict: Whether what is else a warning is refused.
        with_compat: Whether the file has a table `[compat]`.
        writes: Whether anything may be fetched, or kept in the cache; a look at what is there may
            not.
        old_predictions: `predictions` of `[old]`; `old` is none then.
        new_predictions: `predictions` of `[new]`; `new` is none then.
    """

    path: Path
    old: ModelSettings | None = field(default=None, metadata={"help": "The old version"})
    new: ModelSettings | None = field(default=None, metadata={"help": "The new version"})
    tasks: Mapping[str, TaskSettings] = _key("The tasks by name", {})
    gate: GateSettings = field(
        default_factory=GateSettings, metadata={"help": "Limits for every task"}
    )
    noise: NoiseSettings = field(
        default_factory=NoiseSettings, metadata={"help": "How the noise floor is measured"}
    )
    adapter: RecipeSettings = field(
        default_factory=RecipeSettings, metadata={"help": "How task adapters are trained"}
    )
    compat: CompatSettings = field(
        default_factory=CompatSettings, metadata={"help": "How the compat adapter is trained"}
    )
    run: RunSettings = field(default_factory=RunSettings, metadata={"help": "Where it runs"})
    report: ReportSettings = field(
        default_factory=ReportSettings, metadata={"help": "What a run writes"}
    )
    limit: int | None = None
    train: bool = True
    accept_changes: bool = False
    strict: bool = False
    with_compat: bool = False
    writes: bool = True
    old_predictions: str | None = None
    new_predictions: str | None = None

    def has_compat(self, task: str) -> bool:
        """Return whether a compat adapter is spoken of for a task: `[compat]` or its own key."""
        keys = self.tasks[task]
        can_be = keys.train is not None or self.compat.adapter is not None
        return keys.compat_adapter is not None or (self.with_compat and can_be)

    @property
    def root(self) -> Path:
        """The directory that relative paths are relative to."""
        return self.path.parent

    def resolve(self, path: str) -> Path:
        """Return a configured path as an absolute one."""
        return local_path(path, self.root)

    @property
    def cache(self) -> Path:
        """The cache directory."""
        return self.resolve(self.run.cache)

    @property
    def baselines(self) -> Path:
        """The directory of the baselines."""
        return self.resolve(self.run.baselines)

    @property
    def report_dir(self) -> Path | None:
        """The directory of the report files, if they are asked for."""
        return None if self.report.dir is None else self.resolve(self.report.dir)

    @property
    def history(self) -> Path | None:
        """The file that gets a line per run, if it is asked for."""
        return None if self.report.history is None else self.resolve(self.report.history)
