"""Base models with adapters on them: each task model answers as if it were alone."""

import json

import pytest
import torch
from peft import LilyConfig, LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from pytest_muscle.errors import ModelError
from pytest_muscle.models import LanguageModel, LoglikelihoodRequest
from pytest_muscle.tasks.decoding import Decoding

REQUEST = LoglikelihoodRequest("Question: Which colour has the stone?\nAnswer:", (" red", " blue"))


def plain(network, tokenizer) -> list[float]:
    """The two answers by plain forward passes."""
    start = len(tokenizer.encode(REQUEST.prompt))
    values = []
    for option in REQUEST.continuations:
        tokens = torch.tensor([tokenizer.encode(REQUEST.prompt + option)])
        with torch.no_grad():
            logits = torch.log_softmax(network(tokens).logits[0, :-1], dim=-1)
        values.append(float(logits[start - 1 :].gather(1, tokens[0, start:, None]).sum()))
    return values


def alone(directory, adapter, tokenizer) -> list[float]:
    """The answers of a freshly loaded model with one adapter, or none."""
    network = AutoModelForCausalLM.from_pretrained(directory)
    if adapter is not None:
        network = PeftModel.from_pretrained(network, adapter)
    return plain(network.eval(), tokenizer)


@pytest.fixture(scope="module")
def directory(make_tiny_model, tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model") / "m", 5, initializer_range=0.3)


@pytest.fixture(scope="module")
def adapters(directory, make_tiny_adapter, tmp_path_factory):
    """Two adapters that differ in weights, rank and layers."""
    path = tmp_path_factory.mktemp("adapters")
    return (
        make_tiny_adapter(directory, path / "first", 1),
        make_tiny_adapter(directory, path / "second", 2, r=2, target_modules=["q_proj", "v_proj"]),
    )


@pytest.fixture
def base(directory, base_of):
    return base_of(directory)


def answers(model: LanguageModel) -> tuple[float, ...]:
    (values,) = model.loglikelihoods([REQUEST])
    return values


def test_nothing_is_loaded_before_it_is_used(base, adapters):
    model = LanguageModel(base, adapters[0])

    assert model.describe() == "m + first"
    assert not base.loaded
    answers(model)
    assert base.loaded


def test_adapters_on_one_base_do_not_leak_into_each_other(
    base, directory, adapters, tiny_tokenizer
):
    first, second = adapters
    wanted = {
        adapter: alone(directory, adapter, tiny_tokenizer) for adapter in (None, first, second)
    }
    assert wanted[None] != pytest.approx(wanted[first], abs=0.01)
    assert wanted[second] != pytest.approx(wanted[first], abs=0.01)

    for adapter in (None, first, second, None, first, None, second, second, first):
        found = answers(LanguageModel(base, adapter))
        assert found == pytest.approx(wanted[adapter], abs=1e-4)


def test_the_network_is_the_task_model_s(base, directory, adapters, tiny_tokenizer):
    """A model without an adapter stays so while others put theirs on its base."""
    for adapter in (None, adapters[0], None, adapters[1]):
        network = LanguageModel(base, adapter).network

        assert plain(network, tiny_tokenizer) == pytest.approx(
            alone(directory, adapter, tiny_tokenizer), abs=1e-4
        )
        assert not network.training
        assert not any(weights.requires_grad for weights in network.parameters())


def test_released_weights_are_loaded_again(base, directory, adapters, tiny_tokenizer):
    model = LanguageModel(base, adapters[1])
    before = answers(model)

    base.release()

    assert not base.loaded
    assert answers(model) == pytest.approx(before, abs=1e-6)


def assert_refused(base, adapter, match: str, tokenizer) -> None:
    """The adapter ends in one sentence, and the base answers as before."""
    with pytest.raises(ModelError, match=match):
        answers(LanguageModel(base, adapter))
    assert answers(LanguageModel(base)) == pytest.approx(
        alone(base.spec.path, None, tokenizer), abs=1e-4
    )


@pytest.mark.parametrize("settings", [{"hidden_size": 64}, {"num_hidden_layers": 4}])
@pytest.mark.parametrize("attached", [False, True])
def test_an_adapter_of_another_model_is_refused(
    base, adapters, make_tiny_model, make_tiny_adapter, tmp_path, tiny_tokenizer, settings, attached
):
    """PEFT itself would drop the weights of layers that are not there, and say nothing."""
    if attached:
        answers(LanguageModel(base, adapters[0]))
    other = make_tiny_model(tmp_path / "other", 1, **settings)
    adapter = make_tiny_adapter(other, tmp_path / "adapter", 1)

    assert_refused(base, adapter, "cannot be put on model 'm'", tiny_tokenizer)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_an_adapter_for_fewer_layers_is_refused(
    base, make_tiny_model, make_tiny_adapter, tmp_path, tiny_tokenizer
):
    other = make_tiny_model(tmp_path / "other", 1, num_hidden_layers=1)
    layers = ["q_proj", "v_proj"]
    adapter = make_tiny_adapter(other, tmp_path / "adapter", 1, target_modules=layers)

    assert_refused(base, adapter, "4 weights of the model's layers are not in it", tiny_tokenizer)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_a_half_adapter_is_refused(base, directory, make_tiny_adapter, tmp_path, tiny_tokenizer):
    adapter = make_tiny_adapter(directory, tmp_path / "adapter", 1)
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    save_file({name: weights[name] for name in sorted(weights)[:6]}, file)

    assert_refused(base, adapter, "22 weights of the model's layers are not in it", tiny_tokenizer)


def test_a_corrupt_adapter_is_refused(base, directory, make_tiny_adapter, tmp_path, tiny_tokenizer):
    adapter = make_tiny_adapter(directory, tmp_path / "adapter", 1)
    (adapter / "adapter_model.safetensors").write_bytes(b"no weights")

    assert_refused(base, adapter, "cannot be put on model 'm'", tiny_tokenizer)


def test_a_pickled_adapter_is_refused(base, directory, make_tiny_adapter, tmp_path, tiny_tokenizer):
    adapter = make_tiny_adapter(directory, tmp_path / "adapter", 1)
    weights = load_file(adapter / "adapter_model.safetensors")
    torch.save(weights, adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").unlink()

    assert_refused(base, adapter, "pickles can run code", tiny_tokenizer)


def test_a_prompt_learning_adapter_is_refused(base, directory, tmp_path, tiny_tokenizer):
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    network = AutoModelForCausalLM.from_pretrained(directory)
    get_peft_model(network, config).save_pretrained(tmp_path / "adapter")

    assert_refused(base, tmp_path / "adapter", "add virtual tokens", tiny_tokenizer)


def test_an_adapter_of_an_unknown_kind_is_refused(
    base, directory, make_tiny_adapter, tmp_path, tiny_tokenizer
):
    adapter = make_tiny_adapter(directory, tmp_path / "adapter", 1)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "NEWER"}))

    assert_refused(base, adapter, "cannot be put on model 'm'", tiny_tokenizer)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            LilyConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "v_proj"]),
            "more than one token at a time",
        ),
        (
            LoraConfig(task_type="CAUSAL_LM", alora_invocation_tokens=[29, 58]),
            "begins only after tokens of its own",
        ),
    ],
)
def test_an_adapter_that_looks_at_whole_sequences_is_refused(
    base, directory, tmp_path, tiny_tokenizer, config, message
):
    """Lily weighs its experts by all tokens of a row; in a tree those are more than they should."""
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(directory), config)
    for weights in model.parameters():
        if weights.requires_grad:
            weights.data += torch.randn_like(weights)
    model.save_pretrained(tmp_path / "adapter")

    assert_refused(base, tmp_path / "adapter", message, tiny_tokenizer)


