"""A run that is killed again and again ends with the tables and adapters of an undisturbed one."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import MODELS_AND_TASK, colour_rows, write_jsonl

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")

CONFIGURATION = (
    MODELS_AND_TASK
    + """
[adapter]
rank = 4
dropout = 0.1
epochs = 4
learning_rate = 1e-2
batch_size = 8
gradient_accumulation = 1

[run]
device = "cpu"
dtype = "float32"
batch_tokens = 40
"""
)

STEPS_OF_EPOCH = 3
"""20 of the 25 training rows, by 8; a checkpoint follows."""

SMALL_WINDOW = 25
"""Of the 60 evaluation rows."""

KILLS = 30
"""At least so many, however fast the machine."""

MOST_MOMENTS = 70
"""Of a child; an epoch with its checkpoint fits in, a table or an adapter does not."""

MOST_SECONDS = 1.0
"""Of each fourth child, which is killed by the clock: anywhere, within C as well."""

HEAVY = [
    "peft",
    "pytest_muscle.models.answering",
    "pytest_muscle.training.adapters",
    "pytest_muscle.training.trainer",
    "transformers.models.llama.modeling_llama",
]
"""What the children find imported."""


class Moments:
    """Counts what a process does that a kill could spoil, and kills it at one of these moments.

    A moment is the time before a file in the cache is opened for writing, renamed or removed,
    before and within each write of a journal, a checkpoint or an adapter, and between two batches
    or training steps.

    Args:
        cache: The cache's directory.
        log: Gets a line for each moment and each batch or step that was done.
        last: Which moment is the last, or none.
    """

    def __init__(self, cache: Path, log: Path, last: int | None) -> None:
        self._cache = str(cache)
        self._log = FileIO(log, "a")
        self._left = last
        self._inside = False

    def note(self, what: str) -> None:
        """Add a line to the log."""
        self._log.write(f"{what}\n".encode())

    def pass_one(self) -> None:
        """One moment more."""
        self.note("moment")
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at what Python says that it is about to do."""
        if event not in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"):
            return
        writes = event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes and str(arguments[0]).startswith(self._cache):
            self.pass_one()

    def before(self, call: Callable[..., Any], what: str = "") -> Callable[..., Any]:
        """Return a function with a moment before it, that is logged when it is done."""

        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.pass_one()
            result = call(*arguments, **options)
            if what:
                self.note(what)
            return result

        return wrapped

    def within(self, save: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that saves to a file, with a moment when half of it is written."""

        def wrapped(content: Any, file: Any, *arguments: Any, **options: Any) -> Any:
            result = save(content, file, *arguments, **options)
            whole = Path(file).read_bytes()
            Path(file).write_bytes(whole[: len(whole) // 2])
            self.pass_one()
            Path(file).write_bytes(whole)
            return result

        return wrapped


def work(project: Path, log: Path, last: int | None) -> None:
    """Make all three tables, and the adapters before them; die at a moment."""
    import torch
    from peft import peft_model
    from tqdm import tqdm

    from pytest_muscle import ModelUpdate, read_settings
    from pytest_muscle.models import scoring
    from pytest_muscle.predictions import journal
    from pytest_muscle.training import teachers, trainer

    tqdm.set_lock(threading.RLock())  # its own would be a semaphore that a kill leaves behind
    moments = Moments(project / ".muscle_cache", log, last)

    class TornFile(FileIO):
        """Takes half of what it is given at a time."""

        def write(self, data: Any) -> int:
            moments.pass_one()
            return super().write(data[: max(1, len(data) // 2)])

    journal.FileIO = TornFile
    scoring.WINDOW = SMALL_WINDOW
    scoring._Scorer._run = moments.before(scoring._Scorer._run, "batch")
    teachers._record = moments.before(teachers._record)
    trainer.AdapterTrainer.training_step = moments.before(
        trainer.AdapterTrainer.training_step, "step"
    )
    torch.save = moments.within(torch.save)
    peft_model.safe_save_file = moments.within(peft_model.safe_save_file)
    os.fsync = moments.before(os.fsync)
    sys.addaudithook(moments.audit)

    settings = read_settings(project / "muscle.toml", invocation_dir=project)
    update = ModelUpdate(settings)
    for side in ("old", "new", "compat"):
        update.predictions(side, "colours")


class Run(NamedTuple):
    """A project in which a child works.

    Attributes:
        project: Its directory.
        log: What all children did.
    """

    project: Path
    log: Path

    def start(self, *, last: int | None = None, seconds: float | None = None) -> bool:
        """Work up to a moment, or for so long; return whether the child was killed."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(HEAVY)
        child = context.Process(target=work, args=(self.project, self.log, last))
        child.start()
        child.join(seconds)
        if child.is_alive():
            child.kill()
            child.join()
        assert child.exitcode in (0, -signal.SIGKILL)
        return child.exitcode != 0

    def done(self) -> Counter[str]:
        """Return how many moments, batches and steps there were in all children."""
        return Counter(self.log.read_text().split())


@pytest.fixture
def make_run(tiny_models: Path, tmp_path: Path) -> Callable[[str], Run]:
    """A function that makes a project whose work can be killed."""

    def make(name: str) -> Run:
        project = tmp_path / "project"
        rows = colour_rows(85, 7)
        write_jsonl(project / "data/train.jsonl", rows[:25])
        write_jsonl(project / "data/eval.jsonl", rows[25:])
        (project / "muscle.toml").write_text(CONFIGURATION.format(models=tiny_models))
        return Run(project, tmp_path / f"{name}.log")

    return make


def contents(cache: Path) -> dict[str, Any]:
    """What a cache holds, by name; but for locks, dates and durations."""
    found: dict[str, Any] = {}
    for path in sorted([*cache.glob("predictions/*"), *cache.glob("adapters/**/*")]):
        name = str(path.relative_to(cache))
        if path.is_dir() or path.suffix in (".lock", ".md"):  # a card says how long it took
            continue
        found[name] = path.read_bytes()
        if path.suffix == ".json":
            found[name] = json.loads(found[name])
            found[name].pop("seconds", None)
            found[name].get("facts", {}).pop("date", None)
    return found


def test_killed_at_any_moment_it_goes_on_and_ends_with_the_same_bytes(make_run):
    undisturbed = make_run("undisturbed")
    assert not undisturbed.start()
    cache = undisturbed.project / ".muscle_cache"
    wanted = contents(cache)
    assert sum(name.endswith(".jsonl") for name in wanted) == 3
    assert sum(name.endswith("adapter_model.safetensors") for name in wanted) == 3
    total = undisturbed.done()
    rng = random.Random(1)
    kills = 0
    while kills < KILLS:
        shutil.rmtree(cache)
        run = make_run(f"killed {kills}")
        here = 0
        while run.start(**_end(rng, here)):
            here += 1
            assert here < 10 * KILLS, "it does not get on"
        kills += here

        assert contents(cache) == wanted
        done = run.done()
        assert done["batch"] <= total["batch"] + here
        assert done["step"] <= total["step"] + STEPS_OF_EPOCH * here


def _end(rng: random.Random, number: int) -> dict[str, Any]:
    """Return when a child is killed."""
    if number % 4 == 3:
        return {"seconds": rng.uniform(0, MOST_SECONDS)}
    return {"last": rng.randint(1, MOST_MOMENTS)}
