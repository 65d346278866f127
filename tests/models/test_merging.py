"""A merged adapter answers as before, and leaves the base weights bit by bit as they were."""

import pytest
import torch
from peft import (
    HiraConfig,
    IA3Config,
    LNTuningConfig,
    LoHaConfig,
    LoraConfig,
    OFTConfig,
    PeftModel,
    get_peft_model,
)
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer
from torch import nn

from pytest_muscle.models.merging import merged
from pytest_muscle.models.parts import network_parts

TOKENS = torch.tensor([[3, 50, 7, 96, 12, 12, 40], [9, 8, 7, 6, 5, 4, 3]])
LAYERS = ["q_proj", "v_proj", "down_proj"]


def put_on(network: nn.Module, config, *, seed: int = 0, size: float = 0.2) -> PeftModel:
    """The network with an adapter of random weights, for inference."""
    torch.manual_seed(seed)
    model = get_peft_model(network, config)
    for weights in model.parameters():
        if weights.requires_grad:
            weights.data += size * torch.randn_like(weights)
    return model.requires_grad_(False).eval()


def bits(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weights.clone() for name, weights in network.state_dict().items()}


def assert_same_bits(network: nn.Module, wanted: dict[str, torch.Tensor]) -> None:
    found = network.state_dict()
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(TOKENS).logits


LORA = {
    "plain": ("llama", LoraConfig(target_modules=LAYERS)),
    "all linear layers": ("llama", LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM")),
    "rank-stabilised": ("llama", LoraConfig(target_modules=LAYERS, use_rslora=True, r=4)),
    "DoRA": ("llama", LoraConfig(target_modules=LAYERS, use_dora=True)),
    "biases": ("opt", LoraConfig(target_modules=["q_proj", "fc1"], lora_bias=True)),
    "Conv1D": ("gpt2", LoraConfig(target_modules=["c_attn", "c_proj"], fan_in_fan_out=True)),
    "DoRA of Conv1D": (
        "gpt2",
        LoraConfig(target_modules=["c_attn"], fan_in_fan_out=True, use_dora=True),
    ),
    "trained head": ("llama", LoraConfig(target_modules=LAYERS, modules_to_save=["lm_head"])),
    "adapted head": ("llama", LoraConfig(target_modules=[*LAYERS, "lm_head"])),
    "embeddings": ("llama", LoraConfig(target_modules=[*LAYERS, "embed_tokens"])),
    "ranks by layer": ("llama", LoraConfig(target_modules=LAYERS, rank_pattern={"q_proj": 2})),
    "dropout": ("llama", LoraConfig(target_modules=LAYERS, lora_dropout=0.5)),
}


@pytest.mark.parametrize("case", LORA)
def test_a_merged_adapter_answers_the_same(make_network, case):
    name, config = LORA[case]
    network = make_network(name)
    base = logits(network)
    model = put_on(network, config)
    before, weights = logits(model), bits(model)

    with merged(model, network_parts(model)) as done:
        within = logits(model)
        layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
        assert done
        assert all(layer.merged for layer in layers)

    torch.testing.assert_close(within, before, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before, base, atol=0.1)
    assert_same_bits(model, weights)
    assert torch.equal(logits(model), before)
    with model.disable_adapter():
        assert torch.equal(logits(model), base)


OTHERS = {
    "IA3": IA3Config(target_modules=LAYERS, feedforward_modules=["down_proj"]),
    "LoHa": LoHaConfig(target_modules=LAYERS),
    "OFT": OFTConfig(target_modules=["q_proj"], oft_block_size=8, r=0),
    "HiRA": HiraConfig(target_modules=LAYERS),
    "layer norms": LNTuningConfig(target_modules=["input_layernorm", "norm"]),
    "trained tokens": LoraConfig(target_modules=LAYERS, trainable_token_indices=[3, 50]),
    "a bias where there is none": LoraConfig(target_modules=LAYERS, lora_bias=True),
}


@pytest.mark.filterwarnings("ignore:Unsupported layer type")
@pytest.mark.filterwarnings("ignore:`lora_bias=True` was passed")
@pytest.mark.parametrize("case", OTHERS)
def test_what_cannot_be_merged_is_left_alone(make_network, case):
    network = make_network("llama")
    base = logits(network)
    model = put_on(network, OTHERS[case])
    before, weights = logits(model), bits(model)

    with merged(model, network_parts(model)) as done:
        assert not done
        assert torch.equal(logits(model), before)

    assert_same_bits(model, weights)
    assert torch.equal(logits(model), before)
    with model.disable_adapter():
        assert torch.equal(logits(model), base)


def test_an_error_within_leaves_the_base_as_it_was(make_network):
    model = put_on(make_network("llama"), LoraConfig(target_modules=LAYERS))
    before, weights = logits(model), bits(model)

    with pytest.raises(KeyboardInterrupt), merged(model, network_parts(model)):
        raise KeyboardInterrupt

    assert_same_bits(model, weights)
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), NotImplementedError("not this kind")]
)
def test_a_merge_that_stops_halfway_is_taken_back(make_network, monkeypatch, error):
    model = put_on(make_network("llama"), LoraConfig(target_modules=LAYERS))
    before, weights = logits(model), bits(model)
    merge = LoraLinear.merge
    calls = []

    def fail_third(self, *args: object, **options: object) -> None:
        calls.append(self)
        if len(calls) == 3:
            raise error
        merge(self, *args, **options)

    monkeypatch.setattr(LoraLinear, "merge", fail_third)

    with merged(model, network_parts(model)) as done:
        assert not done
        assert len(calls) == 3
        assert_same_bits(model, weights)
        assert torch.equal(logits(model), before)
    assert_same_bits(model, weights)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_merge_that_loses_something_is_refused(make_network, monkeypatch, dtype):
    """As if the weights' type had no room for a third of the change."""
    model = put_on(make_network("llama").to(dtype), LoraConfig(target_modules=LAYERS))
    before, weights = logits(model), bits(model)
    change = LoraLinear.get_delta_weight
    monkeypatch.setattr(LoraLinear, "get_delta_weight", lambda *args: 0.67 * change(*args))

    with merged(model, network_parts(model)) as done:
        assert not done
        assert torch.equal(logits(model), before)
    assert_same_bits(model, weights)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 5e-2), (torch.float16, 1e-2)])
