"""How much the cache holds; clearing it takes what is ours and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_muscle.cache import CacheKey, sole_maker
from pytest_muscle.housekeeping import CacheContents, cache_contents, clear_cache
from pytest_muscle.notebook import Notebook
from pytest_muscle.predictions import Predictions
from pytest_muscle.predictions.keys import PredictionKey
from pytest_muscle.predictions.store import PredictionStore
from pytest_muscle.progress import SILENT
from pytest_muscle.training.store import AdapterKey, AdapterStore

ADAPTER = AdapterKey("colours", "old", {"data": "a"})
TABLE = PredictionKey("many colours", "compat", {"data": "a"})

DEFINITION = CacheKey("arc_easy", "eval", {"data": "a"})

UNFINISHED = PredictionKey("colours", "new", {"data": "a"})


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with one adapter, one table of predictions and a note, and what a kill left."""
    cache = tmp_path / "cache"
    adapters = AdapterStore(cache / "adapters", SILENT)
    facts: dict[str, object] = {}
    with adapters.lock(ADAPTER), adapters.new(ADAPTER, facts) as directory:
        (directory / "adapter_model.safetensors").write_bytes(bytes(5000))
    work = adapters.work_directory(ADAPTER)
    work.mkdir(parents=True)
    (work / "checkpoint").write_bytes(bytes(700))
    (cache / "adapters" / f".{ADAPTER.name}.0123.part").mkdir()
    (cache / "predictions").mkdir()
    (cache / "predictions" / f".{UNFINISHED.name}.journal").write_bytes(bytes(300))
    PredictionStore(cache / "predictions", SILENT).get(
        TABLE,
        lambda facts, _: Predictions(Predictions.from_lists([1], [1], [1]).rows, facts=facts),
    )
    with sole_maker(cache / "definitions", DEFINITION, SILENT, doing="reads"):
        (cache / "definitions" / f"{DEFINITION.name}.jsonl").write_text("{}\n")
    Notebook(cache / "digests.json", lambda _: True).write({"a": "b"})
    return cache


def total(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_a_cache_holds(cache):
    assert cache_contents(cache) == CacheContents(1, 1, total(cache))


def test_no_cache_holds_nothing(tmp_path):
    assert cache_contents(tmp_path / "nowhere") == clear_cache(tmp_path / "nowhere")
    assert cache_contents(tmp_path / "nowhere") == CacheContents(0, 0, 0)


def test_clearing_takes_everything_of_ours(cache):
    held = cache_contents(cache)

    assert clear_cache(cache) == held
    assert not cache.exists()


def test_clearing_leaves_what_is_not_ours(cache):
    others = [
        cache / "notes.txt",
        cache / "adapters" / "my-adapter" / "adapter_model.safetensors",
        cache / "predictions" / "baseline.jsonl",
        cache / "more" / "digests.json",
    ]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.touch()

    clear_cache(cache)

    assert sorted(path for path in cache.rglob("*") if path.is_file()) == sorted(others)


def test_clearing_leaves_what_another_process_is_making(cache):
    with sole_maker(cache / "adapters", ADAPTER, SILENT, doing="trains"):
        removed = clear_cache(cache)

    assert (removed.adapters, removed.tables, removed.in_use) == (0, 1, 1)
    assert AdapterStore(cache / "adapters", SILENT).find(ADAPTER) is not None
    assert removed.describe().endswith("; 1 in use by another process")


def test_clearing_takes_a_link_and_not_what_it_leads_to(tmp_path):
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / CacheKey("a", "old", {}).name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()

    clear_cache(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (CacheContents(0, 0, 0), "0 adapters, 0 tables of predictions, 0 bytes"),
        (CacheContents(1, 1, 999), "1 adapter, 1 table of predictions, 999 bytes"),
        (CacheContents(3, 6, 1_234_000), "3 adapters, 6 tables of predictions, 1.2 MB"),
        (CacheContents(2, 2, 2_500_000_000_000), "2 adapters, 2 tables of predictions, 2500.0 GB"),
    ],
)
def test_in_words(contents, words):
    assert contents.describe() == words
