"""A loss in chunks is the loss as a whole: value and gradients, and memory less."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from pytest_muscle.training.chunks import chunked_loss

TOKENS, HIDDEN, VOCABULARY = 17, 8, 40


@pytest.fixture
def parts(device):
    """Hidden states, a head with a part that is not trained, and gold tokens."""
    torch.manual_seed(0)
    hidden = torch.randn(TOKENS, HIDDEN).to(device).requires_grad_()
    head = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, VOCABULARY))
    head[2].requires_grad_(False)
    return hidden, head.to(device), torch.randint(VOCABULARY, (TOKENS,)).to(device)


def trained(head: nn.Module) -> list[nn.Parameter]:
    return [weights for weights in head.parameters() if weights.requires_grad]


def in_chunks(parts, size: int, parameters=None) -> torch.Tensor:
    hidden, head, gold = parts
    return chunked_loss(
        hidden,
        lambda states, here: functional.cross_entropy(head(states), gold[here], reduction="sum"),
        size=size,
        parameters=trained(head) if parameters is None else parameters,
    )


def as_a_whole(parts) -> torch.Tensor:
    hidden, head, gold = parts
    return functional.cross_entropy(head(hidden), gold, reduction="sum")


def gradients(parts, loss: torch.Tensor) -> list[torch.Tensor]:
    hidden, head, _ = parts
    found = torch.autograd.grad(loss, [hidden, *trained(head)])
    return list(found)


@pytest.mark.parametrize("size", [1, 2, 5, 16, 17, 18, 10**6])
def test_value_and_gradients_of_any_size_of_chunk(parts, size):
    wanted = as_a_whole(parts)
    wanted_gradients = gradients(parts, wanted / 3)

    loss = in_chunks(parts, size)

    torch.testing.assert_close(loss, wanted)
    for found, gradient in zip(gradients(parts, loss / 3), wanted_gradients, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-5, atol=1e-6)


def test_gradients_accumulate_in_leaves(parts):
    hidden, head, _ = parts
    as_a_whole(parts).backward()
    wanted = [weights.grad.clone() for weights in (hidden, *trained(head))]

    for _ in range(2):
        in_chunks(parts, 4).backward()

    for weights, gradient in zip((hidden, *trained(head)), wanted, strict=True):
        torch.testing.assert_close(weights.grad, 3 * gradient, rtol=1e-5, atol=1e-6)


def test_what_comes_before_the_hidden_states_learns_too(parts):
    hidden, head, gold = parts
    weights = torch.randn(HIDDEN, HIDDEN, device=hidden.device, requires_grad=True)
    (wanted,) = torch.autograd.grad(as_a_whole((hidden @ weights, head, gold)), weights)

    in_chunks((hidden @ weights, head, gold), 5).backward()

    torch.testing.assert_close(weights.grad, wanted, rtol=1e-5, atol=1e-6)
    again = checkpoint(torch.matmul, hidden.detach(), weights, use_reentrant=False)
    in_chunks((again, head, gold), 5).backward()
    torch.testing.assert_close(weights.grad, 2 * wanted, rtol=1e-5, atol=1e-6)


def test_frozen_weights_get_no_gradient(parts):
    _, head, _ = parts

    in_chunks(parts, 5).backward()

    assert head[0].weight.grad is not None
    assert head[2].weight.grad is None


def count_backward_passes(parts, monkeypatch) -> int:
    calls = []
    grad = torch.autograd.grad
    with monkeypatch.context() as patch:
        patch.setattr(torch.autograd, "grad", lambda *a, **o: calls.append(1) or grad(*a, **o))
        in_chunks(parts, 5)
    return len(calls)


def test_where_no_gradient_is_wanted_there_is_no_backward_pass(parts, monkeypatch):
    """Evaluation, where the head is trained all the same."""
    hidden, head, gold = parts
    assert count_backward_passes(parts, monkeypatch) == 4

    with torch.no_grad():
        loss = in_chunks(parts, 5)
        assert count_backward_passes(parts, monkeypatch) == 0

    torch.testing.assert_close(loss, as_a_whole(parts).detach())
    assert not loss.requires_grad
    frozen = hidden.detach(), head.requires_grad_(False), gold
    assert count_backward_passes(frozen, monkeypatch) == 0


def test_a_chunk_without_anything_to_learn(parts):
    """An objective may leave tokens out: its loss there is a constant."""
    hidden, head, gold = parts

    def loss_of(states: torch.Tensor, here: slice) -> torch.Tensor:
        if here.start < 8:
            return torch.zeros((), device=states.device)
        return functional.cross_entropy(head(states), gold[here], reduction="sum")

    loss = chunked_loss(hidden, loss_of, size=4, parameters=trained(head))
    loss.backward()

    wanted = as_a_whole((hidden[8:], head, gold[8:]))
    torch.testing.assert_close(loss, wanted)
    assert not hidden.grad[:8].any()
    torch.testing.assert_close(hidden.grad, torch.autograd.grad(wanted, hidden)[0])


def test_a_loss_of_the_head_alone(parts):
    """Such as a penalty on its weights: hidden states have no gradient then."""
    hidden, head, _ = parts

    chunked_loss(
        hidden, lambda *_: head[0].weight.square().sum(), size=5, parameters=trained(head)
    ).backward()

    assert not hidden.grad.any()
    torch.testing.assert_close(head[0].weight.grad, 2 * 4 * head[0].weight)


def test_half_precision_sums_in_float32(parts):
    hidden, head, gold = parts
    half = hidden.detach().bfloat16().requires_grad_()
    head = head.bfloat16()

    loss = chunked_loss(
        half,
        lambda states, here: functional.cross_entropy(
            head(states).float(), gold[here], reduction="sum"
        ),
        size=1,
        parameters=trained(head),
    )
    loss.backward()

    assert loss.dtype == torch.float32
    assert half.grad.dtype == torch.bfloat16
    wanted = functional.cross_entropy(head(half).float(), gold, reduction="sum")
    torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=0)


def test_logits_are_freed_before_the_next_are_made(parts):
    """At most one chunk's logits are alive at any time."""
    hidden, head, gold = parts
    alive: set[int] = set()
    most = []

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, logits) -> torch.Tensor:
            ctx.number = len(most)
            alive.add(ctx.number)
            most.append(len(alive))
            return logits.clone()

        @staticmethod
        def backward(ctx, gradient) -> torch.Tensor:
            alive.discard(ctx.number)
            return gradient

    chunked_loss(
        hidden,
        lambda states, here: functional.cross_entropy(
            Counted.apply(head(states)), gold[here], reduction="sum"
        ),
        size=3,
        parameters=trained(head),
    )

    assert most == [1] * 6


def test_no_tokens_at_all(parts):
    _, head, gold = parts
    hidden = torch.empty(0, HIDDEN, device=gold.device, requires_grad=True)

    loss = in_chunks((hidden, head, gold[:0]), 4)
    loss.backward()

    assert loss.item() == 0
    assert hidden.grad.shape == (0, HIDDEN)
