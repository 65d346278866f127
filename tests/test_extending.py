"""EXTENDING.md says what is true: its plugin is installed from its blocks and does what it says."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import pytest_muscle
from pytest_muscle import hookspecs

GUIDE = (Path(pytest_muscle.__file__).parent / "EXTENDING.md").read_text(encoding="utf-8")
ASKED: list[dict] = []


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", GUIDE, re.DOTALL)


def toml(word: str) -> str:
    (block,) = [block for block in blocks("toml") if word in block]
    return block


def files() -> dict[str, str]:
    """The guide's Python files, each named before its block."""
    found = re.findall(
        r"`(acme_muscle/\w+\.py)`((?:(?!```).)*)```python\n(.*?)```", GUIDE, re.DOTALL
    )
    return {name: block for name, _, block in found}


class Judge(BaseHTTPRequestHandler):
    """A judge that finds short answers polite."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ASKED.append(body)
        answer = body["messages"][0]["content"].split("\n\n", 1)[1]
        reply = {"choices": [{"message": {"content": str(max(0, 10 - len(answer)))}}]}
        text = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict]]:
    """What a judge is asked, which the guide's metric finds."""
    server = HTTPServer(("127.0.0.1", 0), Judge)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("ACME_JUDGE", f"http://127.0.0.1:{server.server_port}")
    ASKED.clear()
    yield ASKED
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def installed(tiny_project: pytest.Pytester, tiny_models: Path) -> pytest.Pytester:
    """The guide's project, with the guide's plugin as pip would install it."""
    project, package = tiny_project, tomllib.loads(toml("acme-muscle"))
    assert len(files()) == len(blocks("python"))
    for name, text in files().items():
        path = project.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    name, version = package["project"]["name"], package["project"]["version"]
    metadata = project.mkdir(f"{name.replace('-', '_')}-{version}.dist-info")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = package["project"]["entry-points"]["pytest11"]
    lines = [f"{point} = {module}" for point, module in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    project.syspathinsert()
    shutil.copytree(tiny_models, project.path / "models")
    rows = [
        {
            "id": str(number),
            "question": f"Where is {thing}?",
            "answer": "there",
            "label": number % 2,
        }
        for number, thing in enumerate(["my parcel", "my bill", "it", "the sum"])
    ]
    (project.path / "data" / "support.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return project


TESTS = """
def test_it(muscle_task, old_predictions, new_predictions):
    for row in [*old_predictions, *new_predictions]:
        if muscle_task.name == "support":
            assert row.score == max(0, 10 - len(row.text.strip())) / 10
        else:
            low, high = row.loglikelihoods
            assert row.answer == (high >= low)
"""


def test_the_plugin_judges_and_tells(installed, judge):
    text = toml('metric = "polite"') + '\n[run]\ndevice = "cpu"\n'
    short = text.replace("tolerance = 0.1", "tolerance = 0.1\nmax_new_tokens = 3")
    (installed.path / "muscle.toml").write_text(short)
    installed.makepyfile(TESTS)
    result = installed.runpytest_inprocess("-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "muscle: plugins add metric polite (acme), *importer acme (acme)",
            "muscle: told #releases",
        ]
    )
    assert {body["model"] for body in judge} == {"judge-8b-2026-01"}
    told = (installed.path / "releases.txt").read_text().splitlines()
    assert [line.partition(", ")[0] for line in told] == ["support: passed", "routing: passed"]
    assert all(re.search(r"negative flips \d+\.\d %$", line) for line in told)

    asked = len(judge)
    installed.runpytest_inprocess().assert_outcomes(passed=2)
    assert len(judge) == asked
    module = installed.path / "acme_muscle" / "judge.py"
    module.write_text(module.read_text().replace("judge-8b-2026-01", "judge-8b-2026-02"))
    installed.runpytest_inprocess().assert_outcomes(passed=2)
    assert judge[-1]["model"] == "judge-8b-2026-02"


def test_a_changed_judge_is_the_difference_to_a_baseline(installed, judge):
    text = toml('metric = "polite"').replace("tolerance = 0.1", "max_new_tokens = 3")
    (installed.path / "muscle.toml").write_text(text + '\n[run]\ndevice = "cpu"\n')
    installed.makepyfile("def test_it(old_predictions): pass")
    assert installed.runpytest_inprocess("--muscle-update-baseline").ret == 0
    module = installed.path / "acme_muscle" / "judge.py"
    module.write_text(module.read_text().replace("judge-8b-2026-01", "judge-8b-2026-02"))
    result = installed.runpytest_inprocess("-k", "support")
    result.stdout.fnmatch_lines(["*metric source: *"])
    result.assert_outcomes(errors=1, deselected=1)


def test_its_importer_reads_the_logs(installed):
    """Of four answers one was right and is wrong now."""
    (installed.path / "muscle.toml").write_text(toml("acme:runs/v1.txt"))
    runs = installed.mkdir("runs")
    (runs / "v1.txt").write_text("a,1,1\nb,2,2\nc,2,3\nd,1,2\n")
    (runs / "v2.txt").write_text("a;1;1\nb;1;2\nc;3;3\nd;1;2\n")
    result = installed.runpytest_inprocess("muscle.toml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*support * 4 *25.00*", "muscle: told #releases"])
    said = (installed.path / "releases.txt").read_text()
    assert said == "support: failed, negative flips 25.0 %\n"


def test_its_objective_is_the_divergence_from_the_new_model():
    import torch
    from torch.nn import functional

    from pytest_muscle.training.objectives import TeacherLogits

    namespace: dict = {}
    exec(files()["acme_muscle/objectives.py"], namespace)
    student, old, new = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(1))
    found = namespace["new_everywhere"](student, torch.zeros(5), TeacherLogits(old, new), 2.0)
    expected = functional.kl_div(
        (student / 2).log_softmax(-1), (new / 2).log_softmax(-1), reduction="none", log_target=True
    )
    torch.testing.assert_close(found.loss, expected.sum(-1))
    assert found.masked is None


def test_the_table_names_all_hooks_with_their_arguments():
    for name, hook in inspect.getmembers(hookspecs, inspect.isfunction):
        if name.startswith("pytest_muscle"):
            assert f"| `{name}({', '.join(inspect.signature(hook).parameters)})` |" in GUIDE
