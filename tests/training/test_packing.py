"""Every token to predict is in the batch once, with its label, weight and place."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_muscle.training import packing
from pytest_muscle.training.packing import PackTrees, pack, split_rows
from pytest_muscle.training.teachers import number_places

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=9), min_size=1, max_size=12)


def dataset(sequences: list[list[int]]) -> list[dict[str, object]]:
    numbered = [{"input_ids": tokens} for tokens in sequences]
    number_places(numbered)
    return numbered


def by_hand(sequences: list[list[int]]) -> dict[tuple[tuple[int, ...], int], float]:
    """(what comes before a token, the token) -> in how many sequences."""
    counts: dict[tuple[tuple[int, ...], int], float] = {}
    for tokens in sequences:
        for n in range(1, len(tokens)):
            target = tuple(tokens[:n]), tokens[n]
            counts[target] = counts.get(target, 0) + 1
    return counts


def seen_by(batch: dict[str, torch.Tensor], row: int, node: int) -> tuple[int, ...]:
    """The tokens that a node sees: those before it that end no earlier, or all before it."""
    ids = batch["input_ids"][row].tolist()
    if "ends" not in batch:
        assert batch["attention_mask"][row, : node + 1].all()
        return tuple(ids[: node + 1])
    ends = batch["ends"][row].tolist()
    return tuple(ids[n] for n in range(node + 1) if node < ends[n])


@pytest.mark.parametrize("trees", [True, False])
@given(sequences=SEQUENCES, row=st.sampled_from([1, 5, 256]))
def test_every_target_of_every_sequence(trees, sequences, row):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "ROW", row)
        batch = PackTrees(trees)(dataset(sequences))

    places = {
        place: (tuple(tokens[:n]), tokens[n])
        for tokens, first in zip(sequences, starts(sequences), strict=True)
        for n, place in enumerate(range(first, first + len(tokens) - 1), start=1)
    }
    counts: dict[tuple[tuple[int, ...], int], float] = {}
    for row, node, label, weight, place in zip(
        *(batch[name].tolist() for name in ("rows", "nodes", "labels", "weights", "places")),
        strict=True,
    ):
        target = seen_by(batch, row, node), label
        counts[target] = counts.get(target, 0) + weight
        assert places[place] == target
    assert counts == by_hand(sequences)


@pytest.mark.parametrize("trees", [True, False])
@given(sequences=SEQUENCES, row=st.sampled_from([1, 5]), most=st.integers(1, 40))
def test_parts_hold_what_the_batch_holds(trees, sequences, row, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "ROW", row)
        batch = PackTrees(trees)(dataset(sequences))

    parts = split_rows(batch, most)

    assert parts[0].keys() == batch.keys()
    first = 0
    found = []
    for part in parts:
        rows, width = part["input_ids"].shape
        assert rows == 1 or rows * width <= most
        for name, value in part.items():
            assert value.ndim == 1 or value.tolist() == batch[name][first : first + rows].tolist()
        found += targets_of(part, first)
        first += rows
    assert first == len(batch["input_ids"])
    assert found == targets_of(batch)


def targets_of(batch: dict[str, torch.Tensor], first: int = 0) -> list[tuple[float, ...]]:
    names = ("nodes", "labels", "weights", "places")
    rows = [row + first for row in batch["rows"].tolist()]
    return list(zip(rows, *(batch[name].tolist() for name in names), strict=True))


def starts(sequences: list[list[int]]) -> list[int]:
    """The place of each sequence's first token, if they are laid end to end."""
    return [sum(len(tokens) - 1 for tokens in sequences[:n]) for n in range(len(sequences))]


@given(SEQUENCES)
def test_a_target_stands_once_in_its_row(sequences):
    batch = PackTrees()(dataset(sequences))

    targets = list(
        zip(*(batch[name].tolist() for name in ("rows", "nodes", "labels")), strict=True)
    )
    assert len(targets) == len(set(targets))


@given(SEQUENCES)
def test_positions_count_what_is_seen(sequences):
    batch = PackTrees()(dataset(sequences))

    for row, node in zip(batch["rows"].tolist(), batch["nodes"].tolist(), strict=True):
        assert batch["position_ids"][row, node] == len(seen_by(batch, row, node)) - 1


