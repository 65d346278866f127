"""Requests, and their log-likelihoods by plain forward passes of prompt + option."""

import pytest
import torch

from pytest_muscle.models import LoglikelihoodRequest

FEW_SHOT = (
    "Question: Which colour has the river of the lake?\nAnswer: blue\n\n"
    "Question: Which colour has the stone of the moor?\nAnswer: black\n\n"
)
REQUESTS = [
    LoglikelihoodRequest(
        "Question: Which colour has the cloud of the hill?\nAnswer:", (" white", " green", " red")
    ),
    LoglikelihoodRequest(
        f"{FEW_SHOT}Question: Which colour has the apple of the wood?\nAnswer:",
        (" red", " red apple", " red apple of the wood", " green apple of the wood", " blue"),
    ),
    LoglikelihoodRequest("Goal: paint a door.", ("\nUse a brush, then wait.", "\nUse a spoon.")),
    LoglikelihoodRequest("Größe: 日本", (" naïve", " 🙂", " x")),
    LoglikelihoodRequest("the", (" n", " m")),
]


def plain_loglikelihood(network, tokenizer, prompt: str, option: str) -> float:
    """One forward pass of one sequence: no batch, no padding, no shortcut."""
    context = tokenizer.encode(prompt)
    whole = tokenizer.encode(prompt + option)
    with torch.no_grad():
        logits = network(torch.tensor([whole[:-1]], device=network.device)).logits[0].float()
    return sum(
        float(torch.log_softmax(logits[position - 1], dim=-1)[whole[position]])
        for position in range(len(context), len(whole))
    )


def plain_loglikelihoods(network, tokenizer, requests=REQUESTS) -> list[tuple[float, ...]]:
    return [
        tuple(
            plain_loglikelihood(network, tokenizer, request.prompt, option)
            for option in request.continuations
        )
        for request in requests
    ]


def assert_equal(found, wanted) -> None:
    assert [len(row) for row in found] == [len(row) for row in wanted]
    for found_row, wanted_row in zip(found, wanted, strict=True):
        assert found_row == pytest.approx(wanted_row, abs=1e-4)
