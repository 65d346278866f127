"""Baselines: what the old model answered, kept in the repository, so that it can be gone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_muscle.digests import digest_json
from pytest_muscle.errors import PredictionsError
from pytest_muscle.predictions.differences import Differences, asked, fact, find_differences
from pytest_muscle.predictions.jsonl import UPDATE, manifest_path, read_records, write_table
from pytest_muscle.predictions.prediction import Prediction, Predictions
from pytest_muscle.settings.paths import baseline_path

if TYPE_CHECKING:
    from pytest_muscle.predictions.columns import Columns
    from pytest_muscle.tasks import Task

RECORD = "pytest --muscle-update-baseline"
ACCEPT = "pytest --muscle-accept-changes"
DECIMALS = 4
"""Of log-likelihoods: further ones differ from one machine to the next, and every diff would."""


@dataclass(frozen=True)
class Baselines:
    """The baselines of a project: `TASK.jsonl` and its manifest in one directory.

    Attributes:
        directory: Where they are.
        root: The project's directory, which errors name paths relative to.
    """

    directory: Path
    root: Path

    def path(self, task: str) -> Path:
        """Return the file of a task's baseline, whether or not it is there."""
        return baseline_path(self.directory, task)

    def show(self, task: str) -> str:
        """Return that path as messages name it."""
        path = self.path(task)
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)

    def has(self, task: str) -> bool:
        """Return whether a task has a baseline; half of one counts, and is refused when read."""
        path = self.path(task)
        return path.is_file() or manifest_path(path).is_file()

    def load(self, task: str) -> Predictions:
        """Return a task's baseline as it was recorded.

        Raises:
            PredictionsError: If it is damaged, or a newer version wrote it; it names file and line.
        """
        try:
            return replace(Predictions.load(self.path(task)), task=task)
        except PredictionsError as error:
            if error.hint == UPDATE:
                raise
            raise PredictionsError(
                error.problem,
                where=error.where,
                hint=f"bring it back from version control, or record it again: {RECORD}",
            ) from error

    def read(self, task: Task, *, accept: bool = False) -> tuple[Predictions, Differences]:
        """Return a task's baseline, checked against what the task asks today.

        Args:
            task: The task.
            accept: Whether examples that are asked otherwise today may be left out.

        Returns:
            The rows that are asked today as they were then, and what differs.

        Raises:
            PredictionsError: If it is damaged, or today's task asks something else and that is
                not accepted; it lists what.
            DataError: If the data have to be read and a row is not usable.
        """
        table = self.load(task.name)
        differences = find_differences(table, task, lambda: self.questions(task.name))
        if differences.judged_otherwise or (differences and not accept):
            raise PredictionsError(
                f"the baseline does not belong to today's task {task.name!r}",
                where=self.show(task.name),
                details=differences.describe(),
                hint=_advice(differences),
            )
        kept = differences.comparable
        if kept is not None:
            if not kept.any():
                raise PredictionsError(
                    "no example of the baseline is asked today as it was then",
                    where=self.show(task.name),
                    hint=f"record it again with the old model: {RECORD}",
                )
            table = table.only(kept)
        return table, differences

    def questions(self, task: str) -> dict[Hashable, Mapping[str, Any]]:
        """Return the lines of a task's baseline by id, with the texts that were asked."""
        return {record["id"]: record for record in read_records(self.path(task))}

    def write(self, task: Task, table: Predictions) -> None:
        """Write a table as a task's baseline: by id, one example a line, with what was asked.

        Raises:
            PredictionsError: If it cannot be written.
        """
        columns = table.columns
        ids: list[Any] = columns.ids.tolist()
        order = sorted(range(len(ids)), key=lambda row: _sort_key(ids[row]))
        rows = columns.take(np.array(order, dtype=np.intp))
        facts = {
            **table.facts,
            "task_digest": task.digest,
            "data_digest": _data_digest(columns),
            "asked": asked(task),
        }
        about = {**table.about, "task": task.name, "facts": facts}
        rounded = [_rounded(row) for row in rows]
        write_table(self.path(task.name), rounded, about, beside=lambda row: _question(task, row))


def check_model(
    table: Predictions,
    base: Mapping[str, Any],
    where: str,
    *,
    adapter: Mapping[str, Any] | None = None,
) -> None:
    """Raise if a baseline was recorded from another model than the one configured as old.

    Args:
        table: The baseline.
        base: Facts of the configured base model.
        where: The baseline's file, for the error.
        adapter: Facts of the adapter given for it; without, any is taken.

    Raises:
        PredictionsError: It names both.
    """
    recorded = fact(table.facts, "made_of", "model")
    otherwise = recorded.get("base") not in (None, dict(base))
    if adapter is not None and "adapter" in recorded:
        otherwise = otherwise or recorded["adapter"] != dict(adapter)
    if otherwise:
        raise PredictionsError(
            f"was recorded from another model ({table.model}) than the one that is now in [old]",
            where=where,
            hint=f"record it again: {RECORD}; or, if the baseline is right, take out [old]",
        )


def describe_gap(differences: Differences, table: Predictions, where: str) -> str:
    """Return in words which examples an accepted baseline does not cover."""
    said = (
        f"{where}: only {len(table)} examples are compared, those that are asked as they were "
        "when it was recorded"
    )
    return "\n  ".join([said, *differences.describe()])


def describe_other_settings(baseline: Predictions, table: Predictions) -> str | None:
    """Return in words how a baseline was computed otherwise than a table, or none if it was not."""
    ways = [_way(one.facts) for one in (baseline, table)]
    if None in ways or ways[0] == ways[1]:
        return None
    return (
        f"its answers were computed {ways[0]}, today's {ways[1]}: some flips may come from that "
        "alone"
    )


def _way(facts: Mapping[str, Any]) -> str | None:
    made_of = fact(facts, "made_of")
    if "device" not in made_of:
        return None
    return f"in {made_of.get('dtype')} on {made_of['device']}"


def _data_digest(columns: Columns) -> str:
    """Return a digest of which questions are answered, whatever their order."""
    digests = columns.digests.as_texts() if columns.digests else [None] * len(columns)
    pairs = zip(map(str, columns.ids), map(str, digests), strict=True)
    return digest_json(sorted(map(list, pairs)))


def _advice(differences: Differences) -> str:
    record = f"record it again where the old model is: {RECORD}"
    if differences.judged_otherwise:
        return record
    return f"{record}; or judge the other examples alone: {ACCEPT}"


def _question(task: Task, row: Prediction) -> dict[str, Any]:
    example = task.eval_by_id[row.id]
    return {"prompt": example.prompt, "options": list(example.options)}


def _rounded(row: Prediction) -> Prediction:
    if row.loglikelihoods is None:
        return row
    return replace(row, loglikelihoods=tuple(round(x, DECIMALS) for x in row.loglikelihoods))


def _sort_key(id_: Hashable) -> tuple[str, Any]:
    """Return a key that sorts ids of one kind as one would: numbers by size, texts by letters."""
    return ("", id_) if isinstance(id_, int | float) else ("text", str(id_))
