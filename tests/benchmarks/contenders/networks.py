"""What the peers have in common: both task models with PEFT, and the texts as tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from tests.benchmarks.contenders.job import Job
from tests.benchmarks.texts import read_texts


def load_old(job: Job) -> PeftModel:
    """Return the old task model, frozen."""
    return PeftModel.from_pretrained(_base(job, job.old_model), job.old_adapter).eval()


def load_student(job: Job, *, teacher: str | None = None) -> PeftModel:
    """Return the new model with the adapter to train, which starts as the new task adapter's.

    Args:
        job: Which models.
        teacher: Name under which the new task adapter itself is on the model too, if it is.
    """
    base = _base(job, job.new_model)
    student = PeftModel.from_pretrained(base, job.new_adapter, is_trainable=True)
    if teacher is not None:
        student.load_adapter(job.new_adapter, teacher, torch_device=job.device)
    return student


def load_tokens(job: Job) -> tuple[PreTrainedTokenizerBase, list[list[int]]]:
    """Return the tokenizer and each text's tokens."""
    tokenizer: Any = AutoTokenizer.from_pretrained(job.new_model)
    texts = [text.whole for text in read_texts(Path(job.texts))]
    return tokenizer, tokenizer(texts)["input_ids"]


def _base(job: Job, directory: str) -> Any:
    dtype = getattr(torch, job.dtype)
    return AutoModelForCausalLM.from_pretrained(directory, dtype=dtype).to(job.device)
