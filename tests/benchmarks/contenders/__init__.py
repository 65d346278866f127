"""Who trains: each module here trains the same adapter from the same job, in its own way."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from tests.benchmarks.contenders.job import Job, Training

CONTENDERS = {
    "ours": "pytest-muscle",
    "naive": "plain PyTorch loop",
    "trl_distillation": "TRL DistillationTrainer",
    "trl_gkd": "TRL GKDTrainer",
}
"""Modules of this package, and what tables call them."""


def find_contender(name: str) -> Callable[[Job], Training]:
    """Return a contender's `train`; everything that it needs is imported then.

    Raises:
        ImportError: If a package that it needs is not installed.
    """
    train: Callable[[Job], Training] = import_module(f"{__name__}.{name}").train
    return train
