"""TRL's DistillationTrainer: forward KL to one teacher, over the full vocabulary, off-policy.

The trainer lets the student write the completions. Here it takes them from the data: all of a text
but its first token. That is the one change; its loss, which projects onto the vocabulary in tiles,
its loop and its order of texts are its own.
"""

from __future__ import annotations

from typing import Any

from datasets import Dataset
from trl import DistillationConfig, DistillationTrainer

from tests.benchmarks.contenders.job import Job, Training
from tests.benchmarks.contenders.networks import load_old, load_student, load_tokens

FORWARD_KL = 0.0


class OffPolicyTrainer(DistillationTrainer):
    """Takes completions from the data in place of the student's own."""

    def __init__(self, texts: list[list[int]], **options: Any) -> None:
        self._texts = texts
        super().__init__(**options)

    def _generate(self, prompts: list[str]) -> tuple[Any, ...]:
        texts = [self._texts[int(prompt)] for prompt in prompts]
        return [text[:1] for text in texts], [text[1:] for text in texts], None, None, []


def train(job: Job) -> Training:
    """Train the adapter by the plain distance to the old task model."""
    tokenizer, texts = load_tokens(job)
    student = load_student(job)
    arguments = DistillationConfig(
        output_dir=job.output,
        beta=FORWARD_KL,
        temperature=job.temperature,
        **shared_arguments(job, len(texts)),
    )
    trainer = OffPolicyTrainer(
        texts,
        model=student,
        teacher_model=load_old(job),
        args=arguments,
        train_dataset=Dataset.from_dict({"prompt": [str(number) for number in range(len(texts))]}),
        processing_class=tokenizer,
    )
    trainer.train()
    student.save_pretrained(job.output)
    return Training(tokens=sum(map(len, texts)))


def shared_arguments(job: Job, texts: int) -> dict[str, Any]:
    """Return what both of TRL's trainers are told; the same as the other contenders do."""
    return {
        "per_device_train_batch_size": job.batch_size,
        "gradient_accumulation_steps": 1,
        "num_train_epochs": job.epochs,
        "learning_rate": job.learning_rate,
        "warmup_steps": job.warmup_steps(texts),
        "weight_decay": 0.0,
        "gradient_checkpointing": False,
        "bf16": job.dtype == "bfloat16",
        "use_cpu": job.device == "cpu",
        "seed": job.seed,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": job.device == "cuda",
    }
