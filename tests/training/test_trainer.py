"""The Trainer's loss and gradient, against forward passes of one sequence at a time."""

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForCausalLM

from pytest_muscle.models.memory import MOST_TOKENS
from pytest_muscle.training import packing
from pytest_muscle.training.packing import PackTrees
from pytest_muscle.training.trainer import STUDENT, AdapterTrainer, CompatTrainer
from tests.training.student import (
    SEQUENCES,
    KeepGradient,
    Models,
    batch,
    forward,
    gradient_of,
    make_trainer,
    naive_cross_entropy,
    naive_loss,
    numbered,
    put_on,
)


@pytest.mark.parametrize("weight", [1.0, 0.3, 0.0])
def test_the_loss_is_the_mean_over_all_tokens_of_context_and_answer(models, tmp_path, weight):
    trainer = make_trainer(models, tmp_path, distillation_weight=weight)
    models.new.train()

    loss = trainer.compute_loss(models.new, batch(SEQUENCES))

    assert loss.item() == pytest.approx(naive_loss(models, weight).item(), rel=1e-5)


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("most", [1, 20, 512])
@pytest.mark.parametrize(("batch_size", "accumulation"), [(9, 1), (5, 2), (3, 3), (2, 5), (1, 9)])
def test_accumulated_batches_and_their_parts_give_the_gradient_of_one_large_batch(
    models, tmp_path, monkeypatch, batch_size, accumulation, most, trees
):
    monkeypatch.setitem(MOST_TOKENS, "cpu", most)
    monkeypatch.setattr(packing, "ROW", 6)
    naive_loss(models).backward()
    wanted = gradient_of(models.new)
    models.new.zero_grad()
    kept = KeepGradient()

    make_trainer(
        models,
        tmp_path,
        callback=kept,
        trees=trees,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
    ).train()

    assert wanted
    assert kept.gradient.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(kept.gradient[name], gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("trees", [True, False])
def test_a_step_logs_the_mean_loss_whatever_its_parts(models, tmp_path, monkeypatch, trees):
    naive = naive_loss(models).item()
    monkeypatch.setitem(MOST_TOKENS, "cpu", 12)
    monkeypatch.setattr(packing, "ROW", 6)
    trainer = make_trainer(models, tmp_path, trees=trees, logging_steps=1)
    sizes = []
    models.new.get_base_model().model.embed_tokens.register_forward_hook(
        lambda _, inputs, __: sizes.append(inputs[0].numel())
    )

    trainer.train()

    assert len(sizes) > 1
    assert max(sizes) <= 12
    assert trainer.state.log_history[0]["loss"] == pytest.approx(naive, rel=1e-4)


@pytest.fixture
def process_group(tmp_path):
    """The one process of a distributed run."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("options", [{}, {"find_unused_parameters": True}])
def test_a_parallel_wrapper_gives_the_same_gradient(
    models, tmp_path, process_group, trees, options
):
    """It is called as a whole, so that it gathers gradients, and makes no logits but one."""
    naive_loss(models).backward()
    wanted = gradient_of(models.new)
    models.new.zero_grad()
    trainer = make_trainer(models, tmp_path, trees=trees)
    wrapped = DistributedDataParallel(models.new, **options).train()
    gathered = []
    wrapped.register_comm_hook(None, lambda _, bucket: done(bucket, gathered))
    positions = []
    models.new.get_base_model().lm_head.register_forward_hook(
        lambda _, inputs, __: positions.append(inputs[0].shape[-2])
    )

    trainer.compute_loss(wrapped, PackTrees(trees)(numbered())).backward()

    found = gradient_of(models.new)
    assert gathered
    assert positions[0] == 1
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-7)


def done(bucket: torch.distributed.GradBucket, gathered: list[int]) -> torch.futures.Future:
    """What a bucket of gradients becomes in a world of one process: itself."""
    gathered.append(bucket.index())
    future: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future


def test_at_the_first_step_all_gradient_comes_from_missed_tokens(directories, tmp_path, models):
    start = AutoModelForCausalLM.from_pretrained(directories / "new")
    models.new = put_on(start, directories / "new-adapter", directories / "new-adapter")
    naive_loss(models, missed_only=True).backward()
    wanted = gradient_of(models.new)
    models.new.zero_grad()
    kept = KeepGradient()

    make_trainer(models, tmp_path, callback=kept).train()

    assert max(float(gradient.abs().max()) for gradient in wanted.values()) > 1e-4
    for name, gradient in wanted.items():
        torch.testing.assert_close(kept.gradient[name], gradient, rtol=1e-3, atol=1e-6)


def test_only_the_student_moves(models, tmp_path):
    before = {name: weights.clone() for name, weights in models.new.state_dict().items()}
    old = {name: weights.clone() for name, weights in models.old.state_dict().items()}

    make_trainer(models, tmp_path, max_steps=3).train()

    moved = {
        name
        for name, weights in models.new.state_dict().items()
        if not torch.equal(weights, before[name])
    }
    assert moved == {name for name in before if f".{STUDENT}." in name}
    assert all(torch.equal(weights, old[name]) for name, weights in models.old.state_dict().items())
    assert not any(weights.grad is not None for weights in models.old.parameters())


@pytest.mark.parametrize("kind", [CompatTrainer, AdapterTrainer])
@pytest.mark.parametrize("batch_size", [1, 3, 9])
def test_evaluation_is_cross_entropy_over_all_tokens(models, tmp_path, kind, batch_size):
    trainer = make_trainer(models, tmp_path, kind=kind, per_device_eval_batch_size=batch_size)

    metrics = trainer.evaluate()

    assert metrics["eval_loss"] == pytest.approx(naive_cross_entropy(models.new), rel=1e-5)


def test_a_task_adapter_learns_by_cross_entropy(models, tmp_path):
    trainer = make_trainer(models, tmp_path, kind=AdapterTrainer)
    models.new.train()

    loss = trainer.compute_loss(models.new, batch(SEQUENCES))

    assert loss.item() == pytest.approx(naive_cross_entropy(models.new), rel=1e-5)


def test_the_share_of_masked_tokens_is_logged(models, tmp_path):
    wanted = [
        int(z.argmax()) != y
        for tokens in SEQUENCES
        for z, y in zip(forward(models.new, tokens), tokens[1:], strict=True)
    ]

    trainer = make_trainer(models, tmp_path, logging_steps=1)
    trainer.train()

    assert trainer.state.log_history[0]["masked"] == pytest.approx(sum(wanted) / len(wanted))


def test_each_log_counts_from_the_one_before(models, tmp_path):
    trainer = make_trainer(models, tmp_path)
    models.new.train()
    trainer.compute_loss(models.new, batch(SEQUENCES))

    trainer.log({"loss": 1.0})
    trainer.log({"loss": 1.0})

    first, second = trainer.state.log_history
    assert 0 < first["masked"] <= 1
    assert "masked" not in second


def naive_curve(models: Models, steps: int, learning_rate: float) -> list[float]:
    """Losses of so many steps on all sequences: naive loss, AdamW, nothing else."""
    student = [weights for weights in models.new.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(student, lr=learning_rate, weight_decay=0.0)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = naive_loss(models)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_loss_curve_is_the_naive_one_over_fifty_steps(directories, models, tmp_path):
    again = AutoModelForCausalLM.from_pretrained(directories / "new")
    student = put_on(again, directories / "new-adapter", directories / "student")
    wanted = naive_curve(Models(models.old, student), 50, 1e-3)

    trainer = make_trainer(
        models,
        tmp_path,
        max_steps=50,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        logging_steps=1,
    )
    trainer.train()

    found = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert wanted[-1] < 0.8 * wanted[0]
    assert found == pytest.approx(wanted, rel=1e-3)
    with torch.no_grad():
        for tokens in SEQUENCES:
            answers, wanted_answers = forward(models.new, tokens), forward(student, tokens)
            assert torch.equal(answers.argmax(-1), wanted_answers.argmax(-1))
