"""The task that LightEval was given, as `--custom-tasks`."""

from __future__ import annotations

from lighteval.metrics.metrics import Metrics
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc


def ask(line: dict, task_name: str | None = None) -> Doc:
    """Return a colour question."""
    return Doc(
        task_name=task_name,
        query=f"Question: {line['question']}\nAnswer:",
        choices=[f" {choice}" for choice in line["options"]],
        gold_index=line["label"],
        specific={"place": line["place"]},
    )


TASKS_TABLE = [
    LightevalTaskConfig(
        name="colours",
        prompt_function=ask,
        hf_repo="data",
        hf_subset="default",
        hf_avail_splits=["test"],
        evaluation_splits=["test"],
        few_shots_split=None,
        few_shots_select=None,
        metrics=[Metrics.loglikelihood_acc, Metrics.mrr],
        generation_size=1,
        stop_sequence=["\n"],
        version=0,
    )
]
