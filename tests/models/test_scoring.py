"""Log-likelihoods are those of a plain forward pass of prompt + option."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from pytest_muscle.errors import ModelError
from pytest_muscle.models import LoglikelihoodRequest, scoring
from pytest_muscle.models.memory import CHUNK_LOGITS
from pytest_muscle.models.probe import find_engine
from pytest_muscle.models.scoring import score_loglikelihoods

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


@pytest.fixture(scope="module")
def directory(make_tiny_model, tmp_path_factory):
    """A model whose answers differ by whole nats, so that 1e-4 means something."""
    return make_tiny_model(tmp_path_factory.mktemp("sharp") / "model", 5, initializer_range=0.3)


@pytest.fixture
def network(directory):
    return AutoModelForCausalLM.from_pretrained(directory).eval()


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


@pytest.fixture
def decoder_calls(network, monkeypatch) -> list[list[list[int]]]:
    """What the decoder is given from the time when the engine has been found."""
    calls: list[list[list[int]]] = []
    forward = network.model.forward

    def count(input_ids, **options: object) -> object:
        calls.append(input_ids.tolist())
        return forward(input_ids=input_ids, **options)

    network.engine = find_engine(network)
    monkeypatch.setattr(network.model, "forward", count)
    return calls


def test_options_of_one_token_are_read_from_one_position(network, tiny_tokenizer, decoder_calls):
    letters = LoglikelihoodRequest("Answer:", ("A", "B", "C", "D"))

    score_loglikelihoods(network, tiny_tokenizer, [letters], engine=network.engine)

    assert decoder_calls == [[tiny_tokenizer.encode("Answer:")]]


def test_a_prompt_runs_once_for_all_its_options(network, tiny_tokenizer, decoder_calls):
    request = REQUESTS[1]
    prompt = tiny_tokenizer.encode(request.prompt)
    tails = [
        tiny_tokenizer.encode(request.prompt + text)[len(prompt) :]
        for text in request.continuations
    ]

    score_loglikelihoods(network, tiny_tokenizer, [request], engine=network.engine)

    prefix, rows = decoder_calls
    assert prefix == [prompt[:-1]]  # what all sequences have in common goes first
    (row,) = rows
    assert row[0] == prompt[-1]
    assert len(row) <= 1 + sum(len(tail) - 1 for tail in tails)


def test_what_all_prompts_begin_with_runs_once(network, tiny_tokenizer, decoder_calls):
    requests = [
        LoglikelihoodRequest(f"{FEW_SHOT}Question: the {word}?\nAnswer:", (" red", " blue"))
        for word in ("cloud", "apple", "house")
    ]
    shared = tiny_tokenizer.encode(f"{FEW_SHOT}Question: the")

    found = score_loglikelihoods(network, tiny_tokenizer, requests, engine=network.engine)

    ((prefix,), rows) = decoder_calls
    assert prefix[: len(shared) - 1] == shared[:-1]
    assert len(rows) == 3
    assert max(map(len, rows)) < len(shared)
    assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer, requests))


def test_the_vocabulary_is_projected_at_option_positions_only(network, tiny_tokenizer):
    positions = []
    engine = find_engine(network)
    network.lm_head.register_forward_hook(
        lambda _, inputs, __: positions.append(inputs[0].shape[1])
    )
    request = LoglikelihoodRequest(f"{FEW_SHOT}Answer:", (" x",))
    context = tiny_tokenizer.encode(request.prompt)
    option = tiny_tokenizer.encode(f"{request.prompt} x")[len(context) :]

    score_loglikelihoods(network, tiny_tokenizer, [request], engine=engine)

    assert positions == [len(option)]


def test_logits_are_made_in_chunks(network, tiny_tokenizer, monkeypatch):
    wanted = plain_loglikelihoods(network, tiny_tokenizer)
    monkeypatch.setitem(CHUNK_LOGITS, "cpu", 3 * len(tiny_tokenizer))
    engine = find_engine(network)
    positions = []
    network.lm_head.register_forward_hook(
        lambda _, inputs, __: positions.append(inputs[0].shape[1])
    )

    found = score_loglikelihoods(network, tiny_tokenizer, REQUESTS, engine=engine)

    assert max(positions) == 3
    assert_equal(found, wanted)


def test_an_adapter_counts(directory, network, tiny_tokenizer, make_tiny_adapter, tmp_path):
    base = plain_loglikelihoods(network, tiny_tokenizer)
    adapter = make_tiny_adapter(directory, tmp_path / "adapter", 1)
    peft_model = PeftModel.from_pretrained(network, adapter).eval()

    found = score_loglikelihoods(peft_model, tiny_tokenizer, REQUESTS)

    assert_equal(found, plain_loglikelihoods(peft_model, tiny_tokenizer))
    assert found[0] != pytest.approx(base[0], abs=0.01)


class WithoutLogitsToKeep(LlamaForCausalLM):
    """A model that always gives the logits of all positions and knows of no cache."""

    def forward(self, input_ids, attention_mask=None):
        return super().forward(input_ids=input_ids, attention_mask=attention_mask)


@pytest.mark.filterwarnings("ignore:.* is run as")
@pytest.mark.parametrize(
    "name",
    [
        *("tied embeddings", "qwen2", "gemma2", "granite", "cohere", "gpt2", "opt", "gpt_neox"),
        *("mistral", "longrope", "gpt_neo", "bloom", "falcon", "mamba", "lfm2"),
    ],
)
def test_other_architectures(name, make_network, tiny_tokenizer, device):
    """Some have a window of 12 or 16 tokens: one prompt is longer, the shared prefix too."""
    network = make_network(name, vocab_size=len(tiny_tokenizer)).to(device)
    question = f"{FEW_SHOT}Question: Which colour has the letter of the moor?\nAnswer:"
    alike = [
        LoglikelihoodRequest(question, (" red", " red apple")),
        LoglikelihoodRequest(f"{FEW_SHOT}Goal:", (" blue", " green apple")),
    ]

    for requests in (REQUESTS, alike):
        found = score_loglikelihoods(network, tiny_tokenizer, requests)

        assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer, requests))


class Counted:
    """Progress that counts what is ready."""

    ready = 0

    @contextmanager
    def bar(self, total: int, description: str, unit: str, *, done: int) -> Iterator[Self]:
        yield self

    def update(self, count: int) -> None:
        self.ready += count


@pytest.mark.parametrize("words", range(8))
@pytest.mark.parametrize("name", ["mistral", "longrope"])
def test_options_on_both_sides_of_the_longest_path(name, words, make_network, tiny_tokenizer):
    """Within 16 tokens the second scales no positions; beyond, it scales those of all tokens."""
    network = make_network(name, vocab_size=len(tiny_tokenizer))
    requests = [
        LoglikelihoodRequest(" red" * (8 + words), (" red", " blue" * 3, " black" * 5)),
        LoglikelihoodRequest(" red", (" blue", " black")),
    ]
    progress = Counted()

    found = score_loglikelihoods(network, tiny_tokenizer, requests, progress=progress)

    assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer, requests))
    assert progress.ready == 2  # though one may be run in two parts


@pytest.mark.filterwarnings("ignore:WithoutLogitsToKeep is run as plain rows")
def test_a_model_that_cannot_keep_some_logits_only(directory, network, tiny_tokenizer):
    plain = WithoutLogitsToKeep.from_pretrained(directory).eval()

    found = score_loglikelihoods(plain, tiny_tokenizer, REQUESTS)

    assert_equal(found, plain_loglikelihoods(network, tiny_tokenizer))


def run_out_of_memory(network, monkeypatch, *, most_rows: int, error: Exception) -> list[int]:
    """Let the decoder run out of memory above so many rows; return the sizes it was given."""
    sizes = []
    forward = network.model.forward

    def limited(input_ids, **options: object) -> object:
        sizes.append(len(input_ids))
        if len(input_ids) > most_rows:
            raise error
        return forward(input_ids=input_ids, **options)

    monkeypatch.setattr(network.model, "forward", limited)
    return sizes


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_batch_is_halved_until_it_fits_into_memory(network, tiny_tokenizer, monkeypatch, error):
    wanted = plain_loglikelihoods(network, tiny_tokenizer)
    engine = find_engine(network)
    sizes = run_out_of_memory(network, monkeypatch, most_rows=2, error=error)

    found = score_loglikelihoods(
        network, tiny_tokenizer, REQUESTS, engine=engine, batch_tokens=10**9
    )

    assert_equal(found, wanted)
    assert sizes[0] == len(REQUESTS)
    assert sum(size for size in sizes if size <= 2) == len(REQUESTS)


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_an_example_that_does_not_fit_into_memory_is_an_error(
    network, tiny_tokenizer, monkeypatch, error
):
    engine = find_engine(network)
    run_out_of_memory(network, monkeypatch, most_rows=0, error=error)

    with pytest.raises(ModelError, match="out of memory while scoring one example"):
        score_loglikelihoods(network, tiny_tokenizer, REQUESTS, engine=engine)


def test_any_other_error_is_not_taken_for_memory(network, tiny_tokenizer, monkeypatch):
    engine = find_engine(network)
    run_out_of_memory(network, monkeypatch, most_rows=0, error=RuntimeError("a bug"))

    with pytest.raises(RuntimeError, match="a bug"):
        score_loglikelihoods(network, tiny_tokenizer, REQUESTS, engine=engine)


@pytest.fixture
def short_network(make_tiny_model, tmp_path):
    """A model that takes 16 tokens."""
    path = make_tiny_model(tmp_path / "short", 5, initializer_range=0.3, max_position_embeddings=16)
    return AutoModelForCausalLM.from_pretrained(path).eval()


def test_an_over_long_prompt_loses_its_beginning(short_network, tiny_tokenizer):
    whole = tiny_tokenizer.encode(f"{FEW_SHOT}Answer: red")
    start = len(tiny_tokenizer.encode(f"{FEW_SHOT}Answer:"))
    kept = whole[-17:]  # 16 go in; the last token is only predicted
    with torch.no_grad():
        logits = torch.log_softmax(short_network(torch.tensor([kept[:-1]])).logits[0], dim=-1)
    wanted = sum(
        float(logits[16 - number, whole[-number]]) for number in range(len(whole) - start, 0, -1)
    )

    with pytest.warns(UserWarning, match="1 of 2 sequences are longer than the model's 16 tokens"):
        cut, fits = score_loglikelihoods(
            short_network,
            tiny_tokenizer,
            [
                LoglikelihoodRequest(f"{FEW_SHOT}Answer:", (" red",)),
                LoglikelihoodRequest("Answer:", (" red",)),
            ],
        )

    assert cut == pytest.approx((wanted,), abs=1e-4)
    assert fits == pytest.approx(
        (plain_loglikelihood(short_network, tiny_tokenizer, "Answer:", " red"),), abs=1e-4
    )


def test_a_sequence_as_long_as_the_model_takes_is_not_cut(short_network, tiny_tokenizer):
    tokens = tiny_tokenizer.encode(" red" * 40)
    assert len(set(tokens)) == 1
    request = LoglikelihoodRequest(" red" * 8, (" red" * 9,))  # 17 tokens, of which 16 go in

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = score_loglikelihoods(short_network, tiny_tokenizer, [request])

    with torch.no_grad():
        logits = torch.log_softmax(short_network(torch.tensor([tokens[:16]])).logits[0], dim=-1)
    assert found == pytest.approx((float(logits[7:, tokens[0]].sum()),), abs=1e-4)


def test_an_option_longer_than_the_model_takes_is_an_error(short_network, tiny_tokenizer):
    request = LoglikelihoodRequest("Answer:", (" red" * 17,))

    with pytest.raises(ModelError, match="an option of 17 tokens is longer than the 16"):
        score_loglikelihoods(short_network, tiny_tokenizer, [request])
