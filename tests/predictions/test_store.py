"""Tables under their fingerprint: read back as they were, made by one process, never passed off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_muscle.predictions import Prediction, Predictions
from pytest_muscle.predictions.journal import Batch, Journal
from pytest_muscle.predictions.keys import PredictionKey
from pytest_muscle.predictions.store import PredictionStore
from pytest_muscle.progress import SILENT, Progress
from pytest_muscle.version import __version__

KEY = PredictionKey("colours", "new", {"model": {"base": "aa"}, "task": "t"})
OTHER = PredictionKey("colours", "new", {"model": {"base": "bb"}, "task": "t"})


@pytest.fixture
def store(tmp_path: Path) -> PredictionStore:
    return PredictionStore(tmp_path / "predictions", Progress())


def make(facts: Mapping[str, Any], journal: object) -> Predictions:
    """Stand in for scoring."""
    rows = tuple(
        Prediction(
            id=f"q{number}",
            answer=number % 3,
            gold=1,
            correct=number % 3 == 1,
            score=float(number % 3 == 1),
            loglikelihoods=(-0.1 * number, -1 / 3, float("-inf")),
            digest="d",
        )
        for number in range(5)
    )
    return Predictions(rows, task="colours", model="v2", facts={"dtype": "float32", **facts})


def refuse(facts: Mapping[str, Any], journal: object) -> Predictions:
    pytest.fail("they were made again")


def test_a_table_is_made_once_and_read_back_as_it_was(store):
    made = store.get(KEY, make)

    assert store.get(KEY, refuse) == made
    assert store.find(KEY) == made
    assert store.find(OTHER) is None


def test_the_manifest_says_what_it_was_made_of_and_when(store):
    store.get(KEY, make)

    path = store.path(KEY)
    assert path.name == f"colours-new-{KEY.fingerprint[:16]}.jsonl"
    manifest = json.loads(path.with_name(path.name + ".manifest.json").read_text())
    facts = manifest["facts"]
    assert facts["made_of"] == KEY.made_of
    assert facts["fingerprint"] == KEY.fingerprint
    assert facts["dtype"] == "float32"
    assert facts["pytest_muscle"] == __version__
    age = datetime.now(UTC) - datetime.fromisoformat(facts["date"])
    assert 0 <= age.total_seconds() < 60


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def manifest_of(path: Path) -> Path:
    return path.with_name(path.name + ".manifest.json")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (
        lambda path: edit(path, lambda text: text[: text.rindex("{")]),
        "has 4 rows where its manifest counts 5",
    ),
    "cut within a line": (lambda path: edit(path, lambda text: text[:-9]), "is not a prediction"),
    "an answer edited": (
        lambda path: edit(path, lambda text: text.replace('"answer": 2', '"answer": 1')),
        "the line of example 'q2' is not the one that was written",
    ),
    "empty": (lambda path: path.write_text(""), "has 0 rows"),
    "no manifest": (lambda path: manifest_of(path).unlink(), "cannot be read"),
    "half a manifest": (
        lambda path: edit(manifest_of(path), lambda text: text[:50]),
        "is not valid JSON",
    ),
    "another fingerprint": (
        lambda path: edit(manifest_of(path), lambda text: text.replace(KEY.fingerprint, "0" * 64)),
        "its manifest is of other predictions",
    ),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_table_is_noticed_and_made_again_with_one_line(store, capfd, how):
    made = store.get(KEY, make)
    damage, problem = DAMAGE[how]
    damage(store.path(KEY))
    assert store.find(KEY) is None
    assert capfd.readouterr().err == ""

    again = store.get(KEY, make)

    assert again.rows == made.rows
    said = [line for line in capfd.readouterr().err.splitlines() if line]
    assert len(said) == 1
    assert said[0].startswith("muscle: stored predictions are damaged and made again: ")
    assert problem in said[0]
    assert store.get(KEY, refuse).rows == made.rows


def test_another_model_s_table_under_this_one_s_name_is_not_taken_for_it(store):
    store.get(OTHER, make)
    for path in (store.path(KEY), manifest_of(store.path(KEY))):
        shutil.copy(str(path).replace(KEY.name, OTHER.name), path)

    assert store.find(KEY) is None


def test_what_fails_leaves_nothing(store):
    def fail(facts: Mapping[str, Any], journal: object) -> Predictions:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.get(KEY, fail)

    assert store.find(KEY) is None
    assert [path.name for path in store.directory.iterdir()] == [f".{KEY.name}.lock"]


def test_what_a_killed_process_left_is_removed(store):
    store.directory.mkdir()
    left = store.directory / f".{KEY.name}.jsonl.x1y2.part"
    another = store.directory / f".{OTHER.name}.jsonl.x1y2.part"
    for path in (left, another):
        path.touch()

    store.get(KEY, make)

    assert not left.exists()
    assert another.exists()


def journal_of(store: PredictionStore, key: PredictionKey = KEY) -> Path:
    return store.directory / f".{key.name}.journal"


BATCH = Batch(0, [0], [-1.0], 1, "auto", 512)


def answer(facts: Mapping[str, Any], journal: Journal) -> Predictions:
    """Score one batch."""
    journal.open({})
    journal.append(BATCH)
    return make(facts, journal)


def test_what_was_answered_is_kept_until_the_table_is_stored(store):
    def end(facts: Mapping[str, Any], journal: Journal) -> Predictions:
        answer(facts, journal)
        raise KeyboardInterrupt

    def go_on(facts: Mapping[str, Any], journal: Journal) -> Predictions:
        journal.open({})
        found.extend(journal.window(0))
        return make(facts, journal)

    found: list[Batch] = []
    with pytest.raises(KeyboardInterrupt):
        store.get(KEY, end)
    assert journal_of(store).is_file()
    store.get(OTHER, go_on)
    assert found == []

    store.get(KEY, go_on)

    assert found == [BATCH]
    assert not journal_of(store).exists()


def test_what_was_answered_stays_where_the_table_cannot_be_stored(store):
    store.path(KEY).mkdir(parents=True)

    store.get(KEY, answer)

    assert journal_of(store).is_file()


def test_what_another_model_may_have_answered_is_not_kept(store):
    store.get(KEY, answer, unchanged=lambda: False)

    assert not journal_of(store).exists()


def test_a_journal_left_beside_a_stored_table_is_removed(store):
    store.get(KEY, make)
    journal_of(store).touch()
    journal_of(store, OTHER).touch()

    assert store.find(KEY) is not None

    assert not journal_of(store).exists()
    assert journal_of(store, OTHER).exists()


def test_what_changed_while_the_model_answered_is_not_stored(store, capfd):
    made = store.get(KEY, make, unchanged=lambda: False)

    assert len(made) == 5
    assert store.find(KEY) is None
    assert "are not stored: the model's files have changed" in capfd.readouterr().err


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(tmp_path, capfd):
    (tmp_path / "file").write_text("")
    store = PredictionStore(tmp_path / "file", Progress())

    assert len(store.get(KEY, make)) == 5
    assert "muscle: predictions are not stored: " in capfd.readouterr().err


def test_a_table_that_cannot_be_written_costs_time_and_nothing_else(store, capfd):
    store.path(KEY).mkdir(parents=True)  # no file can take its place

    assert len(store.get(KEY, make)) == 5
    assert "muscle: predictions are not stored: " in capfd.readouterr().err


RACER = """
    import sys, time
    from pathlib import Path

    from pytest_muscle.predictions import Predictions
    from pytest_muscle.predictions.keys import PredictionKey
    from pytest_muscle.predictions.store import PredictionStore
    from pytest_muscle.progress import SILENT

    root = Path(sys.argv[1])

    def make(facts, journal):
        with (root / "made.txt").open("a") as file:
            file.write("made\\n")
        time.sleep(0.5)
        table = Predictions.from_lists(["a"], [1], [1])
        return Predictions(table.rows, facts=facts)

    (root / f"ready-{sys.argv[2]}").touch()
    while len(list(root.glob("ready-*"))) < 2:
        time.sleep(0.01)
    store = PredictionStore(root / "predictions", SILENT)
    print(store.get(PredictionKey("colours", "old", {"data": "a"}), make).rows)
"""


def test_of_two_processes_one_scores_and_the_other_waits_and_reads(race, tmp_path):
    first, second = race(RACER)

    assert first == second != ""
    assert (tmp_path / "made.txt").read_text() == "made\n"


def test_a_silent_store_says_nothing(tmp_path, capfd):
    store = PredictionStore(tmp_path / "predictions", SILENT)
    store.get(KEY, make)
    store.path(KEY).write_text("")

    store.get(KEY, make)

    assert capfd.readouterr().err == ""


def test_a_look_leaves_the_journal_of_a_process_that_was_killed(store):
    store.get(KEY, make)
    journal = store.directory / f".{KEY.name}.journal"
    journal.touch()
    looking = PredictionStore(store.directory, SILENT, writes=False)
    assert looking.find(KEY) is not None
    assert journal.exists()
    assert looking.begun(KEY) == 0
    assert store.find(KEY) is not None
    assert not journal.exists()
