"""Decoder and head, one after the other, give the logits of the whole model."""

import copy
import gc
import weakref

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel

from pytest_muscle.models.parts import NetworkParts, network_parts, unwrap

TOKENS = torch.tensor([[3, 50, 7, 96, 12, 12, 40], [9, 8, 7, 6, 5, 4, 3]])
ALL = [
    *("llama", "tied embeddings", "mistral", "qwen2", "gemma2", "granite", "cohere"),
    *("gpt2", "opt", "gpt_neox", "bloom", "mamba", "lfm2", "longrope"),
]


@pytest.mark.parametrize("name", ALL)
def test_the_head_of_the_decoder_is_the_model(make_network, name):
    network = make_network(name)
    parts = network_parts(network)
    with torch.no_grad():
        wanted = network(TOKENS, use_cache=False).logits

        states, _ = parts.states(input_ids=TOKENS, use_cache=False)
        found = torch.stack([parts.head()(rows) for rows in states])

    assert parts.split
    assert parts.vocabulary == wanted.shape[-1]
    assert found.shape == wanted.shape
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert wanted.std() > 0.1


@pytest.mark.parametrize("name", ALL)
def test_the_head_keeps_none_of_the_decoder_s_weights(make_network, name):
    network = make_network(name)
    parts = network_parts(network)
    states, _ = parts.states(input_ids=TOKENS, use_cache=False)
    head = parts.head()
    wanted = head(states[0])
    kept = {id(weights) for weights in network.get_output_embeddings().parameters()}
    others = [
        weakref.ref(weights)
        for weights in [*network.parameters(), *network.buffers()]
        if id(weights) not in kept
    ]
    modules = [weakref.ref(module) for module in parts.decoder.modules()]

    del network, parts
    gc.collect()

    assert len(others) > 5
    assert not any(weights() is not None for weights in others)
    assert not any(module() is not None for module in modules)
    torch.testing.assert_close(head(states[0]), wanted)


def test_a_head_can_be_copied(make_network):
    network = make_network("gemma2")
    head = network_parts(network).head()
    hidden = torch.randn(3, 32)
    before = head(hidden)

    own = copy.deepcopy(head)
    network.get_output_embeddings().weight.data.zero_()

    torch.testing.assert_close(own(hidden), before)
    assert not head(hidden).any()


def test_the_model_is_left_as_it_was(make_network):
    network = make_network("llama")
    wanted = network(TOKENS).logits
    names = list(network.state_dict())

    network_parts(network).head()

    assert list(network.state_dict()) == names
    torch.testing.assert_close(network(TOKENS).logits, wanted)


def test_gradients_flow_through_the_head_to_states_and_trained_weights(make_network):
    network = make_network("granite")
    model = get_peft_model(network, LoraConfig(target_modules=["lm_head"], r=2))
    parts = network_parts(model)
    hidden = torch.randn(4, 32, requires_grad=True)

    parts.head()(hidden).square().sum().backward()

    assert hidden.grad is not None
    assert hidden.grad.any()
    trained = {name: w for name, w in network.lm_head.named_parameters() if w.requires_grad}
    assert set(trained) == {"lora_A.default.weight", "lora_B.default.weight"}
    assert trained["lora_B.default.weight"].grad.any()


class Wrapper(nn.Module):
    """As DistributedDataParallel wraps a model."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def test_wrappers_and_adapters_are_taken_off(make_network):
    network = make_network("llama")
    model = get_peft_model(network, LoraConfig(target_modules=["q_proj"]))

    assert unwrap(network) is network
    assert unwrap(model) is network
    assert unwrap(Wrapper(Wrapper(model))) is network
    assert network_parts(Wrapper(model)).decoder is network.model


@pytest.mark.parametrize(
    "settings", [{"target_modules": ["lm_head"]}, {"modules_to_save": ["lm_head"]}]
)
def test_an_adapted_head_is_part_of_the_head(make_network, settings):
    network = make_network("llama")
    options = {"target_modules": ["q_proj"]} | settings
    model = get_peft_model(network, LoraConfig(r=2, init_lora_weights=False, **options)).eval()
    for weights in network.lm_head.parameters():
        if weights.requires_grad:
            weights.data += 0.3
    parts = network_parts(model)

    states, _ = parts.states(input_ids=TOKENS)
    found = parts.head()(states[0])

    assert parts.vocabulary == 97
    torch.testing.assert_close(found, model(TOKENS).logits[0])
    with model.disable_adapter():
        assert not torch.allclose(found, parts.head()(states[0]), atol=0.1)


class Strict(LlamaModel):
    """A decoder that takes tokens and nothing else."""

    def forward(self, input_ids):
        return super().forward(input_ids)


def test_inputs_that_the_decoder_does_not_know_are_left_out(make_network):
    network = make_network("llama")
    network.model.__class__ = Strict
    parts = network_parts(network)

    states, _ = parts.states(input_ids=TOKENS, position_ids=torch.zeros(3), past_key_values=None)

    assert states.shape == (2, 7, 32)
    assert parts.takes("input_ids")
    assert not parts.takes("position_ids")


def test_the_cache_comes_with_the_states(make_network):
    parts = network_parts(make_network("llama"))

    _, cache = parts.states(input_ids=TOKENS, use_cache=True)
    _, none = parts.states(input_ids=TOKENS, use_cache=False)

    assert cache.get_seq_length() == 7
    assert none is None


class OnePiece(LlamaForCausalLM):
    """A model that says of no part that it is the decoder."""

    base_model_prefix = ""


def test_a_model_in_one_piece_gives_logits_for_states():
    network = OnePiece(LlamaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=1)).eval()
    parts = network_parts(network)

    assert not parts.split
    states, _ = parts.states(input_ids=TOKENS)
    torch.testing.assert_close(parts.head()(states[1]), network(TOKENS).logits[1])


def test_device_and_dtype(make_network):
    parts = NetworkParts(make_network("llama").to(torch.bfloat16))

    assert parts.device == torch.device("cpu")
    assert parts.dtype == torch.bfloat16
