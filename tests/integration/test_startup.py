"""What the plugin costs those who have it installed and do not use it."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_muscle

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "numpy",
    "scipy",
    "jinja2",
    "tabulate",
    "tqdm",
    "filelock",
    "matplotlib",
)


def _python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_plugin_loads_nothing_heavy():
    loaded = _python(
        "import sys, pytest_muscle, pytest_muscle.plugin\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert loaded == "[]"


ADDING = """
    def pytest_muscle_add_metrics(): return {"judge": "no_such:judge"}
    def pytest_muscle_add_objectives(): return {"learn": "no_such:learn"}
    def pytest_muscle_add_importers(): return {"logs": "no_such:read"}
    def pytest_muscle_report(): raise RuntimeError
"""


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("configured", [False, True])
def test_a_run_without_muscle_fixtures_loads_nothing_heavy(pytester, configured, extended):
    pytester.makepyfile("def test_plain(): pass")
    if extended:
        pytester.makeconftest(ADDING)
    if configured:
        (pytester.path / "muscle.toml").write_text('[old]\nmodel = "org/name"\n')
    code = (
        "import sys, pytest\n"
        "assert pytest.main(['-p', 'no:cacheprovider']) == 0\n"
        "print(['pytest_muscle.plugin' in sys.modules]"
        f" + [name for name in {HEAVY!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    # Other plugins of this environment may load NumPy: only ours is asked.
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=pytester.path,
        env={
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "pytest_muscle.plugin",
            "PYTHONPATH": str(Path(pytest_muscle.__file__).parents[1]),
        },
    )
    assert result.stdout.splitlines()[-1] == "[True]"


def test_the_plugin_costs_less_than_ten_milliseconds(tmp_path, monkeypatch):
    """Processor time of importing the plugin, compiled, after pytest: median of five."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path))
    code = (
        "import time, pytest\n"
        "start = time.process_time()\n"
        "import pytest_muscle.plugin\n"
        "print(time.process_time() - start)"
    )
    _python(code)  # compiles, as pip does
    seconds = [float(_python(code)) for _ in range(5)]
    assert statistics.median(seconds) < 0.010


def test_public_names_are_there():
    for name in pytest_muscle.__all__:
        assert getattr(pytest_muscle, name) is not None
    assert not hasattr(pytest_muscle, "nonsense")
