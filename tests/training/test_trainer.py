"""The Trainer's loss and gradient, against forward passes of one sequence at a time."""

import math
from dataclasses import dataclass

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    TrainerCallback,
    TrainingArguments,
)

from pytest_muscle.training.objectives import TokenLoss, distillation, find_objective, muscle
from pytest_muscle.training.sequences import PadRight
from pytest_muscle.training.trainer import STUDENT, AdapterTrainer, CompatTrainer

T = 2.0
SEQUENCES = [
    [5, 9, 30, 41, 7, 12],
    [8, 3, 77],
    [100, 101, 102, 103, 104, 105, 106, 107, 108],
    [60, 61, 62, 63],
    [20, 21],
    [200, 14, 14, 14, 200, 14],
    [33, 150, 151],
    [90, 91, 92, 93, 94],
]


@dataclass
class Models:
    """Old and new task model and the student, all on tiny bases."""

    old: PeftModel
    new: PeftModel  # the student's base, with `teacher` and `default` on it


def put_on(base, teacher, student) -> PeftModel:
    model = PeftModel.from_pretrained(base, teacher, adapter_name="teacher")
    model.load_adapter(student, STUDENT, is_trainable=True)
    model.set_adapter(STUDENT)
    return model


@pytest.fixture(scope="module")
def directories(make_tiny_pair, make_tiny_adapter, tmp_path_factory):
    path = make_tiny_pair(tmp_path_factory.mktemp("trainer"))
    make_tiny_adapter(path / "new", path / "student", 7)
    return path


@pytest.fixture
def models(directories) -> Models:
    """A student that has moved away from the new task model already."""
    old = AutoModelForCausalLM.from_pretrained(directories / "old")
    new = AutoModelForCausalLM.from_pretrained(directories / "new")
    return Models(
        old=PeftModel.from_pretrained(old, directories / "old-adapter").eval(),
        new=put_on(new, directories / "new-adapter", directories / "student"),
    )


class KeepGradient(TrainerCallback):
    """Keeps what the optimiser is given at its first step."""

    def __init__(self) -> None:
        self.gradient: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **_: object) -> None:
        if not self.gradient:
            self.gradient = gradient_of(model)


def gradient_of(model) -> dict[str, torch.Tensor]:
    return {
        name: weights.grad.clone()
        for name, weights in model.named_parameters()
        if weights.grad is not None
    }


def make_trainer(models, directory, *, kind=CompatTrainer, callback=None, **settings: object):
    options: dict[str, object] = {}
    if kind is CompatTrainer:
        options = {
            "objective": settings.pop("objective", muscle),
            "temperature": T,
            "distillation_weight": settings.pop("distillation_weight", 1.0),
            "old": models.old,
            "new_adapter": "teacher",
        }
    defaults = {
        "per_device_train_batch_size": 8,
        "max_steps": 1,
        "max_grad_norm": 0.0,
        "learning_rate": 1e-2,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "remove_unused_columns": False,
        "disable_tqdm": True,
    }
    dataset = [{"input_ids": tokens} for tokens in SEQUENCES]
    return kind(
        model=models.new,
        args=TrainingArguments(output_dir=str(directory), **(defaults | settings)),
        train_dataset=dataset,
        eval_dataset=dataset,
        data_collator=PadRight(),
        callbacks=[callback] if callback else [],
        **options,
    )


def forward(model, tokens: list[int]) -> torch.Tensor:
    """Logits of one sequence that predict its tokens from the second on."""
    return model(torch.tensor([tokens])).logits[0, :-1]


def naive_loss(models: Models, weight: float = 1.0, *, missed_only: bool = False) -> torch.Tensor:
    """METHOD.md: three forward passes per sequence, the mean over all its tokens but the first."""
    losses = []
    for tokens in SEQUENCES:
        with torch.no_grad():
            old = forward(models.old, tokens)
            models.new.set_adapter("teacher")
            new = forward(models.new, tokens)
        models.new.set_adapter(STUDENT)
        student = forward(models.new, tokens)
        for z, z1, z2, y in zip(student, old, new, tokens[1:], strict=True):
            misses = int(z.argmax()) != y
            p = torch.exp((z1 if misses else z2) / T)
            p = p / p.sum()
            q = torch.exp(z / T) / torch.exp(z / T).sum()
            loss = weight * (p * (p.log() - q.log())).sum()
            loss = loss - (1 - weight) * torch.log(torch.exp(z[y]) / torch.exp(z).sum())
            losses.append(loss if misses or not missed_only else 0 * loss)
    return torch.stack(losses).mean()


