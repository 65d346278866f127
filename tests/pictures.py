"""Make the pictures of README from the example project: `python -m tests.pictures`.

They show a second run, so `pytest example_project` comes first. Needs the extra `dev` and Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "example_project"
PICTURES = EXAMPLE / "pictures"
COMMAND = ["pytest", "example_project", "-k", "breaks_little or wins_flips_back", "--tb=short"]
COLUMNS = 100
OF_THIS_MACHINE = ("platform ", "cachedir: ", "rootdir: ", "configfile: ", "plugins: ")
SIZE = (1000, 986)
"""Width and height of the page that is shown, in CSS pixels."""


def main() -> None:
    """Run the example once more, and write what terminal and browser show of it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        output = run_example(report)
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / "terminal.svg").write_text(draw_terminal(output), encoding="utf-8")
        photograph(report / "report.html", PICTURES / "report.png")
    for picture in sorted(PICTURES.iterdir()):
        print(f"{picture.relative_to(EXAMPLE.parent)}: {picture.stat().st_size / 1024:.0f} KiB")


def run_example(report: Path) -> str:
    """Run the example's tests, and return what they print, in colours.

    Args:
        report: Where the report of all four tests goes.
    """
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "HF_HUB_OFFLINE": "1"}
    environment.pop("PYTHONPATH", None)
    every = ["example_project", "-q", "--muscle-report", str(report)]
    for arguments in (every, [*COMMAND[1:], "--color=yes"]):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=EXAMPLE.parent,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 1:  # some of the example's tests are red, as they should be
            sys.exit(f"{done.stdout}\n{done.stderr}")
    return done.stdout


def draw_terminal(output: str) -> str:
    """Return a terminal with a run as SVG that loads nothing."""
    from rich.console import Console
    from rich.text import Text

    lines = [line for line in output.splitlines() if not line.startswith(OF_THIS_MACHINE)]
    called = " ".join(f'"{word}"' if " " in word else word for word in COMMAND)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(
            record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor"
        )
        console.print(Text(f"$ {called}"))
        console.print(Text.from_ansi("\n".join(lines)))
    picture = console.export_svg(title="pytest-muscle")
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)


def photograph(page: Path, picture: Path) -> None:
    """Write what Chromium shows of a page, as PNG."""
    browser = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None
    )
    if browser is None:
        sys.exit("there is no Chromium to photograph the report with")
    subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--hide-scrollbars",
            f"--window-size={SIZE[0]},{SIZE[1]}",
            f"--screenshot={picture}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
    )


if __name__ == "__main__":
    main()
