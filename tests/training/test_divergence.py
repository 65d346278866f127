"""The divergence in one pass is PyTorch's kl_div under autograd, in float64."""

import pytest
import torch
from torch.nn import functional

from pytest_muscle.training import divergence
from pytest_muscle.training.divergence import kl_divergence

TOKENS, VOCABULARY = 13, 50


@pytest.fixture
def logits():
    """Student, teacher and weights of tokens."""
    torch.manual_seed(0)
    return (
        4 * torch.randn(TOKENS, VOCABULARY),
        4 * torch.randn(TOKENS, VOCABULARY),
        torch.rand(TOKENS) + 0.5,
    )


def reference(student, teacher, weights, temperature) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss per token and gradient of the weighted sum."""
    student = student.detach().double().requires_grad_()
    loss = functional.kl_div(
        functional.log_softmax(student / temperature, dim=-1),
        functional.softmax(teacher.double() / temperature, dim=-1),
        reduction="none",
    ).sum(dim=-1)
    (loss * weights).sum().backward()
    assert student.grad is not None
    return loss.detach(), student.grad


@pytest.mark.parametrize("block", [1, 3 * VOCABULARY, 10**9])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_value_and_gradient(logits, temperature, block, monkeypatch, device):
    monkeypatch.setattr(divergence, "BLOCK", block)
    student, teacher, weights = (values.to(device) for values in logits)
    student.requires_grad_()

    loss = kl_divergence(student, teacher, temperature)
    (loss * weights).sum().backward()

    wanted, gradient = reference(*logits, temperature)
    torch.testing.assert_close(loss.cpu().double(), wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(student.grad.cpu().double(), gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_is_widened_before_anything_is_computed(logits, dtype, rounding, device):
    student, teacher, weights = logits
    student, teacher = student.to(device, dtype).requires_grad_(), teacher.to(device, dtype)

    loss = kl_divergence(student, teacher, 2.0)
    (loss * weights.to(device)).sum().backward()

    wanted, gradient = reference(student.detach().cpu(), teacher.cpu(), weights, 2.0)
    assert loss.dtype == torch.float32
    assert student.grad.dtype == dtype
    torch.testing.assert_close(loss.cpu().double(), wanted, rtol=1e-5, atol=1e-6)
    found = student.grad.cpu().double()
    torch.testing.assert_close(found, gradient, rtol=3 * rounding, atol=1e-6)


def test_teacher_and_student_of_different_types(logits):
    student, teacher, weights = logits
    student.requires_grad_()

    loss = kl_divergence(student, teacher.bfloat16(), 2.0)

    wanted, _ = reference(student.detach(), teacher.bfloat16(), weights, 2.0)
    torch.testing.assert_close(loss.double(), wanted, rtol=1e-5, atol=1e-6)


def test_a_student_cut_out_of_wider_logits(logits):
    """As where the teachers' vocabulary is smaller: the rest of the logits gets no gradient."""
    student, teacher, weights = logits
    wide = torch.cat([student, torch.randn(TOKENS, 6)], dim=1).requires_grad_()

    loss = kl_divergence(wide[:, :VOCABULARY], teacher, 2.0)
    (loss * weights).sum().backward()

    _, gradient = reference(student, teacher, weights, 2.0)
    torch.testing.assert_close(wide.grad[:, :VOCABULARY].double(), gradient, rtol=1e-5, atol=1e-6)
    assert not wide.grad[:, VOCABULARY:].any()


def test_no_gradient_flows_to_the_teacher(logits):
    student, teacher, _ = logits
    student.requires_grad_()
    teacher.requires_grad_()

    kl_divergence(student, teacher, 2.0).sum().backward()

    assert student.grad is not None
    assert teacher.grad is None


def test_inputs_are_left_as_they_are(logits):
    student, teacher, _ = logits
    before = student.clone(), teacher.clone()
    student.requires_grad_()

    kl_divergence(student, teacher, 1.0).sum().backward()

    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])


def test_equal_models_have_no_divergence_and_no_gradient(logits):
    student, _, _ = logits
    student.requires_grad_()

    loss = kl_divergence(student, student.detach().clone(), 2.0)
    loss.sum().backward()

    assert loss.abs().max() < 1e-6
    assert student.grad.abs().max() < 1e-7


def test_a_token_that_is_impossible_for_the_teacher():
    """By hand: p = (1, 0), q = (1/4, 3/4); KL = ln 4, and the gradient is q − p."""
    student = torch.tensor([[0.0, 1.0986123]], requires_grad=True)
    teacher = torch.tensor([[0.0, -1e4]])

    loss = kl_divergence(student, teacher, 1.0)
    loss.sum().backward()

    torch.testing.assert_close(loss, torch.tensor([4.0]).log())
    torch.testing.assert_close(student.grad, torch.tensor([[-0.75, 0.75]]))


def made(monkeypatch, call) -> list[torch.Size]:
    """Sizes of the tensors that are made like the student's logits, which gradients are."""
    sizes = []
    empty_like = torch.empty_like

    def spy(tensor, *args: object, **options: object) -> torch.Tensor:
        sizes.append(tensor.shape)
        return empty_like(tensor, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty_like", spy)
        call()
    return sizes


def test_where_no_gradient_is_wanted_none_is_made(logits, monkeypatch):
    student, teacher, _ = logits

    def without_grad() -> None:
        with torch.no_grad():
            kl_divergence(student.clone().requires_grad_(), teacher, 2.0)

    wanted = student.clone().requires_grad_()
    assert made(monkeypatch, lambda: kl_divergence(wanted, teacher, 2.0)) == [student.shape]
    assert made(monkeypatch, lambda: kl_divergence(student, teacher, 2.0)) == []
    assert made(monkeypatch, without_grad) == []


def test_no_tokens_at_all():
    student = torch.empty(0, VOCABULARY, requires_grad=True)

    loss = kl_divergence(student, torch.empty(0, VOCABULARY), 2.0)
    loss.sum().backward()

    assert loss.shape == (0,)
    assert student.grad.shape == (0, VOCABULARY)
