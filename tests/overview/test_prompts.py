"""The first prompt as the model sees it, drawn so that white space shows."""

from __future__ import annotations

import pytest

from pytest_muscle.overview.prompts import describe_answers, draw, first_prompt


def test_the_prompt_and_each_option_are_what_the_tokenizer_gets(colour_task, tiny_tokenizer):
    task = colour_task(prompt="Question: {{ question }}\nAnswer: ")
    asked = first_prompt(task, task.eval[0], tiny_tokenizer)
    assert asked.text == task.eval[0].prompt.rstrip()
    # White space at the prompt's end goes to the options, as in lm-evaluation-harness.
    assert asked.answers == tuple(f" {option}" for option in task.eval[0].options)
    assert asked.gold.index(True) == task.eval[0].gold
    assert sum(asked.gold) == 1
    assert asked.tokens == len(tiny_tokenizer(asked.text)["input_ids"])


def test_a_chat_is_what_the_template_makes_of_it(colour_task, tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(
        tiny_tokenizer,
        "chat_template",
        "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant]",
    )
    task = colour_task(
        kind="generation", chat=True, choices=None, gold="{{ options[label] }}", prompt="Hi  "
    )
    asked = first_prompt(task, task.eval[0], tiny_tokenizer)
    assert asked.text == "[user] Hi  \n[assistant]"
    assert first_prompt(task, task.eval[0], None).tokens is None


def test_options_and_gold_answers_are_counted(colour_task):
    counts, gold = describe_answers(colour_task())
    assert counts == "4 options"
    assert sum(int(part.split()[-2]) for part in gold.split(", ")) == pytest.approx(100, abs=2)


def test_white_space_and_control_characters_show():
    assert draw("one  \n\ttwo\x00\n", 40, None) == ["│ one··", "│ →two\\x00", "│ "]


def test_a_long_line_goes_on_behind_another_margin():
    assert draw("0123456789abc", 12, None) == ["│ 0123456789", "┊ abc"]


def test_of_many_lines_the_middle_is_left_out_and_counted():
    drawn = draw("\n".join(map(str, range(100))), 40, 10)
    assert drawn[0] == "│ 0"
    assert drawn[-1] == "│ 99"
    assert "90 lines left out" in drawn[5]
    assert len(drawn) == 11
