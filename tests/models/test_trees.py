"""Token trees against what they stand for: sets of beginnings, and who comes before whom."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_muscle.models.trees import (
    TokenTree,
    build_tree,
    common_length,
    common_prefix,
    pad,
    pad_trees,
    tree_mask,
)

SEQUENCE = st.lists(st.integers(0, 2), min_size=1, max_size=7).map(tuple)
FOREST = st.lists(SEQUENCE, min_size=1, max_size=8)


def beginnings(sequences: list[tuple[int, ...]]) -> set[tuple[int, ...]]:
    """All that the sequences begin with: one node each."""
    return {sequence[: n + 1] for sequence in sequences for n in range(len(sequence))}


def spelled(tree: TokenTree) -> list[tuple[int, ...]]:
    """What stands on the way to each node, itself included, read from the paths."""
    words: list[tuple[int, ...]] = [()] * len(tree)
    for path in tree.paths:
        for n, node in enumerate(path):
            words[node] = tuple(tree.tokens[other] for other in path[: n + 1])
    return words


@given(FOREST)
def test_the_paths_spell_the_sequences(sequences):
    tree = build_tree(sequences)

    assert [tuple(tree.tokens[node] for node in path) for path in tree.paths] == sequences


@given(FOREST)
def test_what_sequences_begin_with_in_common_stands_once(sequences):
    tree = build_tree(sequences)

    words = spelled(tree)
    assert len(words) == len(set(words)) == len(tree)
    assert set(words) == beginnings(sequences)
    assert words == sorted(words)  # depth first


@given(FOREST)
def test_depths_and_owners(sequences):
    tree = build_tree(sequences)

    for node, word in enumerate(spelled(tree)):
        assert tree.depths[node] == len(word) - 1
        assert tree.paths[tree.owners[node]][tree.depths[node]] == node


@given(FOREST)
def test_ends_say_who_comes_before_whom(sequences):
    tree = build_tree(sequences)

    words = spelled(tree)
    for i, before in enumerate(words):
        for j, after in enumerate(words):
            assert (i <= j < tree.ends[i]) == (after[: len(before)] == before)


def test_a_tree_by_hand():
    """1─2─3 with 4 below 2, and 7 beside them."""
    tree = build_tree([(1, 2, 4), (7,), (1, 2, 3), (1, 2)])

    assert list(tree.tokens) == [1, 2, 3, 4, 7]
    assert list(tree.depths) == [0, 1, 2, 2, 0]
    assert list(tree.ends) == [4, 4, 3, 4, 5]
    assert [list(path) for path in tree.paths] == [[0, 1, 3], [4], [0, 1, 2], [0, 1]]


@given(SEQUENCE, SEQUENCE)
def test_common_length(first, second):
    length = common_length(first, second)

    assert first[:length] == second[:length]
    assert first[length : length + 1] != second[length : length + 1] or not first[length:]


@given(FOREST)
def test_common_prefix(sequences):
    wanted = sequences[0]
    for sequence in sequences:
        while sequence[: len(wanted)] != wanted:
            wanted = wanted[:-1]

    assert common_prefix(sequences) == wanted
    assert common_prefix(iter(sequences)) == wanted


def test_rows_are_filled_on_the_right():
    assert pad([[5], [1, 2, 3], []], fill=9).tolist() == [[5, 9, 9], [1, 2, 3], [9, 9, 9]]
    assert pad([[5], [1, 2]]).tolist() == [[5, 0], [1, 2]]


def test_trees_of_different_sizes_in_one_batch():
    batch = pad_trees([build_tree([(1, 2), (1, 3)]), build_tree([(4,)])])

    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 1], [0, 0, 0]]
    assert batch["ends"].tolist() == [[3, 2, 3], [1, 2, 3]]  # padding ends with itself


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@given(forests=st.lists(FOREST, min_size=1, max_size=3), prefix=st.integers(0, 3))
def test_the_mask_lets_each_node_see_itself_its_ancestors_and_the_prefix(dtype, forests, prefix):
    trees = [build_tree(sequences) for sequences in forests]

    mask = tree_mask(pad_trees(trees)["ends"], dtype, prefix)

    longest = max(map(len, trees))
    assert mask.shape == (len(trees), 1, longest, prefix + longest)
    assert mask.dtype == dtype
    assert set(mask.flatten().tolist()) <= {0.0, torch.finfo(dtype).min}
    for row, tree in enumerate(trees):
        seen = mask[row, 0] == 0
        assert seen[:, :prefix].all()
        words = [*spelled(tree), *[("padding", n) for n in range(longest - len(tree))]]
        for after, word in enumerate(words):
            ancestors = {word[: n + 1] for n in range(len(word))} if after < len(tree) else {word}
            found = {words[n] for n in seen[after, prefix:].nonzero().flatten().tolist()}
            assert found == ancestors
