"""report.html as a browser reads it, and a run that has everything that is drawn in it."""

from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path

from pytest_muscle.reports.curves import Training, read_training
from pytest_muscle.reports.data import GateLimit, RunReport
from pytest_muscle.reports.history import PastFigures, PastRun
from pytest_muscle.reports.margins import Margins
from pytest_muscle.training.store import Adapter

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u2028&amp;'\""
VOID = {"meta", "input", "br", "img"}


class Page(HTMLParser):
    """A page as a browser reads it: its tags, its texts by tag and class, and its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, str], ...]] = []
        self.said: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class") or ""))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1][0] == "script":
            self.scripts.append(data)
        elif data.strip():
            self.said.append(data.strip())
            self.texts.append(tuple(self.open))

    def within(self, tag: str, kind: str = "") -> list[str]:
        """Return the texts inside elements of a tag that have a class."""
        return [
            said
            for said, opened in zip(self.said, self.texts, strict=True)
            if any(
                (name == tag and kind in classes.split(" ")) or (name, kind) == (tag, "")
                for name, classes in opened
            )
        ]

    @property
    def island(self) -> list[dict]:
        """The examples that its script shows."""
        return json.loads(self.scripts[0]) if self.scripts else []


FACTS = {
    "steps": 20,
    "epochs": 2.0,
    "best_step": 10,
    "curve": [{"step": at, "loss": 1 / at, "masked": 0.5} for at in range(1, 21)],
    "validation_cross_entropy": {"1": 0.5, "2": 0.6},
}
MARGINS = Margins(
    unit="nats",
    flips=2,
    edges=(-1.0, 0.0, 1.0),
    before=(0, 2),
    after=(2, 0),
    median_fall=0.4,
    close=2,
)


def with_figures(run: RunReport, name: str = "support", commit: str = "c0ffee12") -> RunReport:
    """The run with everything that is drawn."""
    (task,) = run.tasks
    past = PastRun(
        written="2026-10-01T08:30:00+00:00",
        commit=commit,
        tasks={name: PastFigures(n=6, passed=False, nfr=0.1, nfr_interval=(0.0, 0.2))},
    )
    trained = read_training(Adapter(Path("a"), "trained", "f", FACTS))
    details = dataclasses.replace(
        task.details,
        training={"old": Training(origin="given"), "new": trained, "compat": trained},
        margins={"new": MARGINS, "compat": MARGINS},
        flips=tuple(
            dataclasses.replace(flip, old_margin=0.25, new_margin=-0.5 - flip.position)
            for flip in task.details.flips
        ),
    )
    task = dataclasses.replace(task, details=details, limit=GateLimit(0.02, None, 0.95))
    return dataclasses.replace(run, tasks=(task,), history=(past, past), history_skipped=1)
