"""Definitions loaded by lm-evaluation-harness itself, under the seeds that it begins a run with."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from pytest_muscle.errors import ConfigurationError, DataError, MuscleError
from pytest_muscle.harness.reference import Reference
from pytest_muscle.wording import counted, listed

ELSEWHERE = 'run it with lm_eval and compare the logs, with kind = "predictions"'
"""What to do about a definition that is not supported."""
INSTALL = "pip install 'pytest-muscle[lm-eval]'"
PYTHON_SEED, OTHER_SEED = 0, 1234
"""`DEFAULT_RANDOM_SEED` and `DEFAULT_OTHER_SEED` of the harness."""
CHOICE, GENERATION = "multiple_choice", "generate_until"
_REFUSED = {
    "loglikelihood_rolling": "measures perplexity over whole texts",
    "loglikelihood": "asks how likely one text is, without options",
}
_DATA_LIBRARIES = ("datasets", "huggingface_hub", "fsspec", "pyarrow", "requests", "httpx")


def check_installed(where: str) -> None:
    """Check that the harness is there, without importing it.

    Raises:
        ConfigurationError: If it is not.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise ConfigurationError(
            "needs lm-evaluation-harness, which has the definitions", where=where, hint=INSTALL
        )


@contextlib.contextmanager
def harness(root: Path) -> Iterator[None]:
    """Run code of the harness: quietly, in a folder, and with the seeds of its own runs.

    Definitions name data relative to the current folder, and some draw from the global random
    numbers, which are put back as they were.

    Args:
        root: The folder.
    """
    import numpy as np
    import torch

    log = logging.getLogger("lm_eval")
    level = log.level
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(contextlib.chdir(root))
        random.seed(PYTHON_SEED)
        np.random.seed(OTHER_SEED)
        torch.random.manual_seed(OTHER_SEED)
        try:
            log.setLevel(logging.CRITICAL)
            yield
        finally:
            log.setLevel(level)
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.random.set_rng_state(states[2])


def load_task(reference: Reference) -> tuple[Any, Path | None]:
    """Return a definition as the harness loads it, and its YAML file; called within `harness`.

    Raises:
        ConfigurationError: If there is no such definition, it is a group, it is not usable here
            or fails.
        DataError: If its data cannot be had.
    """
    check_installed(reference.where)
    manager = _manager_of(reference)
    entry = manager.task_index[reference.name]
    config = _field(entry, "cfg") or {}
    if "class" not in config:
        check_supported(config, reference)
    try:
        load = getattr(manager, "load", None) or manager.load_task_or_group
        loaded = load([reference.name])
        tasks = loaded.get("tasks", loaded)
        task = tasks[reference.name]
        _configure(task, reference)
    except MuscleError:
        raise
    except Exception as error:  # whatever a definition's own code or its data do
        raise _failure(error, config, reference) from error
    return task, _field(entry, "yaml_path")


def _field(entry: Any, name: str) -> Any:
    """Return a field of an entry of the index, which was a mapping before 0.4.12."""
    return entry.get(name) if isinstance(entry, dict) else getattr(entry, name, None)


@cache
def _installed() -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager()


def _manager_of(reference: Reference) -> Any:
    """Return an index that has the definition; one of thousands takes seconds to make."""
    from lm_eval.tasks import TaskManager

    name, managers = reference.name, []
    if reference.include_path is not None:
        path = str(reference.include_path)
        managers.append(TaskManager(include_path=path, include_defaults=False))
    if not managers or name not in managers[0].all_tasks:
        managers.append(_installed())
    manager = managers[-1]
    if name in manager.all_subtasks:
        return manager
    if name in manager.all_tasks:
        members = _members(manager.task_index[name])
        told = f" of {counted(len(members), 'task')}: {listed(members)}" if members else ""
        raise ConfigurationError(
            f"{name!r} is a group{told}",
            where=reference.where,
            hint="name one of its tasks, in a table of its own for each",
        )
    raise ConfigurationError(
        f"there is no definition {name!r}",
        where=reference.where,
        hint=_near(name, [known for each in managers for known in each.all_tasks]),
    )


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, sorted(set(known)), n=5, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return "`lm_eval ls tasks` lists the installed ones; include_path names a folder of your own"


def _members(entry: Any) -> list[str]:
    if tags := _field(entry, "tags"):
        return sorted(tags)
    named = (_field(entry, "cfg") or {}).get("task") or _field(entry, "task") or []
    if not isinstance(named, list):
        return []
    return [
        str(each.get("task") or each.get("group") if isinstance(each, dict) else each)
        for each in named
    ]


def check_supported(config: Mapping[str, Any], reference: Reference) -> None:
    """Check what a definition's configuration tells before its data are there.

    Raises:
        ConfigurationError: If it asks or judges in a way that is not supported.
    """
    kind = config.get("output_type") or GENERATION
    if kind in _REFUSED:
        raise _unusable(reference, f"{_REFUSED[kind]} (output_type {kind})")
    if config.get("unsafe_code"):
        raise _unusable(reference, "runs code that the model writes")
    if config.get("doc_to_image") or config.get("doc_to_audio"):
        raise _unusable(reference, "shows images or plays sounds")
    if kind == CHOICE and config.get("process_results") is not None:
        raise _unusable(reference, "judges log-likelihoods by a function of its own")
    if kind == CHOICE and config.get("filter_list"):
        raise _unusable(reference, "filters log-likelihoods")


def _configure(task: Any, reference: Reference) -> None:
    """Do what `simple_evaluate` of the harness does to a definition before it is asked."""
    from lm_eval.api.task import ConfigurableTask

    if not isinstance(task, ConfigurableTask):
        raise _unusable(reference, "is a Python class with a way of its own")
    check_supported({**vars(task.config), "output_type": task.OUTPUT_TYPE}, reference)
    said = task.config.num_fewshot
    if reference.num_fewshot is not None and said == 0 != reference.num_fewshot:
        raise ConfigurationError(
            f"{reference.name} is asked without few-shot examples, and the harness holds to that",
            where=reference.where,
            hint="leave out num_fewshot",
        )
    wanted = said if reference.num_fewshot is None else reference.num_fewshot
    task.set_config(key="num_fewshot", value=wanted or 0)
    if reference.max_gen_toks is not None and task.OUTPUT_TYPE == GENERATION:
        for alias in ("max_new_tokens", "max_tokens", "max_completion_tokens"):
            task.config.generation_kwargs.pop(alias, None)
        task.config.generation_kwargs["max_gen_toks"] = reference.max_gen_toks


def _unusable(reference: Reference, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{reference.name} {why}, which is not supported",
        where=reference.where,
        hint=ELSEWHERE,
    )


def _failure(error: Exception, config: dict[str, Any], reference: Reference) -> MuscleError:
    said = f"{type(error).__name__}: {error}"
    home = type(error).__module__.partition(".")[0]
    if isinstance(error, OSError) or home in _DATA_LIBRARIES:
        parts = [str(config[key]) for key in ("dataset_path", "dataset_name") if config.get(key)]
        source = f" ({'/'.join(parts)})" if parts else ""
        return DataError(
            f"the data of {reference.name}{source} cannot be had: {said}",
            where=reference.where,
            hint="data of the hub are fetched once, with a network and without HF_HUB_OFFLINE; or "
            "write a definition over local data (include: and dataset_path: json) and name its "
            "folder as include_path",
        )
    return ConfigurationError(
        f"the definition {reference.name} fails: {said}",
        where=reference.where,
        hint=f"does `lm_eval --tasks {reference.name} --limit 1` run?",
    )
