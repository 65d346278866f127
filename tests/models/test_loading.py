"""Models load from safetensors and GGUF; what does not load ends in one sentence."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig

from pytest_muscle.errors import ModelError
from pytest_muscle.models import ModelSpec
from pytest_muscle.models.loading import load_config, load_network, load_tokenizer

CPU = torch.device("cpu")
WHERE = "muscle.toml: old.model"


@pytest.fixture
def spec(tiny_models, tmp_path):
    """A model directory of this test's own."""
    path = shutil.copytree(tiny_models / "v1", tmp_path / "model")
    return ModelSpec(name="model", kind="directory", path=path, where=WHERE)


def load(spec: ModelSpec) -> torch.nn.Module:
    return load_network(spec, CPU, torch.float32)


def error_of(load, *arguments: object) -> str:
    """Return the message; it names the key of muscle.toml."""
    with pytest.raises(ModelError) as caught:
        load(*arguments)
    assert str(caught.value).startswith(f"{WHERE}: ")
    return str(caught.value)


def test_the_weights_of_a_directory(spec):
    network = load(spec)

    stored = load_file(spec.path / "model.safetensors")
    for name, weights in network.state_dict().items():
        assert torch.equal(weights, stored[name])
    assert not network.training
    assert not any(weights.requires_grad for weights in network.parameters())


def test_the_configuration_alone(spec):
    config = load_config(spec)

    found, wanted = config.to_dict(), load(spec).config.to_dict()
    assert str(wanted.pop("dtype")).endswith(str(found.pop("dtype")))
    assert found == wanted


def test_a_configuration_that_is_not_there(spec):
    (spec.path / "config.json").unlink()

    assert "the model 'model' cannot be loaded" in error_of(load_config, spec)


def test_the_floating_point_type(spec):
    network = load_network(spec, CPU, torch.bfloat16)

    assert {weights.dtype for weights in network.parameters()} == {torch.bfloat16}


def test_the_model_s_tokenizer_and_another(spec, tmp_path, make_tiny_model):
    other = make_tiny_model(tmp_path / "other", 1)
    settings = json.loads((other / "tokenizer_config.json").read_text())
    (other / "tokenizer_config.json").write_text(json.dumps(settings | {"bos_token": "</s>"}))
    with_other = ModelSpec(
        name="model", kind="directory", path=spec.path, tokenizer=str(other), where=WHERE
    )

    assert load_tokenizer(spec).bos_token == "<s>"
    assert load_tokenizer(with_other).bos_token == "</s>"


def test_pickles_are_refused(spec):
    (spec.path / "model.safetensors").unlink()
    torch.save({}, spec.path / "pytorch_model.bin")

    message = error_of(load, spec)

    assert "has only pickled weights (pytorch_model.bin)" in message
    assert "pickles can run code" in message


def test_an_adapter_that_passes_for_a_model_is_refused(spec):
    """The model that it names would be loaded, whatever weights stand beside it."""
    (spec.path / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/model"}')

    message = error_of(load, spec)

    assert "has an adapter_config.json, so it is an adapter, not a whole model" in message


def test_a_tokenizer_of_the_hub_is_loaded_at_the_commit_that_the_facts_name(spec, monkeypatch):
    asked = []
    load_local = AutoTokenizer.from_pretrained

    def load_hub(pretrained_model_name_or_path: str, *, revision: str, **_: object) -> object:
        asked.append((pretrained_model_name_or_path, revision))
        return load_local(spec.path)

    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download", lambda _, file, revision: f"/snapshots/77aa/{file}"
    )
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", load_hub)

    load_tokenizer(replace(spec, tokenizer="someone/tokenizer"))

    assert asked == [("someone/tokenizer", "77aa")]


def test_a_directory_without_weights(spec):
    (spec.path / "model.safetensors").unlink()

    assert "has no *.safetensors file" in error_of(load, spec)


def test_a_directory_that_is_not_there(tmp_path):
    spec = ModelSpec(name="gone", kind="directory", path=tmp_path / "gone", where=WHERE)

    assert "has no *.safetensors file" in error_of(load, spec)
    assert "the tokenizer 'gone' cannot be loaded" in error_of(load_tokenizer, spec)


def test_weights_that_are_not_whole(spec):
    """Transformers would make up the missing layers at random and only warn."""
    file = spec.path / "model.safetensors"
    weights = load_file(file)
    lost = [name for name in weights if ".1.mlp." in name]
    save_file(
        {name: value for name, value in weights.items() if name not in lost},
        file,
        metadata={"format": "pt"},
    )

    message = error_of(load, spec)

    assert "lacks 3 of its weights (first: model.layers.1.mlp.down_proj.weight)" in message


def test_a_missing_shard(spec):
    file = spec.path / "model.safetensors"
    names = list(load_file(file))
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "model-00001-of-00002.safetensors")}
    index["weight_map"][names[0]] = "model-00002-of-00002.safetensors"
    (spec.path / "model.safetensors.index.json").write_text(json.dumps(index))
    file.rename(spec.path / "model-00001-of-00002.safetensors")

    assert "the model 'model' cannot be loaded" in error_of(load, spec)


