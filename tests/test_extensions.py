"""A plugin's name and the function it stands for are the same thing to all that follows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from pytest_muscle import extensions
from pytest_muscle.digests import FileDigests
from pytest_muscle.extensions import Added, Extensions
from pytest_muscle.settings import CompatSettings
from pytest_muscle.tasks.memory import DigestMemory
from pytest_muscle.tasks.metrics import find_choice_metric
from pytest_muscle.tasks.text_metrics import find_text_metric
from pytest_muscle.training.keys import compat_key

MODEL = {"base": {"files": "aa"}, "adapter": {"files": "bb"}}


@pytest.fixture
def use() -> Iterator[Callable[..., None]]:
    """A function that adds names of each kind, for this test."""
    ends = []

    def add(**kinds: dict[str, str]) -> None:
        named = {
            kind: {name: Added(reference, "acme") for name, reference in names.items()}
            for kind, names in kinds.items()
        }
        ends.append(extensions.use(Extensions(**named)))

    yield add
    for end in ends:
        end()


@pytest.fixture
def theirs(tmp_path, monkeypatch) -> None:
    source = "def judge(*arguments): return 1\n"
    for name in ("their_judges", "their_other_judges"):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)  # another test's
    monkeypatch.syspath_prepend(str(tmp_path))


def test_both_kinds_of_metric_are_found(use, theirs):
    use(metrics={"judge": "their_judges:judge"})
    assert find_choice_metric("judge")([0.0, 0.0], ["a", "b"]) == 1
    assert find_text_metric("judge")("a", "b", {}) == 1


def test_a_task_is_the_same_by_either_name(use, theirs, colour_task):
    use(metrics={"judge": "their_judges:judge"})
    by_name, by_function = (colour_task(metric=name) for name in ("judge", "their_judges:judge"))
    assert by_name.metric == by_function.metric == "their_judges:judge"
    assert by_name.digest == by_function.digest
    assert colour_task(metric="acc_norm").metric == "acc_norm"


def test_a_digest_is_not_remembered_for_what_a_name_stood_for_before(
    use, theirs, colour_task, tmp_path
):
    def digest() -> str:
        memory = DigestMemory(tmp_path / "tasks.json", FileDigests(tmp_path / "files.json"))
        return replace(colour_task(metric="judge"), memory=memory).digest

    use(metrics={"judge": "their_judges:judge"})
    before = digest()
    assert digest() == before
    use(metrics={"judge": "their_other_judges:judge"})
    assert digest() == colour_task(metric="their_other_judges:judge").digest != before


def test_an_adapter_is_the_same_by_either_name_and_another_by_another_source(
    use, theirs, colour_task, tmp_path
):
    use(objectives={"theirs": "their_judges:judge"})

    def fingerprint(strategy: str) -> str:
        recipe = CompatSettings(strategy=strategy)
        return compat_key(colour_task(), MODEL, MODEL, recipe).fingerprint

    before = fingerprint("theirs")
    assert fingerprint("their_judges:judge") == before != fingerprint("muscle")
    path = tmp_path / "their_judges.py"
    path.write_text(path.read_text() + "HELPER = 1\n")
    assert fingerprint("theirs") != before
