"""What a model is given to write an answer, and what it learns: the same tokens, and an end."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, processors
from transformers import PreTrainedTokenizerFast

from pytest_muscle.errors import ModelError
from pytest_muscle.models.encoding import encode_answered, encode_prompt
from pytest_muscle.tasks import Example

CHATML = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def of_text(prompt: str, gold: object = "red") -> Example:
    return Example("q1", prompt, (), gold)


def of_chat(*texts: str, gold: str = "red") -> Example:
    roles = ("user", "assistant") * len(texts)
    return Example("q1", "readable", (), gold, messages=tuple(zip(roles, texts, strict=False)))


@pytest.fixture(scope="module")
def make_tokenizer(tiny_tokenizer):
    """A function that makes the tiny tokenizer with other special tokens and templates."""

    def make(single: str = "$A", chat_template: str | None = None, **names: str | None) -> object:
        inner = Tokenizer.from_str(tiny_tokenizer.backend_tokenizer.to_str())
        inner.post_processor = processors.TemplateProcessing(
            single=single,
            special_tokens=[(name, inner.token_to_id(name)) for name in ("<s>", "</s>")],
        )
        names = {"bos_token": "<s>", "eos_token": "</s>"} | names
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **names)
        tokenizer.chat_template = chat_template
        return tokenizer

    return make


@pytest.fixture(scope="module")
def chat_tokenizer(make_tokenizer):
    return make_tokenizer("<s> $A", CHATML)


# --- texts


def test_a_prompt_is_encoded_as_the_tokenizer_does(tiny_tokenizer, make_tokenizer):
    own = tiny_tokenizer.encode("Answer:")
    assert list(encode_prompt(tiny_tokenizer, of_text("Answer:"))) == own
    begins = make_tokenizer("<s> $A")
    assert list(encode_prompt(begins, of_text("Answer:"))) == [begins.bos_token_id, *own]
    assert encode_prompt(begins, of_text("<s>Answer:")) == encode_prompt(begins, of_text("Answer:"))


def test_no_model_goes_on_after_the_end_of_its_text(tiny_tokenizer, make_tokenizer):
    tokenizer = make_tokenizer("<s> $A </s>")
    own = tiny_tokenizer.encode("Answer:")
    assert list(encode_prompt(tokenizer, of_text("Answer:"))) == [tokenizer.bos_token_id, *own]
    pair = encode_answered(tokenizer, of_text("Answer: "))
    assert pair.tokens.count(tokenizer.eos_token_id) == 1
    assert pair.tokens[-1] == tokenizer.eos_token_id


def test_spaces_at_the_end_are_left_to_the_model_and_line_breaks_are_not(tiny_tokenizer):
    spaced, plain, broken = (
        encode_prompt(tiny_tokenizer, of_text(text))
        for text in ("Answer:  ", "Answer:", "Answer:\n")
    )
    assert spaced == plain
    assert tiny_tokenizer.decode(broken) == "Answer:\n"


def test_an_exact_prompt_keeps_its_spaces(tiny_tokenizer):
    exact = Example("q1", "Answer: ", (), "red", exact=True)
    assert list(encode_prompt(tiny_tokenizer, exact)) == tiny_tokenizer.encode("Answer: ")
    learnt = encode_answered(tiny_tokenizer, exact)
    assert tiny_tokenizer.decode(learnt.tokens[: learnt.start]) == "Answer: "


def test_an_empty_prompt_is_the_prefix_token_or_refused(tiny_tokenizer, make_tokenizer):
    assert encode_prompt(tiny_tokenizer, of_text(" ")) == (tiny_tokenizer.bos_token_id,)
    assert encode_prompt(make_tokenizer(bos_token=None), of_text("")) == (
        tiny_tokenizer.eos_token_id,
    )
    with pytest.raises(ModelError, match="an empty prompt needs a token to begin with"):
        encode_prompt(make_tokenizer(bos_token=None, eos_token=None), of_text(""))


@pytest.mark.parametrize("prompt", ["Answer: ", "Answer:", "Answer:\n", " "])
def test_what_is_learnt_is_prompt_answer_and_end(tiny_tokenizer, prompt):
    pair = encode_answered(tiny_tokenizer, of_text(prompt, ("red stone", "stone")))
    assert pair.tokens[: pair.start] == encode_prompt(tiny_tokenizer, of_text(prompt))
    text = tiny_tokenizer.decode(pair.tokens)
    assert text == f"{prompt if prompt.strip() else '<s> '}red stone</s>"


def test_a_usual_answer_has_the_tokens_of_the_whole_text(tiny_tokenizer):
    pair = encode_answered(tiny_tokenizer, of_text("Answer: ", "red stone"))
    assert list(pair.tokens[:-1]) == tiny_tokenizer.encode("Answer: red stone")


def test_an_answer_that_would_melt_into_the_prompt_keeps_its_own_tokens(tiny_tokenizer):
    encode = tiny_tokenizer.encode
    assert encode("colour")[: len(encode("colo"))] != encode("colo")
    pair = encode_answered(tiny_tokenizer, of_text("colo", "ur"))
    assert list(pair.tokens) == [*encode("colo"), *encode("ur"), tiny_tokenizer.eos_token_id]


def test_a_tokenizer_without_an_end_teaches_none(make_tokenizer):
    tokenizer = make_tokenizer(eos_token=None)
    pair = encode_answered(tokenizer, of_text("Answer: "))
    assert tokenizer.decode(pair.tokens) == "Answer: red"


@pytest.mark.parametrize("single", ["$A", "<s> $A", "<s> $A </s>"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(prompt=st.text(max_size=20), gold=st.text(min_size=1, max_size=10))
def test_what_is_learnt_begins_with_what_is_given(make_tokenizer, single, prompt, gold):
    tokenizer = make_tokenizer(single)
    example = of_text(prompt, gold)
    given_tokens = encode_prompt(tokenizer, example)
    pair = encode_answered(tokenizer, example)
    assert given_tokens
    assert pair.tokens[: pair.start] == given_tokens
    assert len(pair.tokens) > pair.start
    assert pair.tokens[-1] == tokenizer.eos_token_id


# --- chats


def test_a_chat_is_what_the_template_makes_of_it(chat_tokenizer):
    example = of_chat("Sky?", "blue", "Rose?")
    conversation = [
        {"role": "user", "content": "Sky?"},
        {"role": "assistant", "content": "blue"},
        {"role": "user", "content": "Rose?"},
    ]
    expected = chat_tokenizer.apply_chat_template(
        conversation, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    assert list(encode_prompt(chat_tokenizer, example)) == expected
    pair = encode_answered(chat_tokenizer, example)
    assert list(pair.tokens[: pair.start]) == expected
    assert chat_tokenizer.decode(pair.tokens[pair.start :]) == "red</s>\n"


def test_a_template_that_writes_no_end_gets_one(make_tokenizer):
    tokenizer = make_tokenizer(chat_template=CHATML.replace("</s>", "|"), single="<s> $A")
    pair = encode_answered(tokenizer, of_chat("Rose?"))
    assert tokenizer.decode(pair.tokens[pair.start :]) == "red|\n</s>"


def test_a_template_that_writes_answers_otherwise_is_not_asked_for_them(make_tokenizer):
    other = CHATML.replace("<|assistant|>", "<|assistant|><think></think>")
    tokenizer = make_tokenizer(chat_template=other)
    example = of_chat("Rose?")
    pair = encode_answered(tokenizer, example)
    assert pair.tokens[: pair.start] == encode_prompt(tokenizer, example)
    assert tokenizer.decode(pair.tokens) == "<|user|>Rose?</s>\n<|assistant|><think></think>red</s>"


def test_a_tokenizer_without_a_template_is_refused(tiny_tokenizer):
    for encode in (encode_prompt, encode_answered):
        with pytest.raises(ModelError, match="the tokenizer has no chat template, and the task"):
            encode(tiny_tokenizer, of_chat("Rose?"))


def test_a_template_s_own_refusal_is_told(make_tokenizer):
    refusing = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(ModelError) as caught:
        encode_prompt(make_tokenizer(chat_template=refusing), of_chat("Rose?"))
    assert "fails on example 'q1': TemplateError: roles must alternate" in str(caught.value)
