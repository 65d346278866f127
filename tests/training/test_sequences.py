"""Training examples as tokens: prompt and gold answer, split, padded."""

import pytest

from pytest_muscle.errors import TrainingError
from pytest_muscle.models.encoding import encode_prompt
from pytest_muscle.training.sequences import split, training_sequences


def sequences(count: int) -> list[dict[str, list[int]]]:
    return [{"input_ids": [number, number + 1]} for number in range(count)]


def test_a_sequence_is_prompt_and_gold_answer(colour_task, tiny_tokenizer):
    task = colour_task(5)

    found = training_sequences(task, tiny_tokenizer, None)

    texts = [
        f"Question: {row.fields['question']}\nAnswer: {row.fields['options'][row.gold]}"
        for row in task.train
    ]
    assert [sequence["input_ids"] for sequence in found] == tiny_tokenizer(texts)["input_ids"]


def test_an_over_long_sequence_loses_its_beginning(colour_task, tiny_tokenizer):
    task = colour_task(5)
    whole = training_sequences(task, tiny_tokenizer, None)

    cut = training_sequences(task, tiny_tokenizer, 4)

    for long, short in zip(whole, cut, strict=True):
        assert short["input_ids"] == long["input_ids"][-4:]


def test_a_task_without_a_train_set_is_an_error(colour_task, tiny_tokenizer):
    with pytest.raises(TrainingError, match=r"muscle\.toml: tasks\.colours\.train"):
        training_sequences(colour_task(train=None), tiny_tokenizer, None)


@pytest.mark.parametrize(
    ("count", "fraction", "held_out"),
    [(100, 0.2, 20), (10, 0.2, 2), (7, 0.2, 1), (2, 0.01, 1), (2, 0.99, 1), (5, 0.0, 0)],
)
def test_the_split_has_the_share_asked_for(count, fraction, held_out):
    train, validation = split(sequences(count), fraction, 0)

    assert len(validation) == held_out
    assert len(train) == count - held_out


def test_the_split_s_parts_are_disjoint_and_make_the_whole():
    train, validation = split(sequences(50), 0.2, 3)

    numbers = [sequence["input_ids"][0] for sequence in [*train, *validation]]
    assert sorted(numbers) == list(range(50))


def test_the_split_depends_on_the_seed_alone():
    assert split(sequences(50), 0.2, 1) == split(sequences(50), 0.2, 1)
    assert split(sequences(50), 0.2, 1) != split(sequences(50), 0.2, 2)


def test_one_example_cannot_be_split():
    with pytest.raises(TrainingError, match="1 training example cannot be split"):
        split(sequences(1), 0.2, 0)


@pytest.mark.parametrize("delimiter", [" ", "\n", ""])
def test_a_generation_task_is_learnt_from_the_tokens_it_is_asked_by(
    colour_task, tiny_tokenizer, delimiter
):
    task = colour_task(
        5, kind="generation", choices=None, gold="{{ options[label] }}", delimiter=delimiter
    )

    found = training_sequences(task, tiny_tokenizer, None)

    for example, sequence in zip(task.train, found, strict=True):
        tokens = sequence["input_ids"]
        prompt = list(encode_prompt(tiny_tokenizer, example))
        assert tokens[: len(prompt)] == prompt
        assert tiny_tokenizer.decode(tokens) == (
            f"Question: {example.fields['question']}\nAnswer:{delimiter}{example.gold}</s>"
        )
