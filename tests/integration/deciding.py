"""A project whose gate decides early: what the tests of [gate] sequential have in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import MODELS_AND_TASK, colour_rows, write_jsonl

RUN = """
[run]
device = "cpu"
dtype = "float32"
batch_tokens = 100
"""

COUNTED = """
    import pytest
    from pytest_muscle.models import LanguageModel

    @pytest.fixture(scope="session", autouse=True)
    def asked():
        counts = {}
        score = LanguageModel.loglikelihoods

        def count(self, requests, *, description, **options):
            answers = score(self, requests, description=description, **options)
            counts[description.split()[1]] = len(answers)
            return answers

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LanguageModel, "loglikelihoods", count)
            yield counts
"""

ASSERTED = """
    from pytest_muscle import assert_gate

    def test_gate(muscle_task, old_predictions, new_predictions):
        assert_gate(old_predictions, new_predictions, gate=muscle_task.gate)
"""


class Project:
    """600 questions and two models that have learned nothing: the old one has a quarter right.

    Args:
        pytester: Its directory.
        models: Where the tiny models are.
    """

    def __init__(self, pytester: pytest.Pytester, models: Path) -> None:
        pytester.makeini("[pytest]\n")
        pytester.makeconftest(COUNTED)
        self.pytester = pytester
        self._models = models
        rows = [row for seed in range(6) for row in colour_rows(100, seed)]
        write_jsonl(pytester.path / "data" / "eval.jsonl", rows)
        self.gate()

    def gate(self, new: str = "v1", gate: str = "max_nfr = 0.05", sequential: bool = True) -> None:
        """Write muscle.toml: the new model, and the gate's limits."""
        text = MODELS_AND_TASK.replace('train = "data/train.jsonl"\n', "")
        text = text.format(models=self._models).replace(
            f'"{self._models}/v2"', f'"{self._models}/{new}"'
        )
        gates = f"\n[gate]\n{gate}\nsequential = {str(sequential).lower()}\n"
        (self.pytester.path / "muscle.toml").write_text(text + RUN + gates)

    def table(self, side: str = "new") -> Path:
        """Return the stored table of a side."""
        (path,) = self.pytester.path.glob(f".muscle_cache/predictions/colours-{side}-*.jsonl")
        return path
