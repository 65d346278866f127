"""What a definition says beside its examples: how it is asked, and how answers are judged."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pytest_muscle.digests import digest_file, digest_json
from pytest_muscle.errors import ConfigurationError, nearest
from pytest_muscle.harness.loading import CHOICE, ELSEWHERE, GENERATION
from pytest_muscle.harness.reference import Reference
from pytest_muscle.harness.sources import code_files
from pytest_muscle.libraries import library_versions
from pytest_muscle.settings.table import show
from pytest_muscle.tasks.decoding import Decoding
from pytest_muscle.tasks.metrics import CHOICE_METRICS

KINDS = {CHOICE: "multiple_choice", GENERATION: "generation"}
RIGHT_OR_WRONG = frozenset({"exact_match", "acc", "em"})
"""Metrics whose floating-point values are 0 and 1 alone."""
_USUAL = ("acc", "exact_match")
_ELSEWHERE = ("dataset_path", "dataset_name", "dataset_kwargs", "metadata")
"""What of a configuration says where data and files are: their content counts elsewhere."""
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """Facts of a definition, as JSON values.

    Attributes:
        name: Its name.
        kind: The kind of task, as muscle.toml calls it.
        metrics: Those that give each example a number, more of which is better; whether it is a
            mark between right and wrong.
        others: Those that do not.
        filters: Names of its filters.
        delimiter: What stands between prompt and option or answer.
        in_prompt: Whether options stand in the prompt, and what is scored follows all of them.
        trains: Whether it has a training split.
        num_fewshot: How many few-shot examples stand before each question.
        decoding: How answers are written; nothing where options are chosen.
        digest: SHA-256 of all that it says, functions' source and few-shot examples included.
        lm_eval: Version of the harness.
    """

    name: str
    kind: str
    metrics: Mapping[str, bool]
    others: tuple[str, ...]
    filters: tuple[str, ...]
    delimiter: str
    in_prompt: bool
    trains: bool
    num_fewshot: int
    decoding: Mapping[str, Any]
    digest: str
    lm_eval: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Definition:
        """Return the definition of JSON values.

        Raises:
            TypeError: If they are not those of a definition.
        """
        lists = {name: tuple(values[name]) for name in ("others", "filters")}
        return cls(**{**values, **lists})

    def choose_metric(self, named: str | None, where: str) -> str:
        """Return the metric that the user named, or the usual one.

        Raises:
            ConfigurationError: If it is not there or is not one of each example, or none is named
                and several could be meant.
        """
        if named in self.others:
            raise ConfigurationError(
                f"{named} gives no example a number of which more is better",
                where=where,
                hint=f"choose of {', '.join(self.metrics)}",
            )
        usual = next((name for name in _USUAL if name in self.metrics), None)
        return _choose(named or usual, self.metrics, "metric", self.name, where)

    def choose_filter(self, named: str | None, where: str) -> str:
        """Return the filter that the user named, or the only one.

        Raises:
            ConfigurationError: If it is not there, or none is named and there are several.
        """
        return _choose(named, self.filters, "filter", self.name, where)


def _choose(
    named: str | None, known: Mapping[str, Any] | tuple[str, ...], what: str, task: str, where: str
) -> str:
    names = list(known)
    if named is None and len(names) == 1:
        return names[0]
    if named is None:
        raise ConfigurationError(
            f"{task} has several {what}s: {', '.join(names)}",
            where=where,
            hint=f'name one: {what} = "{names[0]}"',
        )
    if named not in names:
        raise ConfigurationError(
            f"{task} has no {what} {named!r}", where=where, hint=nearest(named, names)
        )
    return named


def describe(task: Any, reference: Reference, results: Mapping[str, Any] | None) -> Definition:
    """Return what a loaded definition says; called within `loading.harness`.

    Args:
        task: The definition as the harness loads it.
        reference: How the user named it.
        results: What its `process_results` gives for an answer, if that could be tried.

    Raises:
        ConfigurationError: If it judges in a way that is not supported.
    """
    config = task.config
    metrics, others = _metrics(task, results)
    if not metrics:
        raise ConfigurationError(
            f"the metrics of {reference.name} give no example a number of which more is better: "
            f"{', '.join(others)}",
            where=reference.where,
            hint="they are known of all examples together; take another definition",
        )
    generates = task.OUTPUT_TYPE == GENERATION
    return Definition(
        name=reference.name,
        kind=KINDS[task.OUTPUT_TYPE],
        metrics=metrics,
        others=others,
        filters=tuple(ensemble.name for ensemble in task._filters),
        delimiter=config.target_delimiter,
        in_prompt=bool(task.multiple_input),
        trains=bool(task.has_training_docs()),
        num_fewshot=config.num_fewshot,
        decoding=_decoding(config.generation_kwargs or {}, reference) if generates else {},
        digest=digest_json(_content(task, reference)),
        lm_eval=library_versions("lm_eval")["lm_eval"],
    )


def _metrics(
    task: Any, results: Mapping[str, Any] | None
) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Return metrics of each example with whether each gives marks, and the other ones."""
    better = task.higher_is_better()
    named = dict.fromkeys(task.aggregation())
    if task.OUTPUT_TYPE == CHOICE:
        known = {name: False for name in named if name in CHOICE_METRICS}
    elif results is None:
        known = {name: name not in RIGHT_OR_WRONG for name in named if better.get(name, True)}
    else:
        named |= dict.fromkeys(results)
        known = {
            name: isinstance(value, float) and name not in RIGHT_OR_WRONG
            for name, value in results.items()
            if is_number(value) and better.get(name, True)
        }
    return known, tuple(name for name in named if name not in known)