@pytest.mark.parametrize("size", [0.02, 0.2, 2.0])
def test_half_precision_stays_within_its_tolerance(make_network, dtype, tolerance, size):
    """Large base weights round small changes away; then the adapter stays beside them."""
    model = put_on(make_network("llama").to(dtype), LoraConfig(target_modules=LAYERS), size=size)
    before, weights = logits(model).float().log_softmax(-1), bits(model)

    with merged(model, network_parts(model)) as done:
        within = logits(model).float().log_softmax(-1)

    spread = (before - before.mean(-1, keepdim=True)).norm()
    assert (within - before).norm() < 2 * tolerance * spread
    assert done or torch.equal(within, before)
    assert_same_bits(model, weights)


def test_two_adapters_on_one_base_one_after_the_other(make_network):
    network = make_network("llama")
    base = logits(network)
    model = put_on(network, LoraConfig(target_modules=LAYERS))
    model.add_adapter("second", LoraConfig(target_modules=["q_proj", "up_proj"], r=2))
    for name, weights in model.named_parameters():
        if ".second." in name:
            weights.data += 0.2 * torch.randn_like(weights)
    weights = bits(model)
    wanted = {}
    for name in ("default", "second"):
        model.set_adapter(name, inference_mode=True)
        wanted[name] = logits(model)

    for name in ("default", "second", "second", "default"):
        model.set_adapter(name, inference_mode=True)
        with merged(model, network_parts(model)) as done:
            assert done
            torch.testing.assert_close(logits(model), wanted[name], rtol=1e-4, atol=1e-4)
        assert_same_bits(model, weights)
        with model.disable_adapter():
            assert torch.equal(logits(model), base)
    assert not torch.allclose(wanted["default"], wanted["second"], atol=0.1)


def test_quantised_weights_are_not_merged_into(make_network):
    network = make_network("llama")
    layer = network.model.layers[0].self_attn.q_proj
    layer.packed = nn.Parameter(torch.ones(1, dtype=torch.int8), requires_grad=False)
    model = put_on(network, LoraConfig(target_modules=LAYERS))
    weights = bits(model)

    with merged(model, network_parts(model)) as done:
        assert not done
        assert_same_bits(model, weights)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_tied_embeddings_are_not_changed_behind_the_head_s_back(make_network):
    """Merged into the embeddings, the adapter would change the head, which is the same weights."""
    model = put_on(make_network("tied embeddings"), LoraConfig(target_modules=["embed_tokens"]))
    before, weights = logits(model), bits(model)

    with merged(model, network_parts(model)) as done:
        assert not done
        assert torch.equal(logits(model), before)
    assert_same_bits(model, weights)
