"""What is refused before a definition's data are read."""

from __future__ import annotations

import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.harness.loading import check_supported
from pytest_muscle.harness.reference import Reference

REFERENCE = Reference("lm-eval:a", "muscle.toml: tasks.a.task", "a")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"output_type": "loglikelihood_rolling"}, "a measures perplexity over whole texts"),
        ({"output_type": "loglikelihood"}, "a asks how likely one text is, without options"),
        ({"unsafe_code": True}, "a runs code that the model writes"),
        ({"doc_to_image": ["image"]}, "a shows images or plays sounds"),
        ({"output_type": "multiple_choice", "process_results": "f"}, "a judges log-likelihoods"),
        ({"output_type": "multiple_choice", "filter_list": [1]}, "a filters log-likelihoods"),
    ],
)
def test_what_is_not_supported_says_what_to_do(config, said):
    with pytest.raises(ConfigurationError) as caught:
        check_supported(config, REFERENCE)
    problem, hint = str(caught.value).splitlines()
    assert problem.startswith(f"muscle.toml: tasks.a.task: {said}")
    assert hint.strip() == 'run it with lm_eval and compare the logs, with kind = "predictions"'


@pytest.mark.parametrize(
    "config",
    [{}, {"output_type": "multiple_choice"}, {"process_results": "f", "filter_list": [1]}],
)
def test_what_is_supported(config):
    check_supported(config, REFERENCE)
