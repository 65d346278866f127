"""The probe finds what a model can do, and what it says it can but does not."""

import warnings

import pytest
import torch
from transformers import (
    Gemma3TextConfig,
    GPTNeoConfig,
    GptOssConfig,
    Llama4TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    MistralConfig,
    Phi3Config,
    Qwen2Config,
)

from pytest_muscle.models import LoglikelihoodRequest
from pytest_muscle.models.layouts import LAYOUTS, PLAIN
from pytest_muscle.models.probe import Engine, _longest_path, find_engine, is_close, probe_logits
from pytest_muscle.models.scoring import score_loglikelihoods

REQUESTS = [
    LoglikelihoodRequest("Question: Which colour has the stone?\nAnswer:", (" red", " red apple")),
    LoglikelihoodRequest("Question: Which colour has the cloud?\nAnswer:", (" a b c", " blue")),
]


def quietly(network, **options: object) -> Engine:
    """Find the engine of a model that has nothing to be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return find_engine(network, **options)


def plain(network, tokenizer) -> list[tuple[float, ...]]:
    """Answers to the requests, one forward pass each."""
    answers = []
    for request in REQUESTS:
        values = []
        for option in request.continuations:
            start = len(tokenizer.encode(request.prompt))
            tokens = torch.tensor([tokenizer.encode(request.prompt + option)])
            logits = torch.log_softmax(network(tokens).logits[0, :-1].float(), dim=-1)
            values.append(float(logits[start - 1 :].gather(1, tokens[0, start:, None]).sum()))
        answers.append(tuple(values))
    return answers


@pytest.mark.parametrize(
    "name",
    [
        *("llama", "tied embeddings", "mistral", "qwen2", "gemma2", "granite", "cohere"),
        *("gpt2", "opt", "gpt_neox", "longrope"),
    ],
)
def test_trees_are_the_rule(make_network, name):
    engine = quietly(make_network(name))

    assert engine.layout is LAYOUTS[0]
    assert engine.parts.split


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2"])
def test_rounding_is_no_difference(make_network, name, dtype):
    engine = quietly(make_network(name).to(dtype))

    assert engine.layout is LAYOUTS[0]
    assert engine.parts.split


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("bloom", "copied cache"),
        ("falcon", "copied cache"),
        ("mamba", "plain rows"),
        ("lfm2", "plain rows"),
        ("gpt_neo", "plain rows"),
    ],
)
def test_what_cannot_be_run_as_a_tree(make_network, name, layout, dtype):
    network = make_network(name).to(dtype)

    with pytest.warns(UserWarning, match=rf"ForCausalLM is run as {layout} \(as tree it gives"):
        engine = find_engine(network)

    assert engine.layout.name == layout
    assert engine.parts.split
    assert not engine.takes_trees(2)


class DeafLlama(LlamaModel):
    """A decoder whose attention knows of no mask but the causal one and padding."""

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, **inputs: object):
        if attention_mask is not None and attention_mask.dim() == 4:
            attention_mask = None
        return super().forward(
            input_ids, attention_mask=attention_mask, position_ids=position_ids, **inputs
        )


class DeafLlamaWithCache(DeafLlama):
    """The same, and it names all its inputs."""

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        use_cache=None,
        **inputs: object,
    ):
        return super().forward(
            input_ids,
            attention_mask,
            position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **inputs,
        )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.5)])
@pytest.mark.parametrize(
    ("decoder", "layout"), [(DeafLlama, "plain rows"), (DeafLlamaWithCache, "copied cache")]
)
def test_a_model_that_ignores_the_mask_is_found(
    make_network, tiny_tokenizer, decoder, layout, dtype, tolerance
):
    network = make_network("llama", vocab_size=len(tiny_tokenizer)).to(dtype)
    network.model.__class__ = decoder
    with pytest.warns(UserWarning, match=rf"LlamaForCausalLM is run as {layout} \(as tree"):
        engine = find_engine(network)

    found = score_loglikelihoods(network, tiny_tokenizer, REQUESTS, engine=engine)

    assert engine.layout.name == layout
    for row, wanted in zip(found, plain(network, tiny_tokenizer), strict=True):
        assert row == pytest.approx(wanted, abs=tolerance)


class PointerLlama(LlamaForCausalLM):
    """A model whose logits depend on more than hidden states: on the tokens themselves."""

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
    ):
        output = super().forward(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
        )
        if input_ids is not None:
            output.logits.scatter_add_(
                2, input_ids[..., None], torch.full_like(output.logits[..., :1], 9.0)
            )
        return output


class TiedInKnotsLlama(PointerLlama):
    """A model whose forward fails without tokens."""

    def forward(self, input_ids, attention_mask=None):
        return super().forward(input_ids, attention_mask, use_cache=False)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.5)])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (PointerLlama, r"PointerLlama is run with all logits \(decoder and head alone give oth"),
        (TiedInKnotsLlama, r"TiedInKnotsLlama is run as plain rows \(as .*\) and with all logits"),
    ],
)
def test_a_model_that_is_more_than_decoder_and_head_is_found(
    make_network, tiny_tokenizer, kind, message, dtype, tolerance
):
    network = make_network("llama", vocab_size=len(tiny_tokenizer)).to(dtype)
    network.__class__ = kind
    with pytest.warns(UserWarning, match=message):
        engine = find_engine(network)

    found = score_loglikelihoods(network, tiny_tokenizer, REQUESTS, engine=engine)

    assert not engine.parts.split
    for row, wanted in zip(found, plain(network, tiny_tokenizer), strict=True):
        assert row == pytest.approx(wanted, abs=tolerance)


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_memory_that_runs_out_is_not_taken_for_a_failed_probe(make_network, monkeypatch, call):
    """Whichever of the probe's forward passes it is."""
    network = make_network("llama")
    forward = network.lm_head.forward
    calls = []

    def run_out(hidden: torch.Tensor) -> torch.Tensor:
        calls.append(hidden)
        if len(calls) == call:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(hidden)

    monkeypatch.setattr(network.lm_head, "forward", run_out)

    with pytest.raises(torch.OutOfMemoryError):
        find_engine(network)


