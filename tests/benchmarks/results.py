"""Results as files: measuring the same part, device, dtype and data again replaces one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Result = dict[str, Any]


def write_result(directory: Path, result: Result) -> Path:
    """Write a part's result and return its file."""
    directory.mkdir(parents=True, exist_ok=True)
    machine = result["machine"]
    parts = [result["part"], machine["device"], machine["dtype"], result.get("data")]
    path = directory / f"{'-'.join(filter(None, parts))}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_results(directory: Path) -> list[Result]:
    """Return all results of a directory, by file name."""
    return [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.json"))
    ]
