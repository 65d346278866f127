"""What files say of weights that nobody loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_muscle.models.headers import read_weights, weight_files
from pytest_muscle.models.spec import ModelSpec


def spec(path: Path) -> ModelSpec:
    kind = "gguf" if path.suffix == ".gguf" else "directory"
    return ModelSpec(name=path.name, kind=kind, path=path)


@pytest.mark.parametrize("tied", [False, True])
def test_parameters_are_those_of_the_model_that_transformers_loads(make_tiny_model, tmp_path, tied):
    from transformers import AutoModelForCausalLM

    path = make_tiny_model(tmp_path / "model", 1, tie_word_embeddings=tied)
    network = AutoModelForCausalLM.from_pretrained(path)

    weights = read_weights(spec(path))
    assert weights is not None
    assert weights.parameters == sum(one.numel() for one in network.parameters())
    assert weights.dtypes == {"F32": weights.parameters}
    assert weights.size == (path / "model.safetensors").stat().st_size
    shapes = {tensor.name: tensor.shape for tensor in weights.tensors}
    assert shapes["model.layers.0.mlp.up_proj.weight"] == (64, 32)


def test_of_a_model_in_parts_the_index_says_which_files_count(tiny_models, tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "parts"
    shutil.copytree(tiny_models / "v1", path)
    tensors = load_file(path / "model.safetensors")
    whole = read_weights(spec(path))
    (path / "model.safetensors").unlink()
    places = {}
    for number, names in enumerate((list(tensors)[::2], list(tensors)[1::2])):
        file = f"model-{number}.safetensors"
        save_file({name: tensors[name] for name in names}, path / file)
        places |= dict.fromkeys(names, file)
    save_file({"other": tensors["lm_head.weight"]}, path / "consolidated.safetensors")
    index = path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))

    assert read_weights(spec(path)).parameters == whole.parameters
    (path / "model-1.safetensors").unlink()
    assert weight_files(path) == []
    assert read_weights(spec(path)) is None


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 64, b"\x05" + bytes(7) + b"{...}"])
def test_what_is_no_safetensors_file_is_a_value_error(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"safetensors|Expecting"):
        read_weights(spec(tmp_path))


def test_a_model_of_the_hub_that_was_not_fetched_is_none():
    commit = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"
    assert read_weights(ModelSpec(name="org/name", kind="hub", revision=commit)) is None


def test_where_the_hub_may_be_asked_its_headers_do(monkeypatch):
    from types import SimpleNamespace

    import huggingface_hub
    from huggingface_hub.utils import SafetensorsFileMetadata, TensorInfo

    weight = TensorInfo(dtype="BF16", shape=[3, 5], data_offsets=(0, 30))
    file = SafetensorsFileMetadata(metadata={}, tensors={"weight": weight})
    answer = SimpleNamespace(files_metadata={"model.safetensors": file})
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_safetensors_metadata", lambda *_, **__: answer)
    commit = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"
    weights = read_weights(ModelSpec(name="org/name", kind="hub", revision=commit))
    assert (weights.parameters, weights.size, weights.here) == (15, 30, False)


def test_a_gguf_file(tiny_models, tiny_tokenizer, tmp_path):
    pytest.importorskip("gguf")
    from tests.models.test_loading import write_gguf

    write_gguf(tiny_models / "v1", tiny_tokenizer, tmp_path / "tiny.gguf")
    weights, source = (
        read_weights(spec(tmp_path / "tiny.gguf")),
        read_weights(spec(tiny_models / "v1")),
    )
    assert weights.parameters == source.parameters
    assert weights.size == (tmp_path / "tiny.gguf").stat().st_size
    assert set(weights.dtypes) == {"F32"}