def test_the_layouts_to_choose_from(make_network):
    assert quietly(make_network("llama"), layouts=LAYOUTS[3:]).layout is LAYOUTS[3]
    assert quietly(make_network("mamba"), layouts=[PLAIN]).layout is PLAIN


def test_trees_are_for_short_sequences(make_network):
    short = quietly(make_network("mistral"))
    endless = quietly(make_network("llama"))

    assert (short.longest_path, endless.longest_path) == (12, None)
    assert [short.takes_trees(length) for length in (2, 12, 13)] == [True, True, False]
    assert endless.takes_trees(10**6)


LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 48, "long_factor": [2.0] * 48}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}


@pytest.mark.parametrize(
    ("config", "longest"),
    [
        (LlamaConfig(), None),
        (LlamaConfig(rope_parameters=DYNAMIC), None),  # scaled where nothing is run any more
        (
            LlamaConfig(
                rope_parameters={
                    "rope_type": "yarn",
                    "factor": 4.0,
                    "rope_theta": 1e4,
                    "original_max_position_embeddings": 512,
                }
            ),
            None,  # scaled alike whatever the length
        ),
        (MistralConfig(), 4096),
        (MistralConfig(sliding_window=None), None),
        (Qwen2Config(use_sliding_window=False, sliding_window=100), None),
        (Qwen2Config(use_sliding_window=True, sliding_window=100, max_window_layers=2), 100),
        (Qwen2Config(use_sliding_window=True, sliding_window=100, max_window_layers=32), 100),
        (Gemma3TextConfig(sliding_window=512), 512),
        (GptOssConfig(), 128),
        (Llama4TextConfig(attention_chunk_size=8192), 8192),
        (
            Phi3Config(
                max_position_embeddings=131072,
                original_max_position_embeddings=4096,
                rope_parameters=LONGROPE | {"rope_theta": 1e4},
                sliding_window=262144,
            ),
            4096,
        ),
        (GPTNeoConfig(), None),  # run as plain rows, whatever the length
    ],
)
def test_the_longest_path_in_which_each_token_sees_all_before_it(config, longest):
    assert _longest_path(config) == longest


def test_gemma_3_scales_positions_of_some_layers_only():
    config = Gemma3TextConfig(
        max_position_embeddings=1024,
        sliding_window=4096,
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            "full_attention": DYNAMIC | {"original_max_position_embeddings": 300},
        },
    )

    assert _longest_path(config) == 300


@pytest.mark.parametrize(
    ("dtype", "noise", "same"),
    [
        (torch.float32, 1e-5, True),
        (torch.float32, 1e-3, False),
        (torch.float16, 1e-3, True),
        (torch.float16, 3e-2, False),
        (torch.bfloat16, 1e-2, True),
        (torch.bfloat16, 1e-1, False),
    ],
)
def test_rounding_is_relative_to_the_logits_spread(dtype, noise, same):
    torch.manual_seed(0)
    wanted = 50 * torch.randn(20, 97)
    found = wanted + 50 * noise * torch.randn(20, 97)

    assert is_close(found, wanted, dtype) == same
    assert is_close(found + 7.0, wanted, dtype) == same  # a shift changes no probability


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_close(value):
    wanted = torch.randn(3, 9)
    found = wanted.clone()
    found[1, 2] = value

    assert not is_close(found, wanted, torch.float32)


def test_the_probe_s_logits_are_those_of_plain_forward_passes(make_network):
    network = make_network("gpt2")

    found = probe_logits(quietly(network).parts)

    step = 97 // 13
    first = [step * (1 + index) for index in (3, 4, 5, 6)]
    torch.testing.assert_close(
        found[:4], network(torch.tensor([first])).logits[0], rtol=1e-4, atol=1e-4
    )
