"""Training objectives against METHOD.md's formulas, written out here without PyTorch's losses."""

import math

import pytest
import torch

from pytest_muscle.errors import ConfigurationError, TrainingError
from pytest_muscle.training.objectives import (
    TeacherLogits,
    TokenLoss,
    cross_entropy,
    distillation,
    find_objective,
    muscle,
    old_everywhere,
    told_in_words,
)

TOKENS, VOCABULARY, T = 12, 9, 2.0


def softmax(logits: list[float], temperature: float) -> list[float]:
    weights = [math.exp(value / temperature) for value in logits]
    return [weight / sum(weights) for weight in weights]


def divergence(teacher: list[float], student: list[float]) -> float:
    """KL(teacher ‖ student) = Σ p log(p/q)."""
    return sum(p * math.log(p / q) for p, q in zip(teacher, student, strict=True))


def naive_muscle(student, gold, old, new, temperature=T, *, everywhere_old=False):
    """METHOD.md token by token: the losses, the gradient of each loss, the mask."""
    losses, gradients, masked = [], [], []
    for z, y, z1, z2 in zip(
        student.tolist(), gold.tolist(), old.tolist(), new.tolist(), strict=True
    ):
        misses = z.index(max(z)) != y
        teacher = softmax(z1 if misses or everywhere_old else z2, temperature)
        q = softmax(z, temperature)
        losses.append(divergence(teacher, q))
        # d/dz_k of -Σ p log q(z/T) = (q_k − p_k) / T; the teacher is constant.
        gradients.append([(q_k - p_k) / temperature for q_k, p_k in zip(q, teacher, strict=True)])
        masked.append(misses)
    return losses, gradients, masked


@pytest.fixture
def logits():
    """Student, old and new logits, and gold tokens of which the student hits half."""
    torch.manual_seed(0)
    student, old, new = (3 * torch.randn(TOKENS, VOCABULARY, dtype=torch.float64) for _ in range(3))
    gold = student.argmax(dim=-1)
    gold[::2] = (gold[::2] + 1) % VOCABULARY
    return student.requires_grad_(), old.requires_grad_(), new.requires_grad_(), gold


def test_muscle_equals_the_formula(logits):
    student, old, new, gold = logits

    result = muscle(student, gold, TeacherLogits(old, new), T)

    losses, gradients, masked = naive_muscle(student, gold, old, new)
    assert result.loss.tolist() == pytest.approx(losses, rel=1e-5)
    assert result.masked is not None
    assert result.masked.tolist() == masked == [number % 2 == 0 for number in range(TOKENS)]
    result.loss.sum().backward()
    torch.testing.assert_close(
        student.grad, torch.tensor(gradients, dtype=torch.float64), rtol=1e-5, atol=1e-7
    )


def test_the_mask_moves_with_the_student(logits):
    student, old, new, gold = logits
    teachers = TeacherLogits(old, new)
    before = muscle(student, gold, teachers, T).masked
    assert before is not None

    learnt = student.detach().clone()
    learnt[0, gold[0]] = learnt[0].max() + 1
    after = muscle(learnt, gold, teachers, T)

    assert before[0].item()
    assert after.masked is not None
    assert not after.masked[0].item()
    assert after.loss[0].item() == pytest.approx(
        divergence(softmax(new[0].tolist(), T), softmax(learnt[0].tolist(), T)), rel=1e-5
    )


def test_a_student_that_equals_the_new_model_learns_from_missed_tokens_alone(logits):
    _, old, new, gold = logits
    student = new.detach().clone().requires_grad_()
    missed = student.argmax(dim=-1) != gold
    assert 0 < int(missed.sum()) < TOKENS

    result = muscle(student, gold, TeacherLogits(old, new), T)
    result.loss.sum().backward()

    assert result.loss[~missed].tolist() == pytest.approx([0.0] * int((~missed).sum()), abs=1e-6)
    assert student.grad[~missed].abs().max() < 1e-6
    assert (student.grad[missed].abs().amax(dim=-1) > 1e-3).all()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_no_factor_of_the_temperature_squared(logits, temperature):
    student, old, new, gold = logits

    result = muscle(student, gold, TeacherLogits(old, new), temperature)

    losses, _, _ = naive_muscle(student, gold, old, new, temperature)
    assert result.loss.tolist() == pytest.approx(losses, rel=1e-5)


