"""Digests: equal for equal values, and large files read once."""

from __future__ import annotations

import datetime
import decimal
import hashlib
import json
import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_muscle import digests
from pytest_muscle.digests import (
    FileDigests,
    ListDigest,
    canonical_json,
    digest_file,
    digest_json,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def turned(value: object) -> object:
    """The same value with the keys of every mapping in the other order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def test_canonical_json_has_sorted_keys_and_no_white_space():
    assert canonical_json({"b": [1, 2.5, None], "a": {"ä": True}}) == (
        '{"a":{"ä":true},"b":[1,2.5,null]}'
    )


@given(value=values)
def test_the_order_of_keys_does_not_matter(value):
    assert canonical_json(value) == canonical_json(turned(value))
    assert digest_json(value) == digest_json(turned(value))


def test_tuples_are_lists():
    assert canonical_json((1, (2,))) == "[1,[2]]"


def test_different_values_have_different_digests():
    different = [None, "None", 0, False, "0", [], {}, "", [0], [[0]], {"a": 0}, float("nan")]
    assert len({digest_json(value) for value in different}) == len(different)


def test_what_json_does_not_know_goes_in_as_its_text():
    assert canonical_json([datetime.date(2026, 1, 2), decimal.Decimal("1.50")]) == (
        '["2026-01-02","1.50"]'
    )


@given(value=values | st.dictionaries(st.integers() | st.none() | st.booleans(), values))
def test_canonical_json_is_that_of_values_made_plain_one_by_one(value):
    def plain(item: Any) -> Any:
        if isinstance(item, float) and item in (math.inf, -math.inf):
            return "inf" if item > 0 else "-inf"
        if isinstance(item, dict):
            return {str(key): plain(each) for key, each in item.items()}
        if isinstance(item, list):
            return [plain(each) for each in item]
        return "nan" if item != item else item

    expected = json.dumps(plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert canonical_json(value) == expected
    assert canonical_json((value, value)) == f"[{expected},{expected}]"


@given(head=st.lists(values, max_size=3), items=st.lists(values, max_size=4))
def test_a_list_is_digested_item_by_item(head, items):
    digest = ListDigest(*head)
    for number, item in enumerate(items):
        assert digest.hexdigest() == digest_json([*head, items[:number]])
        digest.add(item)
    assert digest.hexdigest() == digest_json([*head, items])


def test_a_digest_is_the_sha256_of_the_canonical_json():
    assert digest_json({"b": 1, "a": "ä"}) == hashlib.sha256('{"a":"ä","b":1}'.encode()).hexdigest()
    assert len(digest_json("\ud83d")) == 64


def test_a_file_s_digest_is_that_of_its_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    # sha256sum of "abc", FIPS 180-4
    assert digest_file(tmp_path / "x") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


# --- large files


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"old weights")
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read, one by one."""
    names: list[str] = []

    def counting(path: Path) -> str:
        names.append(path.name)
        return digest_file(path)

    monkeypatch.setattr(digests, "digest_file", counting)
    return names


def digest(model: Path, store: Path) -> str:
    return FileDigests(store).of(model.iterdir(), model)


def test_a_file_that_has_not_changed_is_read_once(model, tmp_path, reads):
    store = tmp_path / "cache" / "digests.json"
    first = digest(model, store)
    assert sorted(reads) == ["config.json", "model.safetensors"]
    assert digest(model, store) == first
    assert len(reads) == 2


def test_a_file_that_has_changed_is_read_again_alone(model, tmp_path, reads):
    store = tmp_path / "digests.json"
    first = digest(model, store)
    reads.clear()
    (model / "model.safetensors").write_bytes(b"new weights, more of them")
    assert digest(model, store) != first
    assert reads == ["model.safetensors"]


def test_another_file_of_the_same_size_and_time_is_read_again(model, tmp_path, reads):
    """As `cp -p` or an archive without times brings it: two versions have files of one size."""
    store = tmp_path / "digests.json"
    weights = model / "model.safetensors"
    os.utime(weights, (1, 1))
    first = digest(model, store)
    reads.clear()
    copy = tmp_path / "copy"
    copy.write_bytes(b"new weights")
    os.utime(copy, (1, 1))
    os.replace(copy, weights)
    assert digest(model, store) != first
    assert reads == ["model.safetensors"]


def test_the_store_does_not_grow_with_every_change(model, tmp_path):
    store = tmp_path / "digests.json"
    digest(model, store)
    size = store.stat().st_size
    for number in range(5):
        (model / "config.json").write_text("x" * number)
        digest(model, store)
    assert store.stat().st_size < size + 20


def test_a_digest_depends_on_names_not_on_the_place_or_the_order(model, tmp_path):
    store = FileDigests(tmp_path / "digests.json")
    files = sorted(model.iterdir())
    expected = store.of(files, model)
    assert store.of(reversed(files), model) == expected
    moved = model.rename(tmp_path / "moved")
    assert store.of(moved.iterdir(), moved) == expected
    (moved / "config.json").rename(moved / "other.json")
    assert store.of(moved.iterdir(), moved) != expected


def test_a_file_written_again_at_once_is_read_again(model, tmp_path, monkeypatch):
    """Many file systems' clocks tick every few milliseconds: two writes may share a time."""
    real = Path.stat

    def coarse(path: Path, **options: bool) -> SimpleNamespace:
        stat = real(path, **options)
        values = {name: getattr(stat, name) for name in dir(stat) if name.startswith("st_")}
        for name in ("st_mtime_ns", "st_ctime_ns"):
            values[name] -= values[name] % 10_000_000
        return SimpleNamespace(**values)

    monkeypatch.setattr(Path, "stat", coarse)
    store = tmp_path / "digests.json"
    found = set()
    for number in range(20):
        (model / "model.safetensors").write_bytes(f"{number:08}".encode())
        found.add(digest(model, store))
    assert len(found) == 20


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"7", None])
def test_a_damaged_store_costs_time_and_nothing_else(model, tmp_path, reads, content):
    store = tmp_path / "digests.json"
    expected = digest(model, store)
    if content is None:  # JSON, but no digests
        known = store.read_text()
        content = known.replace('"', "", 0).replace(known.split('": "')[1][:64], "5" * 3).encode()
    store.write_bytes(content)
    assert digest(model, store) == expected
    reads.clear()
    assert digest(model, store) == expected
    assert reads == []


def test_a_store_that_cannot_be_written_costs_time_and_nothing_else(model, tmp_path, reads):
    (tmp_path / "file").write_text("")
    store = tmp_path / "file" / "digests.json"
    assert digest(model, store) == digest(model, store)
    assert len(reads) == 4
