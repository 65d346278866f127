"""Prompt and option become the tokens that lm-evaluation-harness makes of them."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from pytest_muscle.errors import ModelError
from pytest_muscle.models.encoding import encode_pairs


@pytest.fixture(scope="module")
def bos_tokenizer(tiny_tokenizer) -> PreTrainedTokenizerFast:
    """The tiny tokenizer, which now puts <s> before every text by itself."""
    from tokenizers import Tokenizer

    inner = Tokenizer.from_str(tiny_tokenizer.backend_tokenizer.to_str())
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", inner.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


@pytest.fixture(scope="module")
def harness(tiny_models):
    """lm-evaluation-harness, whose tokenizer a test sets."""
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_models / "v1")
    tokenizer = AutoTokenizer.from_pretrained(tiny_models / "v1")
    return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)


def encode_as_harness(harness, tokenizer, prompt: str, option: str) -> tuple[tuple[int, ...], int]:
    harness.tokenizer = tokenizer
    context, continuation = harness._encode_pair(prompt, option)
    return (*context, *continuation), len(context)


def test_the_option_begins_where_the_prompt_s_own_tokens_end(tiny_tokenizer):
    prompt, option = "Question: Which colour?\nAnswer:", " red stone"

    (pair,) = encode_pairs(tiny_tokenizer, [(prompt, option)])

    assert tiny_tokenizer.decode(pair.tokens[: pair.start]) == prompt
    assert tiny_tokenizer.decode(pair.tokens[pair.start :]) == option


def test_space_at_the_prompt_s_end_moves_to_the_option(tiny_tokenizer):
    spaced, plain = encode_pairs(tiny_tokenizer, [("Answer: \n ", "red"), ("Answer:", " \n red")])

    assert spaced == plain


def test_an_empty_prompt_is_the_prefix_token(tiny_tokenizer):
    begin = tiny_tokenizer.bos_token_id
    own = tiny_tokenizer.encode("red stone", add_special_tokens=False)

    without, spaces, with_marker = encode_pairs(
        tiny_tokenizer, [("", "red stone"), (" ", "red"), ("", "<s>red stone")]
    )

    assert without.tokens == (begin, *own)
    assert without.start == 1
    assert spaces.tokens[0] == begin
    assert with_marker == without


@pytest.mark.parametrize("tokenizer", ["tiny_tokenizer", "bos_tokenizer"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    prompt=st.one_of(
        st.text(min_size=1, max_size=30),
        st.sampled_from(["<s>Question: Which?", "<s>", "Frage: größer?\tJa ", "日本 \n", "🙂 "]),
    ),
    option=st.one_of(st.text(min_size=1, max_size=12), st.sampled_from([" red", "grün", "🙂🙂"])),
)
def test_tokens_equal_the_harness_s(request, harness, tokenizer, prompt, option):
    assume(prompt.strip())
    tokenizer = request.getfixturevalue(tokenizer)
    tokens, start = encode_as_harness(harness, tokenizer, prompt, option)
    assume(0 < start < len(tokens))

    (pair,) = encode_pairs(tokenizer, [(prompt, option)])

    assert (pair.tokens, pair.start) == (tokens, start)


def test_a_tokenizer_that_begins_texts_itself_begins_them_once(bos_tokenizer):
    begin = bos_tokenizer.bos_token_id

    plain, marked = encode_pairs(bos_tokenizer, [("Answer:", " red"), ("<s>Answer:", " red")])

    assert plain == marked
    assert plain.tokens.count(begin) == 1


def test_an_option_without_a_token_is_an_error(tiny_tokenizer):
    with pytest.raises(ModelError, match=r"option '' has no token of its own .*'Answer:'"):
        encode_pairs(tiny_tokenizer, [("Answer:", "")])