def test_the_old_model_everywhere(logits):
    student, old, new, gold = logits

    result = old_everywhere(student, gold, TeacherLogits(old, new), T)

    losses, gradients, _ = naive_muscle(student, gold, old, new, everywhere_old=True)
    assert result.loss.tolist() == pytest.approx(losses, rel=1e-5)
    assert result.masked is not None
    assert result.masked.all()
    result.loss.sum().backward()
    torch.testing.assert_close(
        student.grad, torch.tensor(gradients, dtype=torch.float64), rtol=1e-5, atol=1e-7
    )
    assert new.grad is None


def test_distillation_counts_the_whole_vocabulary():
    """By hand: p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2); KL = ln 2 · (1/2 − 1/4)."""
    teacher = torch.tensor([[2.0, 1.0, 1.0]]) * math.log(2)
    student = torch.tensor([[1.0, 1.0, 2.0]]) * math.log(2)

    assert distillation(student, teacher, 1.0).tolist() == pytest.approx([math.log(2) / 4])
    assert distillation(2 * student, 2 * teacher, 2.0).tolist() == pytest.approx([math.log(2) / 4])


def test_cross_entropy(logits):
    student, _, _, gold = logits

    wanted = [
        -math.log(softmax(z, 1.0)[y]) for z, y in zip(student.tolist(), gold.tolist(), strict=True)
    ]

    assert cross_entropy(student, gold).tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_are_computed_in_float32(logits, dtype):
    student, old, new, gold = logits
    half = [values.detach().to(dtype) for values in (student, old, new)]

    result = muscle(half[0], gold, TeacherLogits(half[1], half[2]), T)

    losses, _, _ = naive_muscle(half[0].double(), gold, half[1].double(), half[2].double())
    assert result.loss.dtype == torch.float32
    assert result.loss.tolist() == pytest.approx(losses, rel=1e-4, abs=1e-5)


def test_objectives_are_found_by_name():
    assert find_objective("muscle") is muscle
    assert find_objective("old_everywhere") is old_everywhere
    assert find_objective("pytest_muscle.training.objectives:muscle") is muscle


def test_an_unknown_objective_is_an_error_that_suggests_one():
    with pytest.raises(ConfigurationError, match="muscle"):
        find_objective("mussle")


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (lambda *given: given[0], "returns no loss for each token"),
        (lambda *given: TokenLoss(given[0]), "returns no loss for each token"),
        (lambda *given: given[4], "fails: IndexError: tuple index out of range"),
        (lambda student: student, "fails: TypeError: "),
    ],
)
def test_a_mistake_in_one_of_theirs_is_told_in_words(objective, said):
    student, gold = torch.zeros(3, 5), torch.zeros(3, dtype=torch.long)
    guarded = told_in_words(objective, "a.b:c", "muscle.toml: compat.strategy")
    with pytest.raises(TrainingError) as caught:
        guarded(student, gold, TeacherLogits(student, student), 1.0)
    message = str(caught.value)
    assert f"muscle.toml: compat.strategy: the training strategy 'a.b:c' {said}" in message
    assert "returns a TokenLoss" in message


def test_one_of_theirs_that_does_not_fail_says_what_it_says():
    student, gold = torch.zeros(3, 5), torch.zeros(3, dtype=torch.long)
    loss = TokenLoss(torch.arange(3.0))
    guarded = told_in_words(lambda *given: loss, "a.b:c", "here")
    assert guarded(student, gold, TeacherLogits(student, student), 1.0) is loss
    assert told_in_words(muscle, "muscle", "here") is muscle


def test_no_memory_is_not_the_objective_s_mistake():
    def objective(*given: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        told_in_words(objective, "a.b:c", "here")(
            torch.zeros(1, 2), torch.zeros(1), TeacherLogits(torch.zeros(1), torch.zeros(1)), 1.0
        )
