"""The example project with its real models, made once for all heavy tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "example_project"


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example project with its two models, made or taken from the checkout."""
    folder = tmp_path_factory.mktemp("example") / "example_project"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".muscle_cache", "__pycache__"))
    command = [sys.executable, "prepare.py"]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return folder
