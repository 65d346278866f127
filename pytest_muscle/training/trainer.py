"""The Trainer of adapters: transformers' own, with our losses and our progress bar."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalLoopOutput

from pytest_muscle.models.memory import MOST_TOKENS, chunk_size
from pytest_muscle.models.parts import NetworkParts, forward_parameters
from pytest_muscle.models.trees import tree_mask
from pytest_muscle.progress import Progress
from pytest_muscle.training.chunks import chunked_loss
from pytest_muscle.training.objectives import Objective, TokenLoss, cross_entropy
from pytest_muscle.training.packing import split_rows
from pytest_muscle.training.store import writing
from pytest_muscle.training.teachers import ProjectedTeachers, Teacher

STUDENT = "default"
"""PEFT's name for the adapter that is trained; `save_pretrained` puts it at the top level."""


class AdapterTrainer(Trainer):
    """Trains the active adapter by cross-entropy over context and answer tokens.

    Loss and gradient are means over all tokens of an optimiser step, across accumulated batches
    and devices. Evaluation is always cross-entropy.

    Args:
        parts: The model that is trained, in parts.
        options: transformers.Trainer's; the collator is `PackTrees`.
    """

    def __init__(self, *, parts: NetworkParts, **options: Any) -> None:
        super().__init__(**options)
        self.model_accepts_loss_kwargs = True
        self._parts = parts
        self._head = parts.head()
        self._trained_head = [
            weights for weights in self._head.parameters() if weights.requires_grad
        ]
        self._chunk = chunk_size(parts)
        # Masked tokens and tokens since the last log, on the device: reading them waits for it.
        self._shares = torch.zeros(2, device=self.args.device)
        self._evaluated = torch.zeros(2, device=self.args.device)

    def evaluation_loop(self, *args: Any, **options: Any) -> EvalLoopOutput:
        """Evaluate; the loss is the mean over all tokens, whatever the batches are."""
        self._evaluated = torch.zeros(2, device=self.args.device)
        output = super().evaluation_loop(*args, **options)
        total, tokens = self.accelerator.reduce(self._evaluated).tolist()
        (key,) = (key for key in output.metrics or {} if key.endswith("_loss"))
        assert output.metrics is not None
        output.metrics[key] = total / tokens
        return output

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Run a batch forward and backward, part by part, so that few activations are held."""
        total = torch.zeros((), device=self.args.device)
        *parts, last = split_rows(inputs, MOST_TOKENS[self.args.device.type])
        for part in parts:
            with self.accelerator.no_sync(model):
                total += super().training_step(model, part, num_items_in_batch)
        return total + super().training_step(model, last, num_items_in_batch)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss, summed over the batch's tokens and divided by the step's tokens."""
        training = model.training
        loss_of = self.token_loss if training else self.cross_entropy
        weights = inputs["weights"]
        places = torch.from_numpy(inputs["places"])

        def summed(hidden: torch.Tensor, here: slice) -> torch.Tensor:
            result = loss_of(self._head(hidden), inputs["labels"][here], places[here])
            if result.masked is not None:
                masked = (result.masked * weights[here]).sum()
                self._shares += torch.stack([masked, weights[here].sum()])
            summed_loss: torch.Tensor = (result.loss * weights[here]).sum()
            return summed_loss

        with self.accelerator.autocast():
            states = _states(model, self._parts, inputs)
            hidden = states[inputs["rows"], inputs["nodes"]]
            total = chunked_loss(hidden, summed, size=self._chunk, parameters=self._trained_head)
        count = weights.sum()
        if not training:
            self._evaluated += torch.stack([total.detach(), count])
        if training and num_items_in_batch is not None:
            loss = total / num_items_in_batch
            if self.args.average_tokens_across_devices:
                loss = loss * self.accelerator.num_processes
        else:
            loss = total / count
        return (loss, {"loss": loss}) if return_outputs else loss

    def cross_entropy(
        self, student: torch.Tensor, gold: torch.Tensor, places: torch.Tensor
    ) -> TokenLoss:
        """Return the cross-entropy of each token, [tokens]."""
        return TokenLoss(cross_entropy(student, gold))

    def token_loss(
        self, student: torch.Tensor, gold: torch.Tensor, places: torch.Tensor
    ) -> TokenLoss:
        """Return the training loss of each token, [tokens].

        Args:
            student: Logits, [tokens, vocab].
            gold: Gold next tokens, [tokens].
            places: Which of the training tokens they are, [tokens].
        """
        return self.cross_entropy(student, gold, places)

    def _get_num_items_in_batch(
        self, batch_samples: list[dict[str, torch.Tensor]], device: torch.device
    ) -> torch.Tensor:
        """Return the number of tokens that an optimiser step predicts, on all devices."""
        count = torch.stack([batch["weights"].sum() for batch in batch_samples]).sum().to(device)
        if self.args.average_tokens_across_devices and self.args.world_size > 1:
            count = self.accelerator.gather(count).sum()
        return count

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the share of masked tokens since the last log."""
        if "loss" in logs:
            masked, tokens = self._shares.tolist()
            self._shares.zero_()
            if tokens:
                logs = {**logs, "masked": masked / tokens}
        super().log(logs, start_time)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with writing("a checkpoint", Path(self._get_output_dir(trial))):
            super()._save_checkpoint(model, trial)

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
        old: The old task model's states and head.
        new: The new task model's.
        options: AdapterTrainer's.
    """

    def __init__(
        self,
        *,
        objective: Objective,
        temperature: float,
        distillation_weight: float,
        old: Teacher,
        new: Teacher,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._objective = objective
        self._temperature = temperature
        self._weight = distillation_weight
        self._old = old
        self._new = new
        self._width = min(old.vocabulary, new.vocabulary)

    def token_loss(
        self, student: torch.Tensor, gold: torch.Tensor, places: torch.Tensor
    ) -> TokenLoss:
        """Return the objective's loss, mixed with cross-entropy, of each token."""
        teachers = ProjectedTeachers(self._old, self._new, places, self._width)
        common = student[:, : self._width] if student.shape[-1] > self._width else student
        result = self._objective(common, gold, teachers, self._temperature)
        if self._weight == 1.0:
            return result
        mixed = self._weight * result.loss + (1 - self._weight) * cross_entropy(student, gold)
        return TokenLoss(mixed, result.masked)


def _states(model: nn.Module, parts: NetworkParts, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return hidden states [rows, tokens, hidden] of a batch of `PackTrees`."""
    given: dict[str, Any] = {"input_ids": inputs["input_ids"], "use_cache": False}
    if "ends" in inputs:
        given["position_ids"] = inputs["position_ids"]
        given["attention_mask"] = tree_mask(inputs["ends"], parts.dtype)
    else:
        given["attention_mask"] = inputs["attention_mask"]
    if not hasattr(model, "module"):
        return parts.states(**given)[0]  # type: ignore[no-any-return]
    # A parallel wrapper must be called as a whole to know that a step has begun.
    if parts.split and "logits_to_keep" in forward_parameters(parts.network):
        given["logits_to_keep"] = 1  # none at all is asked for, and a wrapper needs one
    caught: list[Any] = []
    handle = parts.decoder.register_forward_hook(lambda *call: caught.append(call[-1]))
    try:
        model(**given)
    finally:
        handle.remove()
    (output,) = caught
    return output.last_hidden_state if parts.split else output.logits  # type: ignore[no-any-return]


_LABELS = {"eval_loss": "validation CE"}


class ProgressBar(TrainerCallback):
    """Shows loss, share of masked tokens and time left on one bar."""

    def __init__(self, progress: Progress, description: str) -> None:
        self._progress = progress
        self._description = description
        self._bar: Any = None
        self._shown: dict[str, str] = {}

    @property
    def opened(self) -> bool:
        """Whether training has begun: what a checkpoint holds is loaded by then."""
        return self._bar is not None

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
