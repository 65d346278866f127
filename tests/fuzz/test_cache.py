"""A cache that somebody else wrote: notes, stored adapters, adapters' configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_muscle import ModelUpdate, read_settings
from pytest_muscle.cache import DEVICE_NOTES, DIGEST_NOTES, TASK_NOTES
from pytest_muscle.housekeeping import cache_contents
from pytest_muscle.models.placement import Placing
from pytest_muscle.models.spec import adapter_rank, check_adapter
from pytest_muscle.progress import SILENT
from pytest_muscle.settings import RunSettings
from pytest_muscle.training.store import FACTS, AdapterKey, AdapterStore
from tests.fuzz.feeding import feed, look, refused
from tests.fuzz.mutations import corpus, mutated


def test_notes_are_used_or_passed_over(project):
    """They cost time where they are damaged, nothing else."""
    settings = read_settings(project / "muscle.toml", invocation_dir=project)
    before = look(project)
    wanted = ModelUpdate(settings).task("support").digest
    cache = settings.cache

    def check(content: bytes) -> None:
        for name in (DEVICE_NOTES, DIGEST_NOTES, TASK_NOTES):
            (cache / name).write_bytes(content)
        assert ModelUpdate(settings).task("support").digest == wanted
        placing = Placing(RunSettings(device="cpu"), cache / DEVICE_NOTES, SILENT)
        assert placing.expected().device == "cpu"
        assert cache_contents(cache).size > 0
        after = look(project)
        assert {path: after[path] for path in after if cache not in path.parents} == before

    feed("notes", mutated(corpus("notes/*.json")), check)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A stored adapter, as far as its files' names go."""
    path = AdapterStore(tmp_path, SILENT).path(AdapterKey("t", "new", {"made": "of"}))
    path.mkdir()
    (path / "adapter_model.safetensors").touch()
    (path / "adapter_config.json").write_bytes(corpus("adapters/adapter_config.json")[0])
    return path


def test_facts_of_a_stored_adapter_are_read_or_it_is_none(adapter):
    key = AdapterKey("t", "new", {"made": "of"})
    store = AdapterStore(adapter.parent, SILENT)
    sound = corpus("adapters/muscle.json")[0].replace(b"0c9b3b1f", key.fingerprint.encode())
    (adapter / FACTS).write_bytes(sound)
    assert store.find(key).facts["best_step"] == 4

    def check(content: bytes) -> None:
        (adapter / FACTS).write_bytes(content)
        before = look(adapter)
        found = store.find(key)
        assert found is None or found.fingerprint == key.fingerprint == found.facts["fingerprint"]
        assert look(adapter) == before

    feed("facts of adapters", mutated([sound]), check)


def test_an_adapter_s_configuration_is_read_or_refused_with_its_place(adapter):
    assert adapter_rank(adapter) == 8

    def check(content: bytes) -> None:
        (adapter / "adapter_config.json").write_bytes(content)
        before = look(adapter)
        check_adapter(adapter, "adapter", "muscle.toml: new.adapter")
        with refused(str(adapter)):
            rank = adapter_rank(adapter)
            assert rank is None or isinstance(rank, int)
        assert look(adapter) == before

    seeds = corpus("adapters/adapter_config.json")
    feed("configurations of adapters", mutated(seeds), check)
