"""The example project on its real model: minutes of computing and up to 100 MB of download.

Run with `pytest -m heavy`; needs the packages of the extra `example`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "example_project"

pytestmark = pytest.mark.heavy


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", folder.name, "-v", *arguments],
        cwd=folder.parent,
        env={**environment, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def _outcomes(output: str) -> dict[str, str]:
    return dict(
        re.findall(r"::(test_\w+)\[cities\].*?\b(PASSED|FAILED|ERROR)\b", output, re.DOTALL)
    )


@pytest.mark.timeout(3600)
def test_the_example_is_red_and_green_where_its_docstring_says_so(example):
    first = _run(example)
    expected = {
        "test_accuracy_did_not_drop": "PASSED",
        "test_update_breaks_little": "FAILED",
        "test_compat_adapter_wins_flips_back": "PASSED",
        "test_compat_model_is_fit_to_ship": "FAILED",
    }
    assert _outcomes(first.stdout) == expected, first.stdout
    again = _run(example, "--muscle-no-train")
    assert _outcomes(again.stdout) == expected, again.stdout


@pytest.mark.timeout(1800)
def test_log_likelihoods_of_the_real_model_are_those_of_lm_evaluation_harness(example):
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from pytest_muscle.models.scoring import LoglikelihoodRequest, score_loglikelihoods

    folder = str(example / "models" / "v2")
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lines = (example / "data" / "cities-validation.jsonl").read_text().splitlines()[:50]
    rows = [json.loads(line) for line in lines]
    requests = [
        LoglikelihoodRequest(
            f"The city of {row['city']} lies in the country of",
            tuple(f" {option}" for option in row["options"]),
        )
        for row in rows
    ]
    found = score_loglikelihoods(network, tokenizer, requests)
    pairs = [(item.prompt, option) for item in requests for option in item.continuations]
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=number)
        for number, pair in enumerate(pairs)
    ]
    harness = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=16)
    expected = [value for value, _ in harness.loglikelihood(instances)]
    assert [value for values in found for value in values] == pytest.approx(expected, abs=1e-3)


@pytest.mark.timeout(1800)
def test_texts_of_the_real_model_are_those_of_generate_one_by_one(example):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    from pytest_muscle.models.generation import generate_texts
    from pytest_muscle.tasks.decoding import Decoding

    folder = str(example / "models" / "v2")
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    lines = (example / "data" / "cities-validation.jsonl").read_text().splitlines()
    cities = [json.loads(line)["city"] for line in lines]
    shots = "".join(f"The city of {city} is known for its history.\n" for city in cities[:20])
    prompts = [
        tuple(tokenizer.encode(f"{shots}The city of {city} is known for")) for city in cities[20:40]
    ]
    network.generation_config.eos_token_id = [tokenizer.eos_token_id, *tokenizer.encode("the")]
    ends = network.generation_config.eos_token_id
    for settings in ({}, {"no_repeat_ngram_size": 2, "stop": ("\n", ".")}):
        found = generate_texts(network, tokenizer, prompts, Decoding(max_new_tokens=32, **settings))
        wanted = []
        for prompt in prompts:
            ids = torch.tensor([prompt])
            stop = settings.get("stop", ())
            output = network.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                generation_config=GenerationConfig(
                    max_new_tokens=32,
                    do_sample=False,
                    eos_token_id=ends,
                    no_repeat_ngram_size=settings.get("no_repeat_ngram_size", 0),
                    stop_strings=list(stop) or None,
                ),
                tokenizer=tokenizer,
            )
            new = output[0, len(prompt) :].tolist()
            text = tokenizer.decode(new[: -(new[-1] in ends) or None], skip_special_tokens=True)
            for end in stop:
                text = text.split(end)[0]
            wanted.append((text,))
        assert found == wanted
        assert len(set(wanted)) > 5
