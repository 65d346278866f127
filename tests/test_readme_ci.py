"""The CI examples of README and the guide are what services read; their commands run as written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "pytest_muscle" / "reports" / "README.md"]
TESTS = """
    from pytest_muscle import assert_negative_flip_rate

    def test_update(old_predictions, new_predictions):
        assert_negative_flip_rate(old_predictions, new_predictions, max_rate=0.99)
"""


def example(word: str) -> dict[str, Any]:
    """The one YAML block of README and the guide in which a word stands."""
    text = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    read: dict[str, Any] = yaml.safe_load(block)
    return read


def commands(word: str) -> list[str]:
    read = example(word)
    if word == "runs-on":
        steps = read["jobs"]["negative-flips"]["steps"]
        return [step["run"] for step in steps if "run" in step]
    script: list[str] = read["negative-flips"]["script"]
    return script


def test_the_workflow_has_what_a_workflow_needs():
    workflow = example("runs-on")
    assert workflow[True] == ["pull_request", "workflow_dispatch"]  # YAML reads "on" as true
    for step in workflow["jobs"]["negative-flips"]["steps"]:
        assert ("uses" in step) != ("run" in step)


def test_the_pipeline_has_what_a_pipeline_needs():
    job = example("image:")["negative-flips"]
    assert job["artifacts"]["reports"] == {
        "junit": "model-update.xml",
        "metrics": "muscle-report/metrics.txt",
    }
    assert ".muscle_cache" in job["cache"]["paths"]


@pytest.mark.parametrize("word", ["runs-on", "image:"])
def test_their_commands_run_as_written(trained_project, word):
    """Recorded, committed, gated: on a machine where only the baseline knows the old model."""
    trained_project.makepyfile(TESTS)
    recorded = trained_project.runpytest_subprocess("--muscle-update-baseline")
    assert recorded.ret == 0
    path = trained_project.path / "muscle.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[text.index("[new]") :], encoding="utf-8")
    install, *rest = map(shlex.split, commands(word))
    assert install == ["pip", "install", "pytest-muscle"]

    for name, *arguments in rest:
        assert name == "pytest"
        trained_project.runpytest_subprocess(*arguments).assert_outcomes(passed=1)

    assert (trained_project.path / "model-update.xml").is_file()
