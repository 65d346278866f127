"""Teachers are run once: what is kept of them is what plain forward passes give."""

import gc
import json
import os
import weakref
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM

from pytest_muscle.errors import TrainingError
from pytest_muscle.models import LanguageModel
from pytest_muscle.models.layouts import LAYOUTS, PLAIN
from pytest_muscle.progress import SILENT, Progress
from pytest_muscle.training import teachers
from pytest_muscle.training.teachers import (
    ProjectedTeachers,
    Teacher,
    number_places,
    record_teacher,
)

SEQUENCES = [
    [5, 9, 30, 41, 7, 12],
    [8, 3, 77],
    [60, 61, 62, 63, 4, 4, 9, 90, 33, 2, 1, 17, 18, 19, 20, 21, 22, 23, 24, 25],
    [5, 9, 30, 96, 95],
    [20, 21],
    [5, 9, 30, 41, 7, 12],
    [14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14],
    [8, 3],
    [60, 61, 62, 63, 4, 4, 9, 90, 33, 2, 1, 17, 18, 19, 20, 21],
]


@pytest.fixture
def sequences() -> list[dict[str, object]]:
    numbered = [{"input_ids": tokens} for tokens in SEQUENCES]
    assert number_places(numbered) == sum(len(tokens) - 1 for tokens in SEQUENCES)
    return numbered


@pytest.fixture
def save_model(make_network, tiny_tokenizer, tmp_path):
    """A function that saves a network of a kind, with an adapter of random weights or none."""

    def save(name: str, *, adapter=None, **settings: object) -> tuple[Path, Path | None]:
        network = make_network(name, **settings)
        network.save_pretrained(tmp_path / name)
        tiny_tokenizer.save_pretrained(tmp_path / name)
        if adapter is None:
            return tmp_path / name, None
        model = get_peft_model(network, adapter)
        for weights in model.parameters():
            if weights.requires_grad:
                weights.data += 0.2 * torch.randn_like(weights)
        model.save_pretrained(tmp_path / "adapter")
        return tmp_path / name, tmp_path / "adapter"

    return save


def record(model: LanguageModel, sequences, file, progress: Progress = SILENT) -> Teacher:
    return record_teacher(model, sequences, file, progress=progress, description="teaching")


def plain_states(network, tokens: list[int]) -> torch.Tensor:
    """Last hidden states of all tokens but the last, which predict the others."""
    with torch.no_grad():
        output = network(torch.tensor([tokens[:-1]]), output_hidden_states=True, use_cache=False)
    return output.hidden_states[-1][0]


def plain_logits(network, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return network(torch.tensor([tokens[:-1]]), use_cache=False).logits[0]


def places_of(sequence) -> torch.Tensor:
    return torch.arange(sequence["first"], sequence["first"] + len(sequence["input_ids"]) - 1)


@pytest.mark.filterwarnings("ignore:.* is run as")
@pytest.mark.parametrize(
    "name", ["llama", "gpt2", "gemma2", "mistral", "longrope", "gpt_neo", "bloom", "mamba"]
)
@pytest.mark.parametrize("budget", [1, 30, 10**9])
def test_a_teacher_says_what_plain_forward_passes_say(
    save_model, base_of, sequences, tmp_path, monkeypatch, name, budget
):
    """Some sequences are longer than the windows of some models, some are not."""
    monkeypatch.setattr(teachers, "token_budget", lambda _: budget)
    path, _ = save_model(name)
    network = AutoModelForCausalLM.from_pretrained(path).eval()

    teacher = record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states")

    assert teacher.vocabulary == 97
    for sequence in sequences:
        logits = teacher.logits(places_of(sequence))
        wanted = plain_logits(network, sequence["input_ids"])
        torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)


def test_states_are_kept_one_per_token_that_predicts_another(
    save_model, base_of, sequences, tmp_path
):
    path, _ = save_model("llama")
    network = AutoModelForCausalLM.from_pretrained(path).eval()

    teacher = record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states")

    wanted = torch.cat([plain_states(network, tokens) for tokens in SEQUENCES])
    torch.testing.assert_close(teacher.states, wanted, rtol=1e-4, atol=1e-4)
    assert (tmp_path / "t.states").stat().st_size == 4 * wanted.numel()


