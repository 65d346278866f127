"""Bring two sets of answers into one order, and refuse those that do not belong together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from functools import partial
from typing import Any

import numpy as np

from pytest_muscle.comparison.answers import (
    check_answers,
    find_flips,
    pair_draws,
    refuse,
    refuse_other_marks,
    refuse_other_stop,
)
from pytest_muscle.comparison.pairs import (
    AnswerPairs,
    NeededPairs,
    StoppedPairs,
    count,
    equal,
)
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions import Predictions
from pytest_muscle.predictions.packed import Objects, Positions, as_column
from pytest_muscle.wording import counted, listed

HASH_BLOCK = 4096


def _refuse_other_kind(gold: Objects, *answers: Objects) -> None:
    """Raise where text stands against numbers: no answer could ever be right.

    Answers read from a CSV file are text, and a build must not be green for that.
    """
    gold_is_text = _text_or_not(gold)
    found = set().union(*map(_text_or_not, answers))
    if len(gold_is_text) == 1 and found == {not next(iter(gold_is_text))}:
        kinds = ("text", "no text") if gold_is_text == {True} else ("no text", "text")
        raise ComparisonError(
            f"all gold answers are {kinds[0]} and all answers are {kinds[1]}, so none can be right",
            hint="bring both to one type, for instance with str()",
        )


def _text_or_not(column: Objects) -> set[bool]:
    """Return {True} for a column of text, {False} for one without, {True, False} for both."""
    return {issubclass(kind, str) for kind in set(map(type, column))}


def align_tables(old: Predictions, new: Predictions) -> tuple[AnswerPairs, Positions | None]:
    """Align two tables by id.

    Returns:
        The pairs, and the position in `new` of each row of `old` that was asked; none if the order
        is the same.

    Raises:
        ComparisonError: If the tables hold different ids, or one id stands for different
            questions or gold answers, or a score is not finite; if the new model was not asked
            what the old one has right.
    """
    task = old.task or new.task
    if old.unasked:
        raise ComparisonError(
            f"the old model was not asked {len(old.unasked)} of the examples",
            where=task,
            hint="compare with the predictions of the model that was asked all of them",
        )
    refuse_other_marks(old, new, task)
    if not new.unasked:
        return _align_all(old, new, task)
    return _align_needed(old, new, task)


def _align_all(
    old: Predictions, new: Predictions, task: str | None
) -> tuple[AnswerPairs, Positions | None]:
    before, after = old.columns, new.columns
    ids = before.ids
    order = match_ids(ids, after.ids, names=("old", "new"), where=task)
    aligned = slice(None) if order is None else order
    check_answers(before, after, order, task)
    old_draws, new_draws = pair_draws(before, after, task)
    pairs = AnswerPairs(
        ids=tuple(ids),
        gold=before.gold,
        old_answers=before.answers,
        new_answers=after.answers[aligned],
        old_correct=before.correct,
        new_correct=after.correct[aligned],
        old_scores=before.scores,
        new_scores=after.scores[aligned],
        graded=old.graded or new.graded,
        tolerance=old.tolerance,
        old_draws=old_draws,
        new_draws=None if new_draws is None else new_draws[aligned],
    )
    return pairs, order


def _align_needed(
    old: Predictions, new: Predictions, task: str | None
) -> tuple[AnswerPairs, Positions]:
    """Align a table of which the model was asked only what can be a negative flip."""
    before, after = old.columns, new.columns
    ids = before.ids
    everything = np.concatenate([after.ids, as_column(new.unasked)])
    order = match_ids(ids, everything, names=("old", "new"), where=task)
    if order is None:
        order = np.arange(len(ids))
    unasked = order >= len(after)
    refuse(
        unasked & old.can_flip & (new.stop is None),
        ids,
        "the new model was not asked what the old one has right",
        task,
        "the new predictions were made for other old ones: make them again",
    )
    asked = np.flatnonzero(~unasked)
    order = order[asked]
    compared = before.take(asked)
    check_answers(compared, after, order, task)
    negative = np.zeros(len(ids), dtype=np.bool_)
    answered = after.take(order)
    tolerance = old.tolerance if old.graded or new.graded else None
    negative[asked] = find_flips(compared, answered, tolerance, task)
    if new.stop is not None:
        refuse_other_stop(old, len(asked), count(negative), new.stop, task)
    answers = np.full(len(ids), None, dtype=np.object_)
    answers[asked] = answered.answers
    scores = np.zeros(len(ids))
    scores[asked] = answered.scores
    make = NeededPairs if new.stop is None else partial(StoppedPairs, stop=new.stop)
    pairs = make(
        ids=tuple(ids),
        gold=before.gold,
        old_answers=before.answers,
        old_correct=before.correct,
        old_scores=before.scores,
        new_answers=answers,
        new_scores=scores,
        negative=negative,
        unasked=unasked,
        graded=old.graded or new.graded,
        tolerance=old.tolerance,
    )
    return pairs, order


def align_mappings(
    old: Mapping[Any, Any], new: Mapping[Any, Any], gold: Mapping[Any, Any]
) -> AnswerPairs:
    """Align answers given as id -> answer, in the order of `old`.

    Raises:
        ComparisonError: If the ids differ or there is none.
    """
    ids = as_column(tuple(old))
    new_answers = _pick(new, match_ids(ids, as_column(tuple(new)), names=("old", "new")))
    golden = _pick(gold, match_ids(ids, as_column(tuple(gold)), names=("the answers", "gold")))
    return _pair(tuple(ids), as_column(tuple(old.values())), new_answers, golden)


def align_sequences(old: Any, new: Any, gold: Any, ids: Any = None) -> AnswerPairs:
    """Pair answers by position; `ids` default to the positions, from 0.

    Raises:
        ComparisonError: If lengths differ, there is no answer, or an id stands twice.
    """
    columns = {"old": _items(old, "old"), "new": _items(new, "new"), "gold": _items(gold, "gold")}
    if ids is not None:
        columns["ids"] = _items(ids, "ids")
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ComparisonError(
            "different lengths: " + ", ".join(f"{name} {n}" for name, n in lengths.items()),
            hint="give one old answer, one new answer and one gold answer for each example",
        )
    names = tuple(columns["ids"]) if ids is not None else tuple(range(lengths["old"]))
    if ids is not None:
        _refuse_duplicates(names)
    return _pair(names, *(as_column(columns[name]) for name in ("old", "new", "gold")))


def match_ids(
    first: Objects,
    second: Objects,
    *,
    names: tuple[str, str],
    where: str | None = None,
) -> Positions | None:
    """Return the position in `second` of each id of `first`, or none if the order is the same.

    Args:
        first: Ids, each once, [n].
        second: Ids, each once.
        names: What the two are called, for errors.
        where: Name of the task, for errors.

    Raises:
        ComparisonError: If an id is in one of them only; all such ids are counted.
    """
    if len(first) == len(second):
        if equal(first, second).all():
            return None
        order = _match_by_hash(first, second)
        if order is not None:
            return order
    positions = dict(zip(second, range(len(second)), strict=True))
    known = set(first)
    only = (
        [id_ for id_ in first if id_ not in positions],
        [id_ for id_ in second if id_ not in known],
    )
    if only[0] or only[1]:
        parts = [
            f"{counted(len(ids), 'id')} only in {name}: {listed(ids)}"
            for name, ids in zip(names, only, strict=True)
            if ids
        ]
        raise ComparisonError(
            f"{names[0]} and {names[1]} do not hold the same examples\n  " + "\n  ".join(parts),
            where=where,
            hint="compare answers to the same examples; none is left out silently",
        )
    return np.fromiter(map(positions.__getitem__, first), dtype=np.intp, count=len(first))


def _match_by_hash(first: Objects, second: Objects) -> Positions | None:
    """Return what `match_ids` returns, or none where hashes alone do not pair the ids off.

    Sorting hashes is three times as fast as looking a million ids up in a dictionary, which waits
    for memory at every one of them.
    """
    hashes = [np.fromiter(map(hash, ids), np.int64, len(ids)) for ids in (first, second)]
    orders = [np.argsort(column) for column in hashes]
    if not np.array_equal(hashes[0][orders[0]], hashes[1][orders[1]]):
        return None
    order = np.empty(len(first), dtype=np.intp)
    order[orders[0]] = orders[1]
    for start in range(0, len(first), HASH_BLOCK):  # blocks that fit into the processor's cache
        block = slice(start, start + HASH_BLOCK)
        if not equal(first[block], second[order[block]]).all():
            return None
    return order


def _pair(
    ids: tuple[Hashable, ...], old_answers: Objects, new_answers: Objects, gold: Objects
) -> AnswerPairs:
    if not ids:
        raise ComparisonError("there is no answer to compare", hint="give at least one example")
    _refuse_other_kind(gold, old_answers, new_answers)
    old_correct, new_correct = equal(old_answers, gold), equal(new_answers, gold)
    return AnswerPairs(
        ids=ids,
        gold=gold,
        old_answers=old_answers,
        new_answers=new_answers,
        old_correct=old_correct,
        new_correct=new_correct,
        old_scores=old_correct.astype(np.float64),
        new_scores=new_correct.astype(np.float64),
    )


def _pick(answers: Mapping[Any, Any], order: Positions | None) -> Objects:
    column = as_column(tuple(answers.values()))
    return column if order is None else column[order]


def _items(values: Any, name: str) -> Sequence[Any]:
    if isinstance(values, str | bytes | Set):
        raise ComparisonError(
            f"is a {type(values).__name__}, not a sequence of answers",
            where=name,
            hint="give a list with one element for each example",
        )
    listed = values.tolist() if callable(getattr(values, "tolist", None)) else values
    try:
        return listed if isinstance(listed, list | tuple) else list(listed)
    except TypeError as error:
        raise ComparisonError(
            f"is a {type(values).__name__}, not a sequence of answers",
            where=name,
            hint="give a list with one element for each example",
        ) from error


def _refuse_duplicates(ids: tuple[Hashable, ...]) -> None:
    try:
        if len(set(ids)) == len(ids):
            return
    except TypeError as error:
        raise ComparisonError(
            f"an id cannot name an example: {error}", where="ids", hint="use strings or numbers"
        ) from error
    positions: dict[Hashable, int] = {}
    for position, id_ in enumerate(ids):
        if id_ in positions:
            raise ComparisonError(
                f"id {id_!r} stands twice, at {positions[id_]} and {position}",
                where="ids",
                hint="give each example an id of its own",
            )
        positions[id_] = position
