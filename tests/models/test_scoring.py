"""Log-likelihoods are those of a plain forward pass of prompt + option."""

from collections.abc import Iterator

import pytest
from peft import PeftModel

from pytest_muscle.models import LoglikelihoodRequest, scoring
from pytest_muscle.models.scoring import score_loglikelihoods
from tests.models.likelihoods import (
    REQUESTS,
    assert_equal,
    plain_loglikelihood,
    plain_loglikelihoods,
)


def test_equals_a_plain_forward_pass(network, tiny_tokenizer, device):
    network.to(device)
    wanted = plain_loglikelihoods(network, tiny_tokenizer)

    found = score_loglikelihoods(network, tiny_tokenizer, REQUESTS)

    assert_equal(found, wanted)
    assert max(wanted[0]) - min(wanted[0]) > 0.1  # the models do tell options apart


@pytest.mark.parametrize("batch_tokens", [1, 40, 150, 10**9])
def test_the_token_budget_changes_nothing(network, tiny_tokenizer, device, batch_tokens):
    network.to(device)
    found = score_loglikelihoods(network, tiny_tokenizer, REQUESTS, batch_tokens=batch_tokens)

    assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer))


def test_options_may_stand_in_prompts_of_their_own(network, tiny_tokenizer):
    prompts = ("The red stone", "The blue stone of the river", "A road")
    requests = [LoglikelihoodRequest(prompts, (" of the hill.",) * 3), *REQUESTS]

    found = score_loglikelihoods(network, tiny_tokenizer, requests)

    wanted = tuple(
        plain_loglikelihood(network, tiny_tokenizer, prompt, " of the hill.") for prompt in prompts
    )
    assert_equal(found, [wanted, *plain_loglikelihoods(network, tiny_tokenizer)])


def test_order_and_duplicates_change_nothing(network, tiny_tokenizer):
    requests = [*reversed(REQUESTS), *REQUESTS, REQUESTS[1]]

    found = score_loglikelihoods(network, tiny_tokenizer, requests)

    assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer, requests))


@pytest.mark.parametrize(("most", "characters"), [(1, 10**9), (2, 10**9), (10**9, 1), (10**9, 500)])
def test_windows_change_nothing(network, tiny_tokenizer, monkeypatch, most, characters):
    """A prefix that some windows share is found and run anew where it changes."""
    monkeypatch.setattr(scoring, "WINDOW", most)
    monkeypatch.setattr(scoring, "WINDOW_CHARACTERS", characters)
    monkeypatch.setattr(scoring, "SHORTEST_PREFIX", 2)
    requests = [*REQUESTS, REQUESTS[1], REQUESTS[1], *REQUESTS, LoglikelihoodRequest("a", ())]
    read = iter(requests)

    found = score_loglikelihoods(network, tiny_tokenizer, read)

    assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer, requests))
    assert list(read) == []


@pytest.mark.parametrize(
    ("name", "size", "windows"),
    [("WINDOW", 2, [2, 4, 5]), ("WINDOW_CHARACTERS", 300, [2, 5]), ("WINDOW", 5, [5])],
)
def test_requests_are_read_window_by_window(
    network, tiny_tokenizer, monkeypatch, name, size, windows
):
    """The second request's prompt, five times over, is 1,000 characters; the others are short."""
    monkeypatch.setattr(scoring, name, size)
    read = []
    encode = scoring.encode_pairs
    monkeypatch.setattr(
        scoring, "encode_pairs", lambda *args: encoded.append(len(read)) or encode(*args)
    )
    encoded: list[int] = []

    def requests() -> Iterator[LoglikelihoodRequest]:
        for request in REQUESTS:
            read.append(request)
            yield request

    score_loglikelihoods(network, tiny_tokenizer, requests())

    assert encoded == windows


def test_no_requests_no_answers(network, tiny_tokenizer):
    assert score_loglikelihoods(network, tiny_tokenizer, []) == []


def test_an_adapter_counts(directory, network, tiny_tokenizer, make_tiny_adapter, tmp_path):
    base = plain_loglikelihoods(network, tiny_tokenizer)
    adapter = make_tiny_adapter(directory, tmp_path / "adapter", 1)
    peft_model = PeftModel.from_pretrained(network, adapter).eval()

    found = score_loglikelihoods(peft_model, tiny_tokenizer, REQUESTS)

    assert_equal(found, plain_loglikelihoods(peft_model, tiny_tokenizer))
    assert found[0] != pytest.approx(base[0], abs=0.01)
