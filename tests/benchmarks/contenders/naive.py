"""MUSCLE as a reader of the paper would write it: three passes per batch, all logits, plain ops."""

from __future__ import annotations

import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup

from tests.benchmarks.contenders.job import Job, Training
from tests.benchmarks.contenders.networks import load_old, load_student, load_tokens

TEACHER, STUDENT = "teacher", "default"
MAX_GRAD_NORM = 1.0


def train(job: Job) -> Training:
    """Train the compatibility adapter."""
    torch.manual_seed(job.seed)
    _, texts = load_tokens(job)
    old, student = load_old(job), load_student(job, teacher=TEACHER)
    loader = DataLoader(texts, batch_size=job.batch_size, shuffle=True, collate_fn=_pad_right)
    trained = [weights for weights in student.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=job.learning_rate, weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(
        optimizer, job.warmup_steps(len(texts)), job.steps(len(texts))
    )
    half = job.dtype == "bfloat16"
    losses: list[tuple[int, float]] = []
    student.train()
    for _ in range(job.epochs):
        for tokens, mask in loader:
            inputs = {
                "input_ids": tokens.to(job.device),
                "attention_mask": mask.to(job.device),
                "use_cache": False,
            }
            with torch.autocast(job.device, dtype=torch.bfloat16, enabled=half):
                with torch.no_grad():
                    old_logits = old(**inputs).logits
                    student.set_adapter(TEACHER, inference_mode=True)
                    new_logits = student(**inputs).logits
                    student.set_adapter(STUDENT)
                logits = student(**inputs).logits
                loss = muscle_loss(
                    logits[:, :-1],
                    old_logits[:, :-1],
                    new_logits[:, :-1],
                    inputs["input_ids"][:, 1:],
                    inputs["attention_mask"][:, 1:],
                    job.temperature,
                )
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append((len(losses) + 1, loss.item()))
    student.save_pretrained(job.output, selected_adapters=[STUDENT])
    return Training(tokens=sum(map(len, texts)), losses=losses)


def muscle_loss(
    student: torch.Tensor,
    old: torch.Tensor,
    new: torch.Tensor,
    gold: torch.Tensor,
    kept: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """Return the mean loss over all tokens that are not padding, as the paper's formula reads.

    Args:
        student: Logits, [batch, tokens, vocab]; so are `old` and `new`.
        old: Of the old task model.
        new: Of the new task model.
        gold: Next tokens, [batch, tokens].
        kept: 1 where the next token is no padding, [batch, tokens].
        temperature: T.
    """
    masked = (student.argmax(dim=-1) != gold).float()
    log_student = functional.log_softmax(student.float() / temperature, dim=-1)
    to_old = _divergence(log_student, old, temperature)
    to_new = _divergence(log_student, new, temperature)
    loss = masked * to_old + (1 - masked) * to_new
    return (loss * kept).sum() / kept.sum()


def _divergence(
    log_student: torch.Tensor, teacher: torch.Tensor, temperature: float
) -> torch.Tensor:
    log_teacher = functional.log_softmax(teacher.float() / temperature, dim=-1)
    return functional.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(-1)


def _pad_right(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask, both [batch, tokens]."""
    rows = [torch.tensor(text) for text in texts]
    pad = torch.nn.utils.rnn.pad_sequence
    tokens = pad(rows, batch_first=True, padding_value=0)
    return tokens, pad([torch.ones_like(row) for row in rows], batch_first=True, padding_value=0)