def test_an_adapter_teaches_with_its_base(save_model, base_of, sequences, tmp_path):
    path, adapter = save_model("llama", adapter=LoraConfig(target_modules=["q_proj", "v_proj"]))
    base = base_of(path)
    network = base.activate(adapter)
    wanted = [plain_logits(network, tokens) for tokens in SEQUENCES]
    base.activate(None)

    teacher = record(LanguageModel(base, adapter), sequences, tmp_path / "t.states")

    for sequence, logits in zip(sequences, wanted, strict=True):
        found = teacher.logits(places_of(sequence))
        torch.testing.assert_close(found, logits, rtol=1e-4, atol=1e-4)


def test_half_precision_is_kept_as_it_is(save_model, base_of, sequences, tmp_path):
    path, _ = save_model("llama")
    base = base_of(path, dtype=torch.bfloat16)

    teacher = record(LanguageModel(base), sequences, tmp_path / "t.states")

    assert teacher.states.dtype == torch.bfloat16
    wanted = torch.cat([plain_states(base.network, tokens) for tokens in SEQUENCES])
    difference = (teacher.states.float() - wanted.float()).norm()
    assert difference < 0.02 * wanted.float().norm()


def test_teachers_do_not_drop_out(save_model, base_of, sequences, tmp_path):
    """Not even those on a base that was trained a moment ago."""
    dropping = {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5}
    config = LoraConfig(target_modules=["c_attn"], fan_in_fan_out=True, lora_dropout=0.5)
    path, adapter = save_model("gpt2", adapter=config, **dropping)
    base = base_of(path)
    base.activate(adapter).train()

    for name, chosen in (("base", None), ("adapter", adapter)):
        teacher = record(LanguageModel(base, chosen), sequences, tmp_path / f"{name}.states")

        network = base.activate(chosen)
        assert not any(module.training for module in network.modules())
        for sequence in sequences:
            wanted = plain_logits(network, sequence["input_ids"])
            found = teacher.logits(places_of(sequence))
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


class Stop(Progress):
    """Ctrl-C after some sequences."""

    def bar(self, total, description, unit) -> object:
        bar = super().bar(total, description, unit)

        def interrupt(_: int) -> None:
            raise KeyboardInterrupt

        bar.update = interrupt
        return bar


@pytest.fixture
def runs(monkeypatch) -> list[int]:
    """How many batches teachers have run."""
    counted = []
    written = teachers._record

    def count(*args: object) -> None:
        counted.append(1)
        written(*args)

    monkeypatch.setattr(teachers, "_record", count)
    return counted


def test_states_that_are_complete_are_taken_as_they_are(
    save_model, base_of, sequences, tmp_path, runs
):
    path, _ = save_model("llama")
    first = record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states")
    wanted = first.states.clone()
    done = len(runs)

    again = record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states")

    assert len(runs) == done > 0
    assert torch.equal(again.states, wanted)
    places = torch.arange(5)
    torch.testing.assert_close(again.logits(places), first.logits(places))


def spoil_mark(directory) -> None:
    (directory / "t.json").write_text('{"tok')


def lose_mark(directory) -> None:
    (directory / "t.json").unlink()


def other_type(directory) -> None:
    about = json.loads((directory / "t.json").read_text())
    (directory / "t.json").write_text(json.dumps(about | {"dtype": "torch.bfloat16"}))


def lose_states(directory) -> None:
    (directory / "t.states").unlink()


def cut_states(directory) -> None:
    os.truncate(directory / "t.states", 64)


def link_states(directory) -> None:
    (directory / "t.states").replace(directory / "elsewhere")
    (directory / "t.states").symlink_to("elsewhere")


