"""Every way to lay requests out gives the states of plain forward passes of one sequence."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_muscle.models.layouts import (
    LAYOUTS,
    NO_PREFIX,
    PLAIN,
    Prefix,
    compute_prefix,
    fits,
    is_taken,
    run_cached,
    run_plain,
    run_trees,
    trunk_length,
)
from pytest_muscle.models.parts import network_parts
from pytest_muscle.models.trees import build_tree

TREE, TREE_ALONE, CACHED, CACHED_ALONE, _ = LAYOUTS

TAKE_TREES = [
    *("llama", "tied embeddings", "qwen2", "gemma2", "granite", "cohere"),
    *("gpt2", "opt", "gpt_neox", "mistral", "longrope"),
]
TAKE_CACHES = [name for name in TAKE_TREES if name != "mistral"] + ["bloom", "falcon"]
TAKE_ROWS = [*TAKE_TREES, "bloom", "falcon", "mamba", "lfm2", "gpt_neo"]

PREFIX = (80, 81, 82, 83)
TREES = [
    build_tree([(5, 6, 7, 8), (5, 6, 9), (5, 6), (5, 6, 9), (5, 6, 9, 9, 1)]),
    build_tree([(11, 12, 13, 14, 15, 16)]),
    build_tree([(20,), (20, 21), (20, 22, 23)]),
]
FOREST = build_tree([(5, 6, 7), (8, 6, 7), (8, 1), (90,)])  # no trunk
ALL_NODES = [(row, node) for row, tree in enumerate(TREES) for node in range(len(tree))]


def one_by_one(network, trees, prefix=()) -> torch.Tensor:
    """Logits of all nodes of all trees; each sequence is a forward pass of its own."""
    found = []
    for tree in trees:
        logits = {}
        for path in tree.paths:
            sequence = [*prefix, *(tree.tokens[node] for node in path)]
            rows = network(torch.tensor([sequence]), use_cache=False).logits[0, len(prefix) :]
            logits.update(zip(path, rows, strict=True))
        found += [logits[node] for node in range(len(tree))]
    return torch.stack(found)


def logits_of(network, run, trees, prefix=NO_PREFIX, nodes=None) -> torch.Tensor:
    """What a layout gives for all nodes, through the model's head."""
    parts = network_parts(network)
    if nodes is None:
        nodes = [(row, node) for row, tree in enumerate(trees) for node in range(len(tree))]
    with torch.inference_mode():
        return parts.head()(run(parts, trees, prefix, nodes))


def prefix_of(network, tokens=PREFIX) -> Prefix:
    with torch.inference_mode():
        prefix = compute_prefix(network_parts(network), tokens)
    assert prefix is not None
    return prefix


@pytest.mark.parametrize("name", TAKE_TREES)
@pytest.mark.parametrize("tokens", [(), PREFIX])
def test_trees(make_network, name, tokens):
    network = make_network(name)
    prefix = prefix_of(network, tokens) if tokens else NO_PREFIX

    found = logits_of(network, run_trees, [*TREES, FOREST], prefix)

    wanted = one_by_one(network, [*TREES, FOREST], tokens)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TAKE_CACHES)
@pytest.mark.parametrize("tokens", [(), PREFIX])
def test_copied_caches(make_network, name, tokens):
    network = make_network(name)
    prefix = prefix_of(network, tokens) if tokens else NO_PREFIX

    found = logits_of(network, run_cached, TREES, prefix)

    torch.testing.assert_close(found, one_by_one(network, TREES, tokens), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TAKE_ROWS)
@pytest.mark.parametrize("tokens", [(), PREFIX])
def test_plain_rows(make_network, name, tokens):
    """The prefix's tokens are enough: no cache is needed."""
    network = make_network(name)

    found = logits_of(network, run_plain, [*TREES, FOREST], Prefix(tokens))

    wanted = one_by_one(network, [*TREES, FOREST], tokens)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("run", [run_trees, run_cached, run_plain])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_tree_and_any_nodes_in_any_order(make_network, run, data):
    sequence = st.lists(st.integers(0, 96), min_size=1, max_size=6)
    trunk = data.draw(sequence)
    trees = [
        build_tree([(*trunk[:length], *rest) for rest in rests])
        for length, rests in data.draw(
            st.lists(
                st.tuples(st.integers(1, 6), st.lists(sequence, min_size=1, max_size=5)),
                min_size=1,
                max_size=3,
            )
        )
    ]
    every = [(row, node) for row, tree in enumerate(trees) for node in range(len(tree))]
    order = data.draw(st.lists(st.integers(0, len(every) - 1), min_size=1, max_size=9))
    network = make_network("llama")
    prefix = prefix_of(network)

    found = logits_of(network, run, trees, prefix, [every[number] for number in order])

    wanted = one_by_one(network, trees, PREFIX)[order]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("run", [run_trees, run_cached])
@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_a_prefix_serves_batch_after_batch(make_network, name, run):
    network = make_network(name)
    prefix = prefix_of(network)
    first = logits_of(network, run, TREES[:1], prefix)

    logits_of(network, run, [TREES[1], TREES[2], TREES[2]], prefix)

    assert torch.equal(logits_of(network, run, TREES[:1], prefix), first)
    assert prefix.cache.get_seq_length() == len(prefix) == len(PREFIX)


