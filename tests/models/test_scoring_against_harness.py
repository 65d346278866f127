"""The same requests to lm-evaluation-harness and to us: the same numbers, the same decisions."""

import json

import pytest
from tokenizers import Tokenizer, processors
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from pytest_muscle.models import LoglikelihoodRequest
from pytest_muscle.models.scoring import score_loglikelihoods
from pytest_muscle.tasks.metrics import acc, acc_bytes, acc_norm

FEW_SHOT = "".join(
    f"Question: Which colour has the {thing} of the {place}?\nAnswer: {colour}\n\n"
    for thing, place, colour in [
        ("river", "lake", "blue"),
        ("stone", "moor", "black"),
        ("apple", "wood", "red"),
    ]
)
CASES = {
    "PIQA-like": [
        (
            "Question: How do I paint a door?\nAnswer:",
            [" Use a brush, then wait until it is dry.", " Use a spoon, then wait."],
        ),
        (
            "Question: To keep an apple fresh,\nAnswer:",
            [" keep it cold in the house.", " keep it warm in the garden."],
        ),
    ],
    "few-shot": [
        (
            f"{FEW_SHOT}Question: Which colour has the road of the hill?\nAnswer:",
            [" red", " yellow", " white", " black"],
        )
    ],
    "options that share prefixes": [
        ("The letter is", [" red", " red and", " red and green", " red and green and blue"])
    ],
    "options of one token": [("Answer:", ["A", "B", "C", "D"])],
    "option of many tokens": [("Say it:", [" " + "the river of the north " * 6, " no"])],
    "space at the prompt's end": [("Answer: ", ["red", "blue"]), ("Answer:\n\n  ", ["red", "a"])],
    "empty prompt": [("", ["the river", "red", "r"])],
    "empty prompt and a marked option": [("", ["<s>the river", "the river"])],
    "prompt that begins with the marker": [("<s>Question: Which?\nAnswer:", [" red", " blue"])],
    "unicode": [("Frage: Was heißt „日本“? 🙂\nAntwort:", [" Japan", " größer", " 日本", " 🙂🙂"])],
    "over-long prompt": [(FEW_SHOT * 5 + "Answer:", [" red", " blue and green"])],
}


@pytest.fixture(scope="module")
def network(make_tiny_model, tmp_path_factory):
    path = make_tiny_model(tmp_path_factory.mktemp("model") / "m", 5, initializer_range=0.3)
    return AutoModelForCausalLM.from_pretrained(path).eval()


def with_marker(tokenizer) -> PreTrainedTokenizerFast:
    """The same tokenizer, which now puts <s> before every text by itself."""
    inner = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", inner.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


def without_marker(tokenizer) -> PreTrainedTokenizerFast:
    """The same tokenizer with an end-of-text token only, as GPT-NeoX has it."""
    inner = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>")


def ask_harness(network, tokenizer, pairs: list[tuple[str, str]], batch_size: int) -> list[float]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=batch_size)
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=number)
        for number, pair in enumerate(pairs)
    ]
    return [value for value, _ in harness.loglikelihood(instances, disable_tqdm=True)]


@pytest.mark.filterwarnings("ignore:.*sequences are longer than the model")
@pytest.mark.parametrize("change", [None, with_marker, without_marker])
@pytest.mark.parametrize("case", CASES)
def test_equals_lm_evaluation_harness(network, tiny_tokenizer, case, change):
    tokenizer = change(tiny_tokenizer) if change else tiny_tokenizer
    requests = [LoglikelihoodRequest(prompt, tuple(options)) for prompt, options in CASES[case]]
    pairs = [(prompt, option) for prompt, options in CASES[case] for option in options]

    found = score_loglikelihoods(network, tokenizer, requests)

    wanted = ask_harness(network, tokenizer, pairs, batch_size=3)
    assert [value for row in found for value in row] == pytest.approx(wanted, abs=1e-4)


@pytest.fixture(scope="module")
def harness_task(tmp_path_factory):
    """A multiple-choice task of lm-evaluation-harness over one local file."""
    from lm_eval.api.task import ConfigurableTask

    rows = [
        {"options": ["red", "a long answer of many words", "größer", "日本の北"], "label": gold}
        for gold in range(4)
    ]
    directory = tmp_path_factory.mktemp("harness")
    file = directory / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return ConfigurableTask(
        config={
            "task": "colours",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(file)}, "cache_dir": str(directory)},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "Answer:",
            "doc_to_choice": "{{options}}",
            "doc_to_target": "label",
            "metric_list": [{"metric": name} for name in ("acc", "acc_norm", "acc_bytes")],
        }
    )


@pytest.mark.parametrize(
    "loglikelihoods",
    [
        (-3.0, -20.0, -5.0, -4.0),
        (-3.0, -20.0, -3.0, -3.0),
        (-9.0, -27.0, -9.0, -9.0),
        (-9.0, -30.0, -7.0, -6.5),
        (-9.0, -40.0, -8.9, -8.0),
    ],
)
def test_decisions_equal_the_harness_s(harness_task, loglikelihoods):
    chosen = {}
    for document in harness_task.test_docs():
        answers = [(value, False) for value in loglikelihoods]
        for metric, right in harness_task.process_results(document, answers).items():
            if right:
                chosen[metric] = document["label"]
    options = ["red", "a long answer of many words", "größer", "日本の北"]

    ours = {
        "acc": acc(loglikelihoods, options),
        "acc_norm": acc_norm(loglikelihoods, options),
        "acc_bytes": acc_bytes(loglikelihoods, options),
    }

    assert ours == chosen
