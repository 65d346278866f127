"""One training run: from a PEFT model and sequences to a saved adapter and its facts."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import TrainingError
from pytest_muscle.libraries import errors_alone
from pytest_muscle.models.spec import first_line
from pytest_muscle.progress import Progress
from pytest_muscle.settings import TrainingSettings
from pytest_muscle.training.checkpoints import newest_checkpoint
from pytest_muscle.training.packing import PackTrees
from pytest_muscle.training.store import writing

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch import nn
    from transformers import Trainer, TrainingArguments

    from pytest_muscle.models.probe import Engine

WARMUP_STEPS = 500
"""Of the MUSCLE paper; a run of fewer than 5,000 steps takes a tenth of its steps."""

_WHEN_NOT_FINITE = "a lower learning_rate, or dtype = 'float32', usually helps"


@dataclass(frozen=True)
class Fit:
    """What to train on and how.

    Attributes:
        recipe: Hyper-parameters.
        train: Training examples as tokens.
        validation: Those kept to choose the best epoch.
        work_directory: Where checkpoints go; training goes on from the newest one there.
        device: Where it runs.
        dtype: The base model's floating-point type; mixed precision follows it.
        progress: Where progress is shown.
        description: What the progress bar says.
    """

    recipe: TrainingSettings
    train: list[dict[str, Any]]
    validation: list[dict[str, Any]]
    work_directory: Path
    device: torch.device
    dtype: torch.dtype
    progress: Progress
    description: str


def fit_adapter(
    fit: Fit,
    model: PeftModel,
    engine: Engine,
    make_trainer: Callable[..., Trainer],
    directory: Path,
) -> dict[str, Any]:
    """Train the model's `default` adapter and save the best epoch's weights to `directory`.

    Checkpoints stay until the adapter is where it is found again.

    Args:
        fit: What to train on and how.
        model: PEFT model whose active adapter `default` is trained.
        engine: How that model is run.
        make_trainer: Makes the Trainer from transformers' keyword arguments.
        directory: An empty directory.

    Returns:
        Facts: steps, epochs, best epoch, validation cross-entropy by epoch, loss and masked
        share over time, duration in seconds.

    Raises:
        TrainingError: If the loss becomes NaN or infinite, or memory or disk have no room.
    """
    import torch
    from peft.helpers import disable_input_dtype_casting

    from pytest_muscle.models.memory import is_out_of_memory
    from pytest_muscle.training.trainer import STUDENT, ProgressBar, without_own_output

    check_dtype(fit)
    train, validation = fit.train, fit.validation
    longest = max(len(sequence["input_ids"]) for sequence in [*train, *validation])
    arguments = _arguments(fit, len(train), bool(validation))
    bar = ProgressBar(fit.progress, fit.description)
    with errors_alone("transformers.trainer"):
        trainer = make_trainer(
            model=model,
            args=arguments,
            train_dataset=train,
            eval_dataset=validation or None,
            data_collator=PackTrees(engine.takes_trees(longest)),
            parts=engine.parts,
            callbacks=[bar],
        )
        without_own_output(trainer)
        fit.work_directory.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        checkpoint = newest_checkpoint(fit.work_directory)
        # Under autocast PEFT's casts to float32 are undone one line later.
        mixed = fit.dtype != torch.float32
        try:
            with disable_input_dtype_casting(model, active=mixed):
                trainer.train(resume_from_checkpoint=checkpoint)
        except Exception as error:
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise TrainingError(
                    f"{fit.description}: out of memory",
                    hint="set a smaller batch_size (and a larger gradient_accumulation), "
                    "gradient_checkpointing = true, or max_length",
                ) from error
            if checkpoint is None or bar.opened:
                raise
            raise TrainingError(
                f"{fit.description}: training cannot go on from here: {first_line(error)}",
                where=checkpoint,
                hint="remove that folder, and training starts again",
            ) from error
        finally:
            bar.close()
    history = trainer.state.log_history
    try:
        _check_finite(history, model, fit.description)
    except TrainingError:
        # Going on from there would help nobody, least of all a run with a better dtype.
        shutil.rmtree(fit.work_directory, ignore_errors=True)
        raise
    with writing("an adapter", directory.parent):
        model.save_pretrained(str(directory), selected_adapters=[STUDENT])
    return {
        "examples": {"train": len(train), "validation": len(validation)},
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "warmup_steps": int(arguments.warmup_steps),
        "validation_cross_entropy": {
            f"{entry['epoch']:g}": entry["eval_loss"] for entry in history if "eval_loss" in entry
        },
        "best_validation_cross_entropy": trainer.state.best_metric,
        "best_step": trainer.state.best_global_step,
        "curve": [
            {key: entry[key] for key in ("step", "loss", "masked") if key in entry}
            for entry in history
            if "loss" in entry
        ],
        "seconds": round(time.monotonic() - started, 1),
        "device": str(fit.device),
        "dtype": str(fit.dtype).removeprefix("torch."),
    }


def check_dtype(fit: Fit) -> None:
    """Raise if the device cannot train in the floating-point type.

    Raises:
        TrainingError: It says what it can.
    """
    import torch

    if fit.dtype == torch.float16 and fit.device.type != "cuda":
        raise TrainingError(
            f"{fit.description}: float16 can be trained on CUDA devices alone",
            where="run.dtype",
            hint='set dtype = "auto", "bfloat16" or "float32"',
        )


def _arguments(fit: Fit, examples: int, validate: bool) -> TrainingArguments:
    import torch
    from transformers import TrainingArguments

    recipe = fit.recipe
    per_step = recipe.batch_size * recipe.gradient_accumulation
    steps = recipe.max_steps or math.ceil(math.ceil(examples / per_step) * recipe.epochs)
    warmup = recipe.warmup_steps
    if warmup is None:
        warmup = min(WARMUP_STEPS, steps // 10)
    options: dict[str, Any] = {}
    if recipe.gradient_checkpointing:  # named even when off, transformers warns of its new name
        options["gradient_checkpointing"] = True
    arguments = TrainingArguments(
        output_dir=str(fit.work_directory),
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        num_train_epochs=recipe.epochs,
        max_steps=recipe.max_steps or -1,
        learning_rate=recipe.learning_rate,
        warmup_steps=warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.max_grad_norm,
        lr_scheduler_type="linear",
        train_sampling_strategy="group_by_length",
        seed=recipe.seed,
        data_seed=recipe.seed,
        use_cpu=fit.device.type == "cpu",
        bf16=fit.dtype == torch.bfloat16,
        fp16=fit.dtype == torch.float16,
        eval_strategy="epoch" if validate else "no",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=validate,
        metric_for_best_model="eval_loss" if validate else None,
        greater_is_better=False if validate else None,
        logging_steps=max(1, steps // 50),
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=fit.device.type == "cuda",
        **options,
    )
    if arguments.n_gpu > 1:
        # One process drives one device; more devices are for a launcher that starts more.
        arguments._n_gpu = 1
    return arguments


def _check_finite(history: list[dict[str, Any]], model: nn.Module, description: str) -> None:
    for entry in history:
        for key in ("loss", "eval_loss"):
            if key in entry and not math.isfinite(entry[key]):
                raise TrainingError(
                    f"{description}: the loss became {entry[key]} at step {entry['step']}",
                    hint=_WHEN_NOT_FINITE,
                )
    for parameter in model.parameters():
        if parameter.requires_grad and not bool(parameter.isfinite().all()):
            raise TrainingError(
                f"{description}: weights became NaN or infinite", hint=_WHEN_NOT_FINITE
            )
