"""TRL's GKDTrainer (experimental): forward KL to one teacher, off-policy by its own settings.

It makes all logits of both models. Its loss takes no notice of its temperature, which is 1 there;
the work is the same. Texts of like length share a batch, as transformers' Trainer can do it.
"""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset
from trl.experimental.gkd import GKDConfig, GKDTrainer

from tests.benchmarks.contenders.job import Job, Training
from tests.benchmarks.contenders.networks import load_old, load_student, load_tokens
from tests.benchmarks.contenders.trl_distillation import FORWARD_KL, shared_arguments

IGNORED = -100


def train(job: Job) -> Training:
    """Train the adapter by the plain distance to the old task model."""
    tokenizer, texts = load_tokens(job)
    student = load_student(job)
    arguments = GKDConfig(
        output_dir=job.output,
        lmbda=0.0,
        beta=FORWARD_KL,
        temperature=job.temperature,
        train_sampling_strategy="group_by_length",
        **shared_arguments(job, len(texts)),
    )
    trainer = GKDTrainer(
        model=student,
        teacher_model=load_old(job),
        args=arguments,
        data_collator=_pad_right,
        train_dataset=Dataset.from_dict({"input_ids": texts}),
        processing_class=tokenizer,
    )
    trainer.train()
    student.save_pretrained(job.output)
    return Training(tokens=sum(map(len, texts)))


def _pad_right(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    texts = [torch.tensor(row["input_ids"]) for row in rows]
    pad = torch.nn.utils.rnn.pad_sequence
    labels = pad(texts, batch_first=True, padding_value=IGNORED)
    mask = (labels != IGNORED).long()
    return {"input_ids": labels * mask, "attention_mask": mask, "labels": labels}
