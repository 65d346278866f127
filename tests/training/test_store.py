"""Adapters under their fingerprint: found again, whole or not there, made by one process."""

from pathlib import Path

import pytest

from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import TrainingError
from pytest_muscle.progress import SILENT
from pytest_muscle.training.adapters import AdapterShop
from pytest_muscle.training.store import AdapterKey, AdapterStore

KEY = AdapterKey("colours", "compat", {"data": "a", "recipe": {"rank": 4}})


@pytest.fixture
def store(tmp_path):
    return AdapterStore(tmp_path / "adapters", SILENT)


@pytest.fixture
def shop(store, tmp_path):
    return AdapterShop(store, FileDigests(tmp_path / "digests.json"), allowed=True, progress=SILENT)


def make(directory) -> dict[str, object]:
    """Stand in for training."""
    (directory / "adapter_config.json").write_text("{}")
    (directory / "adapter_model.safetensors").write_bytes(b"weights")
    return {"steps": 3}


def refuse(directory) -> dict[str, object]:
    pytest.fail("it was trained again")


def test_an_adapter_is_made_once(shop):
    made = shop.get(KEY, make)
    found = shop.get(KEY, refuse)

    assert (made.origin, found.origin) == ("trained", "stored")
    assert found.path == made.path
    assert found.facts["steps"] == made.facts["steps"] == 3
    assert found.facts["made_of"] == KEY.made_of


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_nothing_and_the_next_run_makes_it(shop, store, error):
    def fail(directory) -> dict[str, object]:
        make(directory)
        raise error

    with pytest.raises(error):
        shop.get(KEY, fail)

    assert [path.name for path in store.directory.iterdir()] == [f".{KEY.name}.lock"]
    assert shop.get(KEY, make).origin == "trained"


def test_what_a_killed_process_left_is_removed(shop, store):
    left = store.directory / f".{KEY.name}.x1y2.part"
    left.mkdir(parents=True)
    another = store.directory / ".colours-new-0123.x1y2.part"
    another.mkdir()

    shop.get(KEY, make)

    assert not left.exists()
    assert another.exists()


@pytest.mark.parametrize("file", ["muscle.json", "adapter_model.safetensors"])
def test_a_directory_with_a_missing_file_is_made_again(shop, file):
    path = shop.get(KEY, make).path
    (path / file).unlink()

    assert shop.get(KEY, make).origin == "trained"
    assert (path / file).is_file()


@pytest.mark.parametrize("facts", ["", "{", '{"fingerprint": "another"}', "[]"])
def test_a_directory_of_another_fingerprint_is_made_again(shop, facts):
    path = shop.get(KEY, make).path
    (path / "muscle.json").write_text(facts)

    assert shop.get(KEY, make).origin == "trained"


def work_of(store) -> Path:
    work = store.work_directory(KEY)
    work.mkdir(parents=True)
    (work / "checkpoint").write_text("")
    return work


def test_checkpoints_stay_until_the_adapter_is_stored(store, shop):
    work = work_of(store)

    def make_and_look(directory: Path) -> dict[str, object]:
        facts = make(directory)
        assert (work / "checkpoint").is_file()
        return facts

    shop.get(KEY, make_and_look)

    assert not any(work.parent.iterdir())


def test_checkpoints_of_what_fails_stay(store, shop):
    work = work_of(store)

    def fail(directory: Path) -> dict[str, object]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.get(KEY, fail)

    assert (work / "checkpoint").is_file()


def test_what_a_kill_left_of_training_after_the_adapter_was_stored_is_removed(store, shop):
    shop.get(KEY, make)
    work = work_of(store)
    aside = work.with_name(f".{work.name}.old")  # was being removed
    (aside / "half").mkdir(parents=True)

    assert shop.find(KEY).origin == "stored"

    assert not any(work.parent.iterdir())


def test_no_training_where_it_is_forbidden(store, shop, tmp_path):
    forbidden = AdapterShop(store, shop.digests, allowed=False, progress=SILENT)

    with pytest.raises(TrainingError) as caught:
        forbidden.get(KEY, refuse)
    assert "--muscle-no-train" in str(caught.value)
    assert str(store.path(KEY)) in str(caught.value)
    assert f"adapters/{KEY.name}" in str(caught.value)
    assert not store.directory.exists()

    shop.get(KEY, make)
    assert forbidden.get(KEY, refuse).origin == "stored"


RACER = """
    import sys, time
    from pathlib import Path

    from pytest_muscle.digests import FileDigests
    from pytest_muscle.progress import SILENT
    from pytest_muscle.training.adapters import AdapterShop
    from pytest_muscle.training.store import AdapterKey, AdapterStore

    root = Path(sys.argv[1])
    key = AdapterKey("colours", "compat", {"data": "a"})

    def make(directory):
        with (root / "made.txt").open("a") as file:
            file.write("made\\n")
        time.sleep(0.5)
        (directory / "adapter_model.safetensors").write_bytes(b"weights")
        return {}

    (root / f"ready-{sys.argv[2]}").touch()
    while len(list(root.glob("ready-*"))) < 2:
        time.sleep(0.01)
    shop = AdapterShop(
        AdapterStore(root / "adapters", SILENT), FileDigests(root / "d.json"), True, SILENT
    )
    print(shop.get(key, make).origin)
"""


def test_of_two_processes_one_trains_and_the_other_waits(race, tmp_path):
    origins = sorted(race(RACER))

    assert origins == ["stored", "trained"]
    assert (tmp_path / "made.txt").read_text() == "made\n"
