"""What the plugin costs those who have it installed and do not use it."""

from __future__ import annotations

import statistics
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("configured", [False, True])
def test_a_run_without_muscle_fixtures_loads_nothing_heavy(pytester, configured):
    pytester.makepyfile("def test_plain(): pass")
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
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_muscle.plugin"},
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
    import pytest_muscle

    for name in pytest_muscle.__all__:
        assert getattr(pytest_muscle, name) is not None
    assert not hasattr(pytest_muscle, "nonsense")
