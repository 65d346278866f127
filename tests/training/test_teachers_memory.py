"""Teachers read in batches that fit into memory, and write what fits on the disk."""

from collections import namedtuple
from dataclasses import replace

import pytest
import torch

from pytest_muscle.errors import TrainingError
from pytest_muscle.models import LanguageModel
from pytest_muscle.models.layouts import LAYOUTS, PLAIN
from pytest_muscle.training import teachers
from tests.training.teaching import SEQUENCES, record

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
]


def limit(base, most_rows: int, error: Exception) -> list[int]:
    """Let the decoder run out of memory above so many rows; return the sizes it was given."""
    sizes = []
    _ = base.engine
    forward = base.network.model.forward

    def limited(input_ids, **options: object) -> object:
        if input_ids.any():  # else it is only asked how wide its states are
            sizes.append(len(input_ids))
            if len(input_ids) > most_rows:
                raise error
        return forward(input_ids=input_ids, **options)

    base.network.model.forward = limited
    return sizes


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_batch_is_halved_until_it_fits_into_memory(
    save_model, base_of, sequences, tmp_path, monkeypatch, error
):
    monkeypatch.setattr(teachers, "ROW", 1)  # a row for each sequence
    path, _ = save_model("llama")
    wanted = record(LanguageModel(base_of(path)), sequences, tmp_path / "w.states").states
    base = base_of(path)
    sizes = limit(base, 2, error)

    found = record(LanguageModel(base), sequences, tmp_path / "t.states").states

    assert sizes[0] == len(SEQUENCES)
    assert sum(size for size in sizes if size <= 2) == len(SEQUENCES)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_row_that_does_not_fit_into_memory_is_an_error(
    save_model, base_of, sequences, tmp_path, error
):
    base = base_of(save_model("llama")[0])
    limit(base, 0, error)

    with pytest.raises(TrainingError, match=r"out of memory while a teacher reads \d+ tokens"):
        record(LanguageModel(base), sequences, tmp_path / "t.states")


def test_any_other_error_is_not_taken_for_memory(save_model, base_of, sequences, tmp_path):
    base = base_of(save_model("llama")[0])
    limit(base, 0, RuntimeError("a bug"))

    with pytest.raises(RuntimeError, match="a bug"):
        record(LanguageModel(base), sequences, tmp_path / "t.states")


def test_a_full_disk_is_an_error_before_anything_is_written(
    save_model, base_of, sequences, tmp_path, monkeypatch
):
    """A mapped file would end the process, without a word."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 10**9 - 10**3, 10**3))
    base = base_of(save_model("llama")[0])

    with pytest.raises(TrainingError, match=r"hidden states take 0\.0 GB, and 0\.0 GB are free"):
        record(LanguageModel(base), sequences, tmp_path / "t.states")
    assert not (tmp_path / "t.states").exists()


@pytest.mark.filterwarnings("ignore:.* is run as")
@pytest.mark.parametrize("name", ["llama", "mistral", "bloom"])
def test_batches_keep_to_the_budget(save_model, base_of, sequences, name):
    engine = base_of(save_model(name)[0]).engine

    for budget in (1, 25, 40):
        batches = list(teachers._batches(engine, sequences, budget))

        told = [each["first"] for _, batch in batches for row in batch for each in row]
        assert sorted(told) == [each["first"] for each in sequences]
        for layout, batch in batches:
            sizes = [sum(len(each["input_ids"]) - 1 for each in row) for row in batch]
            assert len(batch) == 1 or len(batch) * max(sizes) <= budget
            if layout is not LAYOUTS[0]:
                assert all(len(row) == 1 for row in batch)


@pytest.mark.parametrize("layout", [LAYOUTS[0], PLAIN])
def test_short_and_long_sequences_are_never_in_one_batch(save_model, base_of, sequences, layout):
    """Beyond 16 tokens the positions of the whole batch are scaled."""
    engine = replace(base_of(save_model("longrope")[0]).engine, layout=layout)

    batches = list(teachers._batches(engine, sequences, 10**9))

    sides = [
        {len(each["input_ids"]) - 1 > 16 for row in rows for each in row} for _, rows in batches
    ]
    assert sorted(sides, key=max) == [{False}, {True}]