@given(
    sequences=st.lists(st.lists(st.integers(0, 2), min_size=1).map(tuple), min_size=1),
    row=st.sampled_from([1, 5, 256]),
)
def test_every_sequence_is_in_one_row(sequences, row):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "ROW", row)
        rows = pack(sequences)

    assert sorted(number for row in rows for number in row) == list(range(len(sequences)))
    assert all(rows)


def test_batches_by_hand():
    """1 2 is the beginning of two; 2 follows it twice, 3 once; 9 stands beside them."""
    batch = PackTrees()(dataset([[1, 2, 2], [9, 4], [1, 2, 3], [1, 2, 2]]))

    assert batch["input_ids"].tolist() == [[1, 2, 9]]
    assert batch["position_ids"].tolist() == [[0, 1, 0]]
    assert batch["ends"].tolist() == [[2, 2, 3]]
    found = zip(
        *(batch[name].tolist() for name in ("rows", "nodes", "labels", "weights", "places")),
        strict=True,
    )
    assert sorted(found) == [(0, 0, 2, 3, 0), (0, 1, 2, 2, 1), (0, 1, 3, 1, 4), (0, 2, 4, 1, 2)]


def test_plain_rows_by_hand():
    batch = PackTrees(trees=False)(dataset([[1, 2, 2], [9, 4]]))

    assert batch["input_ids"].tolist() == [[1, 2], [9, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert "ends" not in batch
    assert batch["rows"].tolist() == [0, 0, 1]
    assert batch["nodes"].tolist() == [0, 1, 0]
    assert batch["labels"].tolist() == [2, 2, 4]
    assert batch["weights"].tolist() == [1, 1, 1]
    assert batch["places"].tolist() == [0, 1, 2]


def test_validation_sequences_have_no_places():
    """No teacher speaks to them; the places are there and mean nothing."""
    batch = PackTrees()([{"input_ids": [1, 2, 3]}])

    assert batch["labels"].tolist() == [2, 3]
    assert len(batch["places"]) == 2


def lognormal(count: int, seed: int, *, shared: int = 0) -> list[dict[str, object]]:
    """Sequences whose lengths are as uneven as those of real prompts, median 90."""
    rng = random.Random(seed)
    beginning = [rng.randrange(1000) for _ in range(shared)]
    return dataset(
        [
            beginning
            + [rng.randrange(1000) for _ in range(max(2, round(rng.lognormvariate(4.5, 0.7))))]
            for _ in range(count)
        ]
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shared", [0, 60])
@pytest.mark.parametrize("count", [1, 4, 8, 16, 32])
def test_there_is_hardly_any_padding(count, shared, seed):
    sequences = lognormal(count, seed, shared=shared)

    batch = PackTrees()(sequences)

    rows, tokens = batch["input_ids"].shape
    nodes = len(set(zip(batch["rows"].tolist(), batch["nodes"].tolist(), strict=True)))
    assert 1 - nodes / (rows * tokens) <= 0.05
    whole = sum(len(sequence["input_ids"]) - 1 for sequence in sequences)
    assert nodes <= whole - (count - rows) * shared  # what all share stands once in each row


@pytest.mark.parametrize("seed", range(8))
def test_rows_are_hardly_longer_than_the_longest_sequence(seed):
    """Attention costs their square."""
    sequences = lognormal(32, seed)

    rows, tokens = PackTrees()(sequences)["input_ids"].shape

    longest = max(len(sequence["input_ids"]) for sequence in sequences)
    assert rows > 4
    assert tokens <= 1.6 * max(256, longest)


def test_sequences_that_share_most_stand_in_one_row():
    """Forty questions of 100 tokens, each with three answers of five."""
    rng = random.Random(0)
    questions = [[rng.randrange(9, 1000) for _ in range(100)] for _ in range(40)]
    sequences = [[*question, answer, 1, 2, 3, 4] for answer in (5, 6, 7) for question in questions]
    rng.shuffle(sequences)

    batch = PackTrees()(dataset(sequences))

    nodes = len(set(zip(batch["rows"].tolist(), batch["nodes"].tolist(), strict=True)))
    assert len(batch["input_ids"]) > 8
    assert nodes == 40 * (100 + 3 * 4)