def test_a_batch_s_cache_takes_no_memory_before_it_grows(make_network):
    prefix = prefix_of(make_network("llama"))

    for mine, own in zip(prefix.for_batch(7).layers, prefix.cache.layers, strict=True):
        assert mine.keys.shape[0] == 7
        assert mine.keys.data_ptr() == own.keys.data_ptr()
        assert mine.values.data_ptr() == own.values.data_ptr()


def test_no_prefix_no_cache():
    assert NO_PREFIX.for_batch(3) is None
    assert len(NO_PREFIX) == 0


@pytest.mark.parametrize("name", ["mamba", "lfm2"])
def test_a_state_that_batches_cannot_share_is_no_prefix(make_network, name):
    assert compute_prefix(network_parts(make_network(name)), PREFIX) is None


def test_a_trunk_runs_once_over_a_copied_cache(make_network):
    network = make_network("bloom")
    seen = []
    network.transformer.register_forward_pre_hook(
        lambda _, __, inputs: seen.append(inputs["input_ids"].tolist()), with_kwargs=True
    )

    logits_of(network, run_cached, TREES)

    trunks, tails = seen
    assert trunks == [[5, 6, 0, 0, 0, 0], [11, 12, 13, 14, 15, 16], [20, 0, 0, 0, 0, 0]]
    assert sorted(tails) == [[7, 8, 0], [9, 0, 0], [9, 9, 1], [21, 0, 0], [22, 23, 0]]


@pytest.mark.parametrize(
    ("sequences", "length"),
    [
        ([(1, 2, 3)], 3),
        ([(1, 2, 3), (1, 2, 4)], 2),
        ([(1, 2), (1, 2, 4)], 3),
        ([(1, 2), (3, 4)], 0),
        ([(1, 2), (1, 2), (1, 2, 3, 4), (1, 2, 3, 4)], 4),
        ([(1,), (1, 1), (1, 2)], 1),
    ],
)
def test_the_trunk_ends_at_the_first_fork(sequences, length):
    assert trunk_length(build_tree(sequences)) == length


@pytest.mark.parametrize(("layout", "size"), [(TREE, (1, 7)), (CACHED, (4, 5)), (PLAIN, (4, 9))])
def test_what_a_tree_takes_of_a_batch(layout, size):
    """Seven nodes; four different sequences, of five tokens at the most, four before them."""
    tree = build_tree([(5, 6, 7, 8), (5, 6, 9), (5, 6), (5, 6, 9), (5, 6, 9, 9, 1)])

    assert layout.rows(tree, len(PREFIX)) == size


def test_layouts_that_a_model_s_inputs_rule_out(make_network):
    llama, bloom, mamba = (
        network_parts(make_network(name)) for name in ("llama", "bloom", "mamba")
    )

    assert [is_taken(llama, layout) for layout in LAYOUTS] == [True] * 5
    assert [is_taken(bloom, layout) for layout in LAYOUTS] == [False, False, True, True, True]
    assert [is_taken(mamba, layout) for layout in LAYOUTS] == [False] * 4 + [True]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_path_longer_than_the_window_fits_plain_rows_alone(layout):
    tree = build_tree([(5, 6, 7, 8), (5, 6, 9)])  # its longest path has four tokens

    assert fits(layout, tree, NO_PREFIX, None)
    assert fits(layout, tree, NO_PREFIX, 4) == (layout not in (CACHED, CACHED_ALONE))
    assert fits(layout, tree, Prefix(PREFIX), 8) == (layout not in (CACHED, CACHED_ALONE))
    assert fits(layout, tree, NO_PREFIX, 3) == (layout is PLAIN)
    assert fits(layout, tree, Prefix(PREFIX), 7) == (layout is PLAIN)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tree_without_trunk_does_not_fit_a_copied_cache(layout):
    assert fits(layout, FOREST, NO_PREFIX, None) == (layout not in (CACHED, CACHED_ALONE))


@pytest.mark.parametrize("name", ["mistral", "gemma2", "longrope"])
@pytest.mark.parametrize("length", [11, 12, 16, 18, 40])
def test_long_paths_where_attention_has_a_window(make_network, name, length):
    """Up to the window as trees, beyond it as plain rows; both as one forward pass gives them."""
    network = make_network(name)
    window = {"mistral": 12}.get(name, 16)
    rng = random.Random(length)
    trunk = tuple(rng.randrange(97) for _ in range(length - 2))
    tree = build_tree([(*trunk, 1, 2), (*trunk, 3), (*trunk, 1, 4)])
    run = run_trees if fits(TREE, tree, NO_PREFIX, window) else run_plain

    found = logits_of(network, run, [tree, TREES[0]] if run is run_trees else [tree])

    assert run is (run_trees if length <= window else run_plain)
    wanted = one_by_one(network, [tree])
    torch.testing.assert_close(found[: len(tree)], wanted, rtol=1e-4, atol=1e-4)
    if name != "longrope" and length > window:
        wrong = logits_of(network, run_trees, [tree])
        assert not torch.allclose(wrong, wanted, atol=1e-2)  # the window does make a difference
