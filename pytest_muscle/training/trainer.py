"""The Trainer of adapters: transformers' own, with our losses and our progress bar."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalLoopOutput

from pytest_muscle.models.scoring import without_cache
from pytest_muscle.progress import Progress
from pytest_muscle.training.objectives import (
    Objective,
    TeacherLogits,
    TokenLoss,
    cross_entropy,
)
from pytest_muscle.training.sequences import IGNORED

if TYPE_CHECKING:
    from peft import PeftModel

STUDENT = "default"
"""PEFT's name for the adapter that is trained; `save_pretrained` puts it at the top level."""


class AdapterTrainer(Trainer):
    """Trains the active adapter by cross-entropy over context and answer tokens.

    Loss and gradient are means over all tokens of an optimiser step, across accumulated batches
    and devices. Evaluation is always cross-entropy.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.model_accepts_loss_kwargs = True
        self._loss_shifts_labels = True
        self._masked = 0.0
        self._tokens = 0.0
        self._evaluated = torch.zeros(2)

    def evaluation_loop(self, *args: Any, **options: Any) -> EvalLoopOutput:
        """Evaluate; the loss is the mean over all tokens, whatever the batches are."""
        self._evaluated = torch.zeros(2, device=self.args.device)
        output = super().evaluation_loop(*args, **options)
        total, tokens = self.accelerator.reduce(self._evaluated).tolist()
        (key,) = (key for key in output.metrics or {} if key.endswith("_loss"))
        assert output.metrics is not None
        output.metrics[key] = total / tokens
        return output

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss, summed over the batch's tokens and divided by the step's tokens."""
        gold = inputs["labels"][:, 1:]
        kept = gold != IGNORED
        training = model.training
        token_loss = (
            self.token_loss(model, inputs, kept)
            if training
            else TokenLoss(cross_entropy(_logits(model, inputs, kept), gold[kept]))
        )
        count = kept.sum()
        if token_loss.masked is not None:
            self._masked += float(token_loss.masked.sum())
            self._tokens += float(count)
        if not training:
            total = token_loss.loss.sum().detach()
            self._evaluated += torch.stack([total, count.to(total.dtype)])
        if training and num_items_in_batch is not None:
            loss = token_loss.loss.sum() / num_items_in_batch
            if self.args.average_tokens_across_devices:
                loss = loss * self.accelerator.num_processes
        else:
            loss = token_loss.loss.sum() / count
        return (loss, {"loss": loss}) if return_outputs else loss

    def token_loss(self, model: nn.Module, inputs: dict[str, Any], kept: torch.Tensor) -> TokenLoss:
        """Return the loss of each kept token, [kept tokens]."""
        gold = inputs["labels"][:, 1:][kept]
        return TokenLoss(cross_entropy(_logits(model, inputs, kept), gold))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the share of masked tokens since the last log."""
        if "loss" in logs and self._tokens:
            logs = {**logs, "masked": self._masked / self._tokens}
            self._masked = self._tokens = 0.0
        super().log(logs, start_time)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        """Save the trained adapter alone; the teacher's is stored already."""
        if not self.args.should_save:
            return
        directory = output_dir if output_dir is not None else self.args.output_dir
        model: Any = self.accelerator.unwrap_model(self.model)
        model.save_pretrained(directory, state_dict=state_dict, selected_adapters=[STUDENT])


class CompatTrainer(AdapterTrainer):
    """Trains the compatibility adapter by an objective over two teachers.

    Args:
        objective: Loss per token.
        temperature: Temperature of the distillation.
        distillation_weight: λ of λ·objective + (1 − λ)·cross-entropy.
        old: The old task model with its adapter active, on the training device.
        new_adapter: PEFT's name of the new task adapter on the trained model.
        options: transformers.Trainer's.
    """

    def __init__(
        self,
        *,
        objective: Objective,
        temperature: float,
        distillation_weight: float,
        old: nn.Module,
        new_adapter: str,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._objective = objective
        self._temperature = temperature
        self._weight = distillation_weight
        self._old = old
        self._new_adapter = new_adapter

    def token_loss(self, model: nn.Module, inputs: dict[str, Any], kept: torch.Tensor) -> TokenLoss:
        """Return the objective's loss, mixed with cross-entropy, of each kept token."""
        gold = inputs["labels"][:, 1:][kept]
        with torch.no_grad(), self.accelerator.autocast():
            old = _logits(self._old, inputs, kept)
            with _as_teacher(self.accelerator.unwrap_model(model), self._new_adapter) as teacher:
                new = _logits(teacher, inputs, kept)
        student = _logits(model, inputs, kept)
        width = min(student.shape[-1], old.shape[-1])
        teachers = TeacherLogits(old=old[:, :width], new=new[:, :width])
        result = self._objective(student[:, :width], gold, teachers, self._temperature)
        if self._weight == 1.0:
            return result
        mixed = self._weight * result.loss + (1 - self._weight) * cross_entropy(student, gold)
        return TokenLoss(mixed, result.masked)


@contextmanager
def _as_teacher(model: PeftModel, adapter: str) -> Iterator[PeftModel]:
    """Give the trained model as the new task model: teacher's adapter, evaluation mode."""
    model.set_adapter(adapter, inference_mode=True)
    model.eval()
    try:
        yield model
    finally:
        model.train()
        model.set_adapter(STUDENT)


def _logits(model: nn.Module, inputs: dict[str, Any], kept: torch.Tensor) -> torch.Tensor:
    """Return logits [kept tokens, vocab] at the positions whose next token is kept."""
    outputs = model(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        **without_cache(model),
    )
    return outputs.logits[:, :-1][kept]  # type: ignore[no-any-return]


_LABELS = {"eval_loss": "validation CE"}


class ProgressBar(TrainerCallback):
    """Shows loss, share of masked tokens and time left on one bar."""

    def __init__(self, progress: Progress, description: str) -> None:
        self._progress = progress
        self._description = description
        self._bar: Any = None
        self._shown: dict[str, str] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Open the bar at the step where training goes on."""
        self._bar = self._progress.bar(state.max_steps, self._description, "step")
        self._bar.update(state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Move the bar."""
        self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Show the newest figures; stop where the loss is no number any more."""
        if logs and not all(
            math.isfinite(logs[key]) for key in ("loss", "eval_loss") if key in logs
        ):
            control.should_training_stop = True
        formats = {"loss": "{:.4f}", "masked": "{:.1%}", "eval_loss": "{:.4f}"}
        for key, text in formats.items():
            if logs and key in logs:
                self._shown[_LABELS.get(key, key)] = text.format(logs[key])
        if self._bar is not None:
            self._bar.set_postfix(self._shown, refresh=False)

    def close(self) -> None:
        """Close the bar, also after an error."""
        if self._bar is not None:
            self._bar.close()


def without_own_output(trainer: Trainer) -> None:
    """Take off the Trainer's own bars and prints, which would end in captured output."""
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
