"""What a task asks today against what a table of predictions answered."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_muscle.predictions.packed import Mask
from pytest_muscle.wording import SHOWN, counted, listed

if TYPE_CHECKING:
    from pytest_muscle.predictions.prediction import Predictions
    from pytest_muscle.tasks import Example, Task

EXCERPT = 60
"""Characters of a text that are shown, from shortly before where it differs."""

_BEFORE = 15


@dataclass(frozen=True)
class Change:
    """One thing of one example that is not what it was: its prompt, its options or its gold."""

    id: Hashable
    what: str
    before: str
    now: str

    def describe(self) -> str:
        """Return it as one line, both texts from shortly before where they differ."""
        return f"{self.id!r} {self.what}: {_excerpts(self.before, self.now)}"


@dataclass(frozen=True)
class Differences:
    """What differs; as a truth value, whether anything does.

    Attributes:
        changed: Examples that are asked otherwise now, one change each.
        gone: Ids of the table that the data do not hold any more.
        fresh: Ids of the data that the table does not hold.
        judged_otherwise: What the answers themselves depend on and is not as it was: name,
            before, now.
        comparable: Which rows of the table are asked today as they were, [n]; none for all.
    """

    changed: tuple[Change, ...] = ()
    gone: tuple[Hashable, ...] = ()
    fresh: tuple[Hashable, ...] = ()
    judged_otherwise: tuple[tuple[str, Any, Any], ...] = ()
    comparable: Mask | None = field(default=None, compare=False)

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone or self.fresh or self.judged_otherwise)

    def describe(self) -> list[str]:
        """Return it as lines for a message."""
        lines = [
            f"{name}: {before!r} when it was recorded, {now!r} now"
            for name, before, now in self.judged_otherwise
        ]
        if self.changed:
            lines.append(f"{counted(len(self.changed), 'example')} asked otherwise:")
            lines += [f"  {change.describe()}" for change in self.changed[:SHOWN]]
            if len(self.changed) > SHOWN:
                lines.append(f"  … and {len(self.changed) - SHOWN} more")
        for ids, what in (
            (self.gone, "no longer in the data"),
            (self.fresh, "not in the baseline"),
        ):
            if ids:
                lines.append(f"{counted(len(ids), 'example')} {what}: {listed(ids)}")
        return lines


def fact(facts: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """Return a mapping within the facts of a manifest; an empty one where there is none."""
    found: Any = facts
    for name in names:
        found = found.get(name)
        if not isinstance(found, Mapping):
            return {}
    return found  # type: ignore[no-any-return]


def asked(task: Task) -> dict[str, Any]:
    """Return what a task's answers depend on beside its examples."""
    from pytest_muscle.references import is_reference, source_digest

    keys = task.settings
    source = source_digest(task.metric) if is_reference(task.metric) else None
    return {
        "kind": task.kind,
        "metric": task.metric,
        "delimiter": keys.delimiter,
        **({"metric source": source} if source else {}),
        **task.conditions,
    }


def find_differences(
    table: Predictions,
    task: Task,
    questions: Callable[[], Mapping[Hashable, Mapping[str, Any]]],
) -> Differences:
    """Return what a task asks today that a table does not answer, or answers otherwise.

    The data are read only where the task's digest is not the one that the table was made under.
    With a limit on the task, what it leaves out of a table is no difference.

    Args:
        table: The predictions.
        task: The task.
        questions: Gives what the table's examples were asked, by id; called if something differs.

    Raises:
        DataError: If the data have to be read and a row is not usable.
    """
    recorded, today = fact(table.facts, "asked"), asked(task)
    judged = tuple(
        (name, recorded.get(name), today.get(name))
        for name in {**recorded, **today}
        if name in recorded and recorded.get(name) != today.get(name)
    )
    if not judged and table.facts.get("task_digest") == task.digest:
        return Differences()
    columns = table.columns
    positions = dict(zip(columns.ids, range(len(columns)), strict=True))
    digests = columns.digests.as_texts() if columns.digests else [None] * len(columns)
    found = np.zeros(len(columns), dtype=np.bool_)
    comparable = found.copy()
    fresh: list[Hashable] = []
    otherwise: list[Example] = []
    for example in task.eval:
        position = positions.get(example.id)
        if position is None:
            fresh.append(example.id)
            continue
        found[position] = True
        if digests[position] in (None, example.digest):
            comparable[position] = True
        else:
            otherwise.append(example)
    gone = tuple(columns.ids[~found]) if task.limit is None else ()
    before = questions() if otherwise else {}
    return Differences(
        changed=tuple(_change(before[example.id], example) for example in otherwise),
        gone=gone,
        fresh=tuple(fresh),
        judged_otherwise=judged,
        comparable=None if comparable.all() else comparable,
    )


def _change(before: Mapping[str, Any], example: Example) -> Change:
    now = {"prompt": example.prompt, "options": list(example.options), "gold": example.gold}
    for what, value in now.items():
        if what in before and before[what] != value:
            return Change(example.id, what, str(before[what]), str(value))
    return Change(example.id, "question", "not recorded", example.prompt)


def _excerpts(before: str, now: str) -> str:
    pairs = enumerate(zip(before, now, strict=False))
    shared = next(
        (place for place, (one, other) in pairs if one != other), min(len(before), len(now))
    )
    start = max(0, shared - _BEFORE)
    return " -> ".join(_excerpt(text, start) for text in (before, now))


def _excerpt(text: str, start: int) -> str:
    end = start + EXCERPT
    return repr(("…" if start else "") + text[start:end] + ("…" if end < len(text) else ""))
