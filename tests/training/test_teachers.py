"""Teachers are run once: what is kept of them is what plain forward passes give."""

import gc
import weakref

import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM

from pytest_muscle.models import LanguageModel
from pytest_muscle.training import teachers
from tests.training.teaching import SEQUENCES, record


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


def test_places_go_on_from_sequence_to_sequence(sequences):
    assert [sequence["first"] for sequence in sequences[:4]] == [0, 5, 7, 26]
