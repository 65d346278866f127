"""Train one job in this process alone and say what it took.

Usage: python -m tests.benchmarks.contenders CONTENDER JOB.json RESULT.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.benchmarks.contenders import find_contender
from tests.benchmarks.contenders.job import Job
from tests.benchmarks.measuring import measure_training


def main(name: str, job: str, result: str) -> None:
    """Run one contender."""
    measured = measure_training(find_contender(name), Job.read(Path(job)))
    Path(result).write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