@pytest.mark.parametrize(
    "spoil", [spoil_mark, lose_mark, other_type, lose_states, cut_states, link_states]
)
def test_states_that_are_not_complete_are_made_again(
    save_model, base_of, sequences, tmp_path, monkeypatch, spoil
):
    """Also where the second try is interrupted too."""
    monkeypatch.setattr(teachers, "token_budget", lambda _: 1)
    monkeypatch.setattr(teachers, "ROW", 1)  # sequence by sequence
    path, _ = save_model("llama")
    wanted = record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states").states.clone()
    if (tmp_path / "t.states").exists():
        (tmp_path / "t.states").write_bytes(b"\1" * 4 * wanted.numel())
    spoil(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states", Stop(enabled=False))

    found = record(LanguageModel(base_of(path)), sequences, tmp_path / "t.states").states

    assert torch.equal(found, wanted)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(target_modules=["q_proj", "lm_head"]),
        LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"]),
    ],
)
def test_training_does_not_change_a_teacher_s_head(
    save_model, base_of, sequences, tmp_path, config
):
    path, adapter = save_model("llama", adapter=config)
    base = base_of(path)
    teacher = record(LanguageModel(base, adapter), sequences, tmp_path / "t.states")
    places = torch.arange(9)
    wanted = teacher.logits(places).clone()

    model = base.activate(adapter)
    model.load_adapter(str(adapter), "default", is_trainable=True)
    model.set_adapter("default")
    model.train()
    for weights in model.parameters():
        if weights.requires_grad:
            weights.data += 1.0

    torch.testing.assert_close(teacher.logits(places), wanted)
    assert not torch.allclose(base.engine.parts.head()(teacher.states[:9]), wanted, atol=0.1)
    assert not any(weights.requires_grad for weights in teacher.head.parameters())


def test_a_plain_head_is_not_copied(save_model, base_of, sequences, tmp_path):
    path, adapter = save_model("llama", adapter=LoraConfig(target_modules=["q_proj"]))
    base = base_of(path)

    teacher = record(LanguageModel(base, adapter), sequences, tmp_path / "t.states")

    (weights,) = teacher.head.parameters()
    assert weights is base.network.lm_head.weight


def test_a_teacher_outlives_its_base(save_model, base_of, sequences, tmp_path):
    path, adapter = save_model("llama", adapter=LoraConfig(target_modules=["q_proj"]))
    base = base_of(path)
    teacher = record(LanguageModel(base, adapter), sequences, tmp_path / "t.states")
    places = torch.arange(9)
    wanted = teacher.logits(places)
    layers = [weakref.ref(module) for module in base.network.model.modules()]

    base.release()
    gc.collect()

    assert not any(layer() is not None for layer in layers)
    torch.testing.assert_close(teacher.logits(places), wanted)


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


@pytest.fixture
def two() -> tuple[Teacher, Teacher]:
    """An old and a new teacher of 20 tokens, with different widths and vocabularies."""
    torch.manual_seed(0)
    made = []
    for width, vocabulary in ((4, 30), (6, 33)):
        head = nn.Linear(width, vocabulary)
        states = torch.randn(20, width)
        made.append(Teacher(states, head, torch.device("cpu"), vocabulary))
    old, new = made
    return old, new


PLACES = torch.tensor([3, 17, 0, 3, 9])


def test_both_teachers_at_some_places(two):
    old, new = two
    projected = ProjectedTeachers(old, new, PLACES, 30)

    torch.testing.assert_close(projected.old, old.head(old.states[PLACES]))
    torch.testing.assert_close(projected.new, new.head(new.states[PLACES])[:, :30])
    assert not projected.old.requires_grad
    assert not projected.new.requires_grad


@pytest.mark.parametrize("mask", [0b00000, 0b11111, 0b10110, 0b00001])
def test_one_of_the_teachers_at_each_place(two, mask):
    old, new = two
    from_old = torch.tensor([bool(mask >> n & 1) for n in range(5)])
    whole = ProjectedTeachers(old, new, PLACES, 30)

    chosen = ProjectedTeachers(old, new, PLACES, 30).choose(from_old)

    wanted = torch.where(from_old[:, None], whole.old, whole.new)
    torch.testing.assert_close(chosen, wanted)
    assert not chosen.requires_grad


def test_what_nobody_asks_for_is_not_projected(two):
    old, new = two
    rows = {"old": [], "new": []}
    for name, teacher in (("old", old), ("new", new)):
        teacher.head.register_forward_hook(
            lambda _, inputs, __, name=name: rows[name].append(len(inputs[0]))
        )

    ProjectedTeachers(old, new, PLACES, 30).choose(torch.tensor([True, False, True, True, False]))
    assert rows == {"old": [3], "new": [2]}
    projected = ProjectedTeachers(old, new, PLACES, 30)
    assert projected.new is projected.new
    assert rows == {"old": [3], "new": [2, 5]}


def test_places_go_on_from_sequence_to_sequence(sequences):
    assert [sequence["first"] for sequence in sequences[:4]] == [0, 5, 7, 26]
