"""Batches fill memory as far as pays, and no further."""

import weakref

import psutil
import pytest
import torch

from pytest_muscle.models import memory
from pytest_muscle.models.memory import (
    MOST_CACHED,
    MOST_TOKENS,
    cache_budget,
    free_memory,
    is_out_of_memory,
    token_budget,
)
from pytest_muscle.models.parts import NetworkParts, network_parts

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def free(monkeypatch):
    """A function that sets the memory that is free, in bytes."""

    def set_free(size: int) -> None:
        answer = psutil.virtual_memory()._replace(available=size)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: answer)

    return set_free


def test_more_than_pays_is_not_taken(make_network, free):
    free(10**15)

    assert token_budget(network_parts(make_network("llama"))) == MOST_TOKENS["cpu"]


def test_little_memory_makes_small_batches(make_network, free, monkeypatch):
    """By hand: a token takes 4 · (16·32 + 4·64) = 3,072 bytes; 70 % of 2 MB are for 455 of them."""
    monkeypatch.setitem(MOST_TOKENS, "cpu", 10**6)
    parts = network_parts(make_network("llama"))
    free(2_000_000)

    assert token_budget(parts) == 455
    free(1)
    assert token_budget(parts) == 256  # what does not fit is halved then


def test_logits_take_memory_where_they_cannot_be_told_from_states(make_network, free, monkeypatch):
    """Two float32 numbers for each of 97 tokens of the vocabulary more."""
    monkeypatch.setitem(MOST_TOKENS, "cpu", 10**6)
    network = make_network("llama")
    free(10_000_000)

    assert token_budget(NetworkParts(network)) == int(0.7e7 / 3072)
    assert token_budget(NetworkParts(network, split=False)) == int(0.7e7 / (3072 + 8 * 97))


def test_tokens_of_growing_texts_take_their_keys_and_values_too(make_network, free, monkeypatch):
    """Of 2 layers and 2 heads 8 numbers each, twice in float32, and a copy: 512 bytes more."""
    monkeypatch.setitem(MOST_CACHED, "cpu", 10**6)
    free(10_000_000)

    assert cache_budget(network_parts(make_network("llama"))) == int(0.7e7 / (3072 + 512))
    assert cache_budget(network_parts(make_network("mamba"))) > 256
    free(10**15)
    assert cache_budget(network_parts(make_network("llama"))) == 10**6


@pytest.mark.parametrize("name", ["gpt2", "opt", "mamba", "bloom", "gemma2", "gpt_neo"])
def test_the_widths_of_other_configurations(make_network, free, name):
    free(10**12)

    assert token_budget(network_parts(make_network(name))) == MOST_TOKENS["cpu"]


@pytest.mark.parametrize(
    ("error", "memory_ran_out"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB, max allowed: 9 GB)"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_errors_that_say_that_memory_ran_out(error, memory_ran_out):
    assert is_out_of_memory(error) == memory_ran_out


def test_a_real_one_of_the_cpu():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)

    assert is_out_of_memory(raised.value)


@needs_cuda
def test_memory_is_measured_on_cuda(make_network):
    parts = network_parts(make_network("llama").cuda())

    each = memory._measured_bytes(parts)

    assert 32 * 4 < each < 10**6
    assert token_budget(parts) == MOST_TOKENS["cuda"]


@needs_cuda
def test_a_model_with_long_rows_takes_more_memory_on_cuda(make_network):
    small, large = (
        network_parts(make_network("llama", intermediate_size=size).cuda())
        for size in (64, 16 * 1024)
    )

    assert memory._measured_bytes(large) > 4 * memory._measured_bytes(small)


@needs_cuda
def test_memory_is_given_back_on_cuda():
    held = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    before = torch.cuda.memory_reserved()
    del held

    free_memory(torch.device("cuda"))

    assert torch.cuda.memory_reserved() <= before - 2**28


def test_circles_of_references_are_given_back():
    class Node:
        """It can refer to itself."""

    node = Node()
    node.itself = node
    found = weakref.ref(node)
    del node

    free_memory(torch.device("cpu"))

    assert found() is None