def is_number(value: Any) -> bool:
    """Return whether a metric's value is a finite number, NumPy's included."""
    value = value.item() if hasattr(value, "item") and not hasattr(value, "__len__") else value
    return isinstance(value, bool | int | float) and math.isfinite(value)


def _decoding(arguments: Mapping[str, Any], reference: Reference) -> dict[str, Any]:
    """Return how the harness writes answers with some arguments; answers are the likeliest ones.

    Source: `normalize_gen_kwargs` of `lm_eval.models.utils`.
    """
    from lm_eval.models.utils import normalize_gen_kwargs

    if hasattr(arguments, "to_dict"):
        arguments = arguments.to_dict()
    normal = dict(normalize_gen_kwargs(dict(arguments)))
    if normal.get("do_sample") and float(normal.get("temperature") or 0) > 0:
        raise ConfigurationError(
            f"{reference.name} draws its answers, so no two runs give the same",
            where=reference.where,
            hint=ELSEWHERE,
        )
    without_effect = {"until", "max_gen_toks", "do_sample", "temperature", "top_p", "top_k"}
    if normal.get("num_beams") == 1:
        without_effect.add("num_beams")
    for name in sorted(normal.keys() - without_effect):
        raise ConfigurationError(
            f"{reference.name} writes answers with {name} = {show(normal[name])}, which is not "
            "supported",
            where=reference.where,
            hint=ELSEWHERE,
        )
    stop = [text for text in normal["until"] if text]
    return Decoding(max_new_tokens=normal["max_gen_toks"], stop=tuple(stop)).to_json()


def _content(task: Any, reference: Reference) -> dict[str, Any]:
    """Return all that a definition's prompts and judgements depend on, beside its documents."""
    config = task.dump_config()
    shots = task.config.num_fewshot
    return {
        "config": _plain({key: value for key, value in config.items() if key not in _ELSEWHERE}),
        "source": sorted(map(digest_file, code_files(task))),
        "fewshot_seed": reference.fewshot_seed if shots else None,
        "fewshot_docs": digest_json(list(task.sampler.df)) if shots else None,
    }


def _plain(value: Any) -> Any:
    """Return a configuration without the addresses of what has no source."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _ADDRESS.sub("", str(value))
