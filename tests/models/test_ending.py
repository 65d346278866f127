"""Texts end at end tokens and stop strings, and are cut off there."""

from types import SimpleNamespace

import pytest

from pytest_muscle.models.ending import Ending, end_tokens


def first_end(ending: Ending, tokens: list[int]) -> int | None:
    """Number of tokens after which a growing text is over."""
    grown = (size for size in range(1, len(tokens) + 1) if ending.is_reached(tokens[:size]))
    return next(grown, None)


def test_a_stop_string_over_several_tokens(tiny_tokenizer):
    tokens = tiny_tokenizer.encode("red stone\n\nQ: blue\n\nQ: green")
    ending = Ending(tiny_tokenizer, [1], ("\n\nQ:", "#"))
    size = first_end(ending, tokens)

    assert tiny_tokenizer.decode(tokens[:size]).startswith("red stone\n\nQ:")
    assert not tiny_tokenizer.decode(tokens[: size - 1]).endswith("\n\nQ:")
    assert ending.text(tokens[:size]) == "red stone"
    assert ending.text(tokens) == "red stone"


def test_the_first_of_several_stop_strings_counts(tiny_tokenizer):
    ending = Ending(tiny_tokenizer, [], ("green", "ue ", ""))

    assert ending.text(tiny_tokenizer.encode("red blue green")) == "red bl"


def test_a_stop_string_inside_a_token(tiny_tokenizer):
    tokens = tiny_tokenizer.encode("Question")
    ending = Ending(tiny_tokenizer, [], ("sti",))

    assert ending.text(tokens[: first_end(ending, tokens)]) == "Que"


def test_a_stop_string_of_characters_of_several_bytes(tiny_tokenizer):
    text = "Größe: 日本 🙂🙂🙂🙂🙂 x"
    tokens = tiny_tokenizer.encode(text)
    ending = Ending(tiny_tokenizer, [], ("🙂🙂🙂🙂🙂",))

    assert ending.text(tokens[: first_end(ending, tokens)]) == "Größe: 日本 "


def test_end_tokens_and_special_tokens_are_no_text(tiny_tokenizer):
    red, blue = tiny_tokenizer.encode("red"), tiny_tokenizer.encode("blue")
    ending = Ending(tiny_tokenizer, [1, blue[-1]], ())

    assert ending.is_reached([*red, 1])
    assert not ending.is_reached([*red, 0])
    assert ending.text([0, *red, 0, 1]) == "red"
    assert ending.text([*red, blue[-1]]) == "red"
    assert ending.text([1]) == ""


def test_a_special_token_as_stop_string(tiny_tokenizer):
    red = tiny_tokenizer.encode("red")
    ending = Ending(tiny_tokenizer, [], ("<s>",))

    assert first_end(ending, [*red, 0, *red]) == len(red) + 1
    assert ending.text([*red, 0]) == "red"


@pytest.mark.parametrize(("own", "wanted"), [(7, {7, 1}), ([7, 8], {7, 8, 1}), (None, {1})])
def test_a_model_ends_with_its_own_tokens_and_its_tokenizer_s(tiny_tokenizer, own, wanted):
    network = SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=own))

    assert end_tokens(network, tiny_tokenizer) == wanted


def test_a_model_without_generation_config_has_ends_in_its_configuration(tiny_tokenizer):
    text = SimpleNamespace(eos_token_id=5)
    network = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text))

    assert end_tokens(network, tiny_tokenizer) == {5, 1}