def batch(sequences: list[list[int]]) -> dict[str, torch.Tensor]:
    return PadRight()([{"input_ids": tokens} for tokens in sequences])


@pytest.mark.parametrize("weight", [1.0, 0.3, 0.0])
def test_the_loss_is_the_mean_over_all_tokens_of_context_and_answer(models, tmp_path, weight):
    trainer = make_trainer(models, tmp_path, distillation_weight=weight)
    models.new.train()

    loss = trainer.compute_loss(models.new, batch(SEQUENCES))

    assert loss.item() == pytest.approx(naive_loss(models, weight).item(), rel=1e-5)


@pytest.mark.parametrize(("batch_size", "accumulation"), [(8, 1), (4, 2), (2, 4), (1, 8), (3, 3)])
def test_accumulated_batches_give_the_gradient_of_one_large_batch(
    models, tmp_path, batch_size, accumulation
):
    naive_loss(models).backward()
    wanted = gradient_of(models.new)
    models.new.zero_grad()
    kept = KeepGradient()

    make_trainer(
        models,
        tmp_path,
        callback=kept,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
    ).train()

    assert wanted
    assert kept.gradient.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(kept.gradient[name], gradient, rtol=1e-4, atol=1e-7)


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


def naive_cross_entropy(model) -> float:
    """Mean over all tokens of all sequences, one sequence at a time."""
    with torch.no_grad():
        values = [
            -math.log(float(torch.softmax(z, dim=-1)[y]))
            for tokens in SEQUENCES
            for z, y in zip(forward(model.eval(), tokens), tokens[1:], strict=True)
        ]
    return sum(values) / len(values)


@pytest.mark.parametrize("kind", [CompatTrainer, AdapterTrainer])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
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


def gpt2(seed: int, dropout: float) -> torch.nn.Module:
    torch.manual_seed(seed)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=384,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=64,
            bos_token_id=0,
            eos_token_id=1,
            initializer_range=0.2,
            resid_pdrop=dropout,
            embd_pdrop=dropout,
            attn_pdrop=dropout,
        )
    )


@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_teachers_do_not_drop_out(tmp_path, make_tiny_adapter):
    gpt2(0, 0.5).save_pretrained(tmp_path / "base")
    adapter = make_tiny_adapter(tmp_path / "base", tmp_path / "adapter", 1)
    new = put_on(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), adapter, adapter)
    old = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"), adapter
    )
    seen = []

    def spy(student, gold, teachers, temperature) -> TokenLoss:
        seen.append((student.detach(), teachers))
        return TokenLoss(distillation(student, teachers.old, temperature))

    trainer = make_trainer(Models(old.eval(), new), tmp_path / "out", objective=spy)
    new.train()
    trainer.compute_loss(new, batch([SEQUENCES[0]]))

    ((student, teachers),) = seen
    wanted = forward(old, SEQUENCES[0])
    torch.testing.assert_close(teachers.old, wanted)
    torch.testing.assert_close(teachers.new, wanted)
    assert not torch.allclose(student, wanted, atol=0.01)
    assert new.training


def test_the_objective_is_the_one_named(models, tmp_path):
    named = find_objective("old_everywhere")
    trainer = make_trainer(models, tmp_path, objective=named)
    models.new.train()

    loss = trainer.compute_loss(models.new, batch(SEQUENCES))

    wanted = []
    for tokens in SEQUENCES:
        p = torch.softmax(forward(models.old, tokens) / T, dim=-1)
        q = torch.softmax(forward(models.new, tokens) / T, dim=-1)
        wanted.append((p * (p / q).log()).sum(dim=-1))
    assert loss.item() == pytest.approx(torch.cat(wanted).mean().item(), rel=1e-5)
