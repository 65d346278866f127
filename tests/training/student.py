"""A student between tiny teachers, its Trainer, and its loss, one sequence at a time."""

import math
from dataclasses import dataclass

import torch
from peft import PeftModel
from transformers import TrainerCallback, TrainingArguments

from pytest_muscle.models.parts import network_parts
from pytest_muscle.training.objectives import muscle
from pytest_muscle.training.packing import PackTrees
from pytest_muscle.training.teachers import Teacher, number_places
from pytest_muscle.training.trainer import STUDENT, CompatTrainer

T = 2.0
SEQUENCES = [
    [5, 9, 30, 41, 7, 12],
    [8, 3, 77],
    [100, 101, 102, 103, 104, 105, 106, 107, 108],
    [60, 61, 62, 63],
    [20, 21],
    [200, 14, 14, 14, 200, 14],
    [5, 9, 30, 150, 151],
    [100, 101, 102, 93, 94],
    [8, 3],
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


def numbered() -> list[dict[str, object]]:
    dataset = [{"input_ids": tokens} for tokens in SEQUENCES]
    number_places(dataset)
    return dataset


def teacher_of(model) -> Teacher:
    """A teacher whose states are those of one sequence at a time."""
    parts = network_parts(model)
    with torch.no_grad():
        states = [parts.states(input_ids=torch.tensor([tokens]))[0] for tokens in SEQUENCES]
    kept = torch.cat([state[0, :-1] for state in states])
    return Teacher(kept, parts.head(), parts.device, parts.vocabulary)


def new_teacher(models: Models) -> Teacher:
    models.new.set_adapter("teacher")
    models.new.eval()
    teacher = teacher_of(models.new)
    models.new.set_adapter(STUDENT)
    return teacher


def make_trainer(models, directory, *, kind=CompatTrainer, callback=None, **settings: object):
    options: dict[str, object] = {}
    trees = settings.pop("trees", True)
    if kind is CompatTrainer:
        options = {
            "objective": settings.pop("objective", muscle),
            "temperature": T,
            "distillation_weight": settings.pop("distillation_weight", 1.0),
            "old": settings.pop("old", None) or teacher_of(models.old),
            "new": settings.pop("new", None) or new_teacher(models),
        }
    defaults = {
        "per_device_train_batch_size": 9,
        "max_steps": 1,
        "max_grad_norm": 0.0,
        "learning_rate": 1e-2,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "remove_unused_columns": False,
        "disable_tqdm": True,
    }
    dataset = numbered()
    return kind(
        model=models.new,
        args=TrainingArguments(output_dir=str(directory), **(defaults | settings)),
        train_dataset=dataset,
        eval_dataset=dataset,
        data_collator=PackTrees(trees),
        parts=network_parts(models.new),
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
    return PackTrees()([each for each in numbered() if each["input_ids"] in sequences])


def naive_cross_entropy(model) -> float:
    """Mean over all tokens of all sequences, one sequence at a time."""
    with torch.no_grad():
        values = [
            -math.log(float(torch.softmax(z, dim=-1)[y]))
            for tokens in SEQUENCES
            for z, y in zip(forward(model.eval(), tokens), tokens[1:], strict=True)
        ]
    return sum(values) / len(values)