@pytest.mark.parametrize("length", [0, 100, 5000])
def test_weights_cut_off(spec, length):
    file = spec.path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:length])

    assert "the model 'model' cannot be loaded" in error_of(load, spec)


def test_weights_of_another_shape(spec):
    config = json.loads((spec.path / "config.json").read_text())
    (spec.path / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))

    assert "the model 'model' cannot be loaded" in error_of(load, spec)


@pytest.mark.parametrize("content", ["{", "{}", '{"model_type": "vit"}', '{"model_type": "no"}'])
def test_a_configuration_that_is_no_language_model_s(spec, content):
    (spec.path / "config.json").write_text(content)

    assert "the model 'model' cannot be loaded" in error_of(load, spec)


def test_code_that_comes_with_a_model_does_not_run(spec):
    config = json.loads((spec.path / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": "own.OwnConfig",
        "AutoModelForCausalLM": "own.OwnModel",
    }
    config["model_type"] = "own"
    (spec.path / "config.json").write_text(json.dumps(config))
    (spec.path / "own.py").write_text("raise SystemExit('the code ran')\n")

    assert "read it, then set trust_remote_code = true" in error_of(load, spec)


@pytest.mark.parametrize("architecture", [LlamaConfig, GPT2Config])
def test_a_directory_without_a_tokenizer(tmp_path, architecture):
    """For a GPT-2 transformers would make up one without any words."""
    architecture().save_pretrained(tmp_path)
    spec = ModelSpec(name="model", kind="directory", path=tmp_path, where=WHERE)

    assert "the tokenizer 'model' cannot be loaded" in error_of(load_tokenizer, spec)


def test_a_corrupt_tokenizer(spec):
    (spec.path / "tokenizer.json").write_text("{")

    assert "the tokenizer 'model' cannot be loaded" in error_of(load_tokenizer, spec)


def test_a_hub_id_without_the_hub():
    spec = ModelSpec(name="someone/model", kind="hub", where=WHERE)

    for message in (error_of(load, spec), error_of(load_tokenizer, spec)):
        assert "'someone/model' is no directory here and cannot be fetched" in message
        assert "the hub is switched off (HF_HUB_OFFLINE)" in message


@pytest.mark.parametrize("content", [b"", b"no GGUF at all", b"GGUF" + bytes(20)])
def test_a_corrupt_gguf_file(tmp_path, content):
    (tmp_path / "broken.gguf").write_bytes(content)
    spec = ModelSpec(name="broken.gguf", kind="gguf", path=tmp_path / "broken.gguf", where=WHERE)

    assert "the model 'broken.gguf' cannot be loaded" in error_of(load, spec)
    assert "the tokenizer 'broken.gguf' cannot be loaded" in error_of(load_tokenizer, spec)


def permute(weights: torch.Tensor, heads: int) -> torch.Tensor:
    """Order a query or key projection as GGUF does: llama.cpp's `LlamaModel.permute`."""
    return (
        weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
        .swapaxes(1, 2)
        .reshape(weights.shape)
    )


def write_gguf(source, tokenizer, file) -> None:
    """Write a tiny Llama as a GGUF file in float32, as llama.cpp's converter would."""
    import gguf

    network = AutoModelForCausalLM.from_pretrained(source)
    config = network.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    inner = json.loads(tokenizer.backend_tokenizer.to_str())
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get))
    writer.add_token_merges([" ".join(pair) for pair in inner["model"]["merges"]])
    writer.add_token_types([3 if number < 2 else 1 for number in range(len(tokenizer))])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weights in network.state_dict().items():
        if name.endswith("q_proj.weight"):
            weights = permute(weights, config.num_attention_heads)
        if name.endswith("k_proj.weight"):
            weights = permute(weights, config.num_key_value_heads)
        writer.add_tensor(names.get_name(name, (".weight",)), weights.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_answers_as_the_model_it_was_made_of(spec, tiny_tokenizer, tmp_path):
    pytest.importorskip("gguf")
    write_gguf(spec.path, tiny_tokenizer, tmp_path / "tiny.gguf")
    gguf_spec = ModelSpec(name="tiny.gguf", kind="gguf", path=tmp_path / "tiny.gguf", where=WHERE)
    text = "Question: Which colour has the stone?"

    tokens = load_tokenizer(gguf_spec)(text, return_tensors="pt")["input_ids"]

    wanted = tiny_tokenizer(text, return_tensors="pt")["input_ids"]
    assert torch.equal(tokens, wanted)
    torch.testing.assert_close(load(gguf_spec)(tokens).logits, load(spec)(tokens).logits)
    assert load_config(gguf_spec).max_position_embeddings == 256


def test_a_gguf_file_can_get_an_adapter(spec, tiny_tokenizer, tmp_path):
    """Transformers refuses to train what it marks as quantised, though the weights are plain."""
    from transformers.trainer_utils import validate_quantization_for_training

    pytest.importorskip("gguf")
    write_gguf(spec.path, tiny_tokenizer, tmp_path / "tiny.gguf")
    network = load(ModelSpec(name="g", kind="gguf", path=tmp_path / "tiny.gguf", where=WHERE))

    validate_quantization_for_training(network)

    assert all(weight.is_floating_point() for weight in network.parameters())
    assert getattr(network.config, "quantization_config", None) is None
