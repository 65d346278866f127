"""Which keys of `[tasks.NAME]` belong to which kind of task, and which of them go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings.keys import MessageSettings, TaskSettings
from pytest_muscle.settings.table import show

GENERATION_KEYS = (
    "target",
    "chat",
    "tolerance",
    "extract",
    "extract_match",
    "normalise",
    "max_new_tokens",
    "stop",
    "no_repeat_ngram_size",
    "temperature",
    "top_k",
    "top_p",
    "repeats",
)
PREDICTIONS_KEYS = (
    "kind",
    "old_predictions",
    "new_predictions",
    "tolerance",
    "slices",
    "slice_adjustment",
    "find_slices",
    "seed",
)
"""Keys of a task whose answers are read: nothing is asked, so no other has an effect."""
HARNESS = "lm-eval:"
"""What a reference to a definition of lm-evaluation-harness begins with."""
HARNESS_KEYS = (
    "task",
    "train",
    "metric",
    "filter",
    "tolerance",
    "slices",
    "slice_adjustment",
    "find_slices",
    "seed",
    *(f"{side}_adapter{end}" for side in ("old", "new", "compat") for end in ("", "_revision")),
)
"""Keys of a task whose prompts, options and gold answers a definition gives."""
TRAINING = "training"
"""What `train` says beside `task`."""
DRAWING_KEYS = ("top_k", "top_p", "repeats")
"""Keys without effect where nothing is drawn."""


def check_kind(task: TaskSettings, given: Mapping[str, Any], where: str) -> None:
    """Check that the keys given fit the task's kind and each other.

    Args:
        task: The table.
        given: The table as it stands in the file.
        where: File and key of the table, for errors.

    Raises:
        ConfigurationError: For the first key that is missing or out of place.
    """
    if task.task is not None:
        _check_harness(task, given, where)
        return
    _require(given, ("kind",), where)
    _refuse(
        given,
        ("filter",),
        where,
        "belongs to a definition of lm-evaluation-harness, and `task` names none",
        "leave it out; extract finds the answer in a text",
    )
    if task.kind == "predictions":
        others = [key for key in given if key not in PREDICTIONS_KEYS]
        _refuse(
            given,
            others,
            where,
            "has no effect where kind is 'predictions': nothing is asked, answers are read",
            "leave it out, or set another kind",
        )
        return
    _refuse(
        given,
        ("old_predictions", "new_predictions"),
        where,
        f'belongs to kind = "predictions", and kind is {task.kind!r}',
        "set kind, and name both models' answers: they are compared with each other alone",
    )
    _require(given, ("eval", "gold"), where)
    if task.kind == "generation":
        _check_generation(task, given, where)
    else:
        _refuse(
            given, GENERATION_KEYS, where, f"belongs to generation, and kind is {task.kind!r}", None
        )
        _require(given, ("prompt", "choices"), where)
    _check_fewshot(task, given, where)


def _check_harness(task: TaskSettings, given: Mapping[str, Any], where: str) -> None:
    reference = str(task.task)
    if not reference.removeprefix(HARNESS) or not reference.startswith(HARNESS):
        raise ConfigurationError(
            f"{show(reference)} names no definition",
            where=f"{where}.task",
            hint=f'write task = "{HARNESS}NAME", with the name that lm_eval --tasks takes',
        )
    _refuse(
        given,
        ("fewshot",),
        where,
        "is the definition's to say",
        f'write task = "{reference}{"&" if "?" in reference else "?"}num_fewshot=…"',
    )
    _refuse(
        given,
        [key for key in given if key not in HARNESS_KEYS],
        where,
        "has no effect beside task: the definition says what is asked",
        "leave one of them out",
    )
    if task.train not in (None, TRAINING):
        raise ConfigurationError(
            f"is {show(task.train)}, and the definition brings its own data",
            where=f"{where}.train",
            hint=f'write train = "{TRAINING}" for its training split, or leave it out',
        )


def _check_generation(task: TaskSettings, given: Mapping[str, Any], where: str) -> None:
    _refuse(
        given,
        ("choices",),
        where,
        "belongs to multiple_choice and classification, and kind is 'generation'",
        "leave it out, or set kind",
    )
    if isinstance(task.chat, tuple):
        _refuse(
            given,
            ("prompt",),
            where,
            "chat lists the messages, so there is no place for a prompt",
            "leave one of them out",
        )
        _check_messages(task.chat, f"{where}.chat")
    else:
        _require(given, ("prompt",), where)
    if task.chat:
        _refuse(
            given,
            ("delimiter", "fewshot_separator"),
            where,
            "has no effect in a chat, where the chat template says what stands between messages",
            "leave it out",
        )
    if task.extract is None:
        _refuse(given, ("extract_match",), where, "needs extract", "name a regular expression")
    stops = (task.stop,) if isinstance(task.stop, str) else task.stop or ()
    if "" in stops:
        raise ConfigurationError(
            "an empty text would end every answer at once",
            where=f"{where}.stop",
            hint="leave it out",
        )
    if task.temperature == 0:
        _refuse(
            given,
            [key for key in DRAWING_KEYS if given.get(key) != getattr(TaskSettings, key)],
            where,
            "has no effect on greedy answers, which are the same each time",
            "set temperature above 0, or leave it out",
        )
    if task.repeats == 2:
        raise ConfigurationError(
            "2 draws cannot tell a flip from noise",
            where=f"{where}.repeats",
            hint="draw 3 or more answers, or one",
        )


def _check_messages(messages: tuple[str | MessageSettings, ...], where: str) -> None:
    roles = message_roles(messages)
    for number, role in enumerate(roles):
        if role == "system" and number:
            raise ConfigurationError(
                "the system's message stands first", where=f"{where}[{number}]"
            )
    if roles[-1] != "user":
        raise ConfigurationError(
            f"the last message is the {'system' if roles[-1] == 'system' else 'assistant'}'s, "
            "and the model is to answer the user",
            where=f"{where}[{len(roles) - 1}]",
            hint="end with a message of the user; the answer to it is gold",
        )


def message_roles(messages: tuple[str | MessageSettings, ...]) -> list[str]:
    """Return who says each message of `chat`.

    A text is the user's; after a message of the user's it is the assistant's.
    """
    roles: list[str] = []
    for message in messages:
        if isinstance(message, MessageSettings):
            roles.append(message.role)
        else:
            roles.append("assistant" if roles and roles[-1] == "user" else "user")
    return roles


def _check_fewshot(task: TaskSettings, given: Mapping[str, Any], where: str) -> None:
    if not task.fewshot:
        _refuse(
            given,
            ("fewshot_data", "fewshot_separator"),
            where,
            "has no effect without fewshot",
            "set fewshot to a number of examples or a list of their ids",
        )
        return
    if task.train is None and task.fewshot_data is None:
        raise ConfigurationError(
            "there is no train set to take few-shot examples from",
            where=f"{where}.fewshot",
            hint="name fewshot_data, or train",
        )
    if isinstance(task.fewshot, tuple):
        ids = list(map(str, task.fewshot))
        for id_ in ids:
            if ids.count(id_) > 1:
                raise ConfigurationError(f"names {show(id_)} twice", where=f"{where}.fewshot")


def _refuse(
    given: Mapping[str, Any], keys: Iterable[str], where: str, problem: str, hint: str | None
) -> None:
    for key in keys:
        if key in given:
            raise ConfigurationError(problem, where=f"{where}.{key}", hint=hint)


def _require(given: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    helps = {field.name: field.metadata.get("help") for field in fields(TaskSettings)}
    for key in keys:
        if key not in given:
            raise ConfigurationError("missing", where=f"{where}.{key}", hint=helps[key])