class OnePiece(LlamaForCausalLM):
    """A model that cannot be run without its tokens, so that its head cannot be taken apart."""

    def forward(self, input_ids, attention_mask=None, **inputs: object):
        return super().forward(input_ids, attention_mask, **inputs)


@pytest.mark.filterwarnings("ignore:OnePiece is run")
def test_an_adapter_on_a_model_in_one_piece(base, directory, adapters, tiny_tokenizer, monkeypatch):
    network = OnePiece.from_pretrained(directory).eval()
    monkeypatch.setattr("pytest_muscle.models.language_model.load_network", lambda *_: network)
    wanted = alone(directory, adapters[0], tiny_tokenizer)

    assert answers(LanguageModel(base, adapters[0])) == pytest.approx(wanted, abs=1e-4)


def test_texts_are_those_of_the_model_with_the_adapter(base, directory, adapters, tiny_tokenizer):
    prompt = tuple(tiny_tokenizer.encode(REQUEST.prompt))
    texts = []
    for adapter in (adapters[0], None, adapters[1], adapters[0]):
        network = AutoModelForCausalLM.from_pretrained(directory)
        if adapter is not None:
            network = PeftModel.from_pretrained(network, adapter)
        ids = torch.tensor([prompt])
        output = network.eval().generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=8,
            do_sample=False,
            pad_token_id=1,
        )
        texts.append(tiny_tokenizer.decode(output[0, len(prompt) :], skip_special_tokens=True))

        model = LanguageModel(base, adapter)
        assert model.generate([prompt], Decoding(max_new_tokens=8)) == [(texts[-1],)]
    assert len(set(texts)) == 3


def test_two_models_with_one_seed_draw_independently(tiny_models, base_of):
    base = base_of(tiny_models / "v1")
    prompts = [tuple(base.tokenizer.encode(f"Question: {word}")) for word in ("a", "b", "c", "d")]
    decoding = Decoding(max_new_tokens=8, temperature=1.0, repeats=3, seed=5)
    texts = {
        stream: LanguageModel(base, stream=stream).generate(prompts, decoding)
        for stream in ("old", "new")
    }
    assert texts["old"] != texts["new"]
    assert texts["old"] == LanguageModel(base, stream="old").generate(prompts, decoding)
