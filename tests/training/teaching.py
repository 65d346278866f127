"""Sequences of all lengths, and a teacher that reads them."""

from pytest_muscle.models import LanguageModel
from pytest_muscle.progress import SILENT, Progress
from pytest_muscle.training.teachers import Teacher, record_teacher

SEQUENCES = [
    [5, 9, 30, 41, 7, 12],
    [8, 3, 77],
    [60, 61, 62, 63, 4, 4, 9, 90, 33, 2, 1, 17, 18, 19, 20, 21, 22, 23, 24, 25],
    [5, 9, 30, 96, 95],
    [20, 21],
    [5, 9, 30, 41, 7, 12],
    [14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14],
    [8, 3],
    [60, 61, 62, 63, 4, 4, 9, 90, 33, 2, 1, 17, 18, 19, 20, 21],
]


def record(model: LanguageModel, sequences, file, progress: Progress = SILENT) -> Teacher:
    return record_teacher(model, sequences, file, progress=progress, description="teaching")
