"""The text of a failed assertion."""

import dataclasses
from typing import Any

import pytest

from pytest_muscle.checks import Check, check_flips
from pytest_muscle.comparison import compare
from pytest_muscle.comparison.planning import plan_gate
from pytest_muscle.predictions import Predictions
from pytest_muscle.predictions.prediction import Prediction
from pytest_muscle.predictions.stop import Stop
from pytest_muscle.reports.failure import render_failure
from pytest_muscle.reports.texts import excerpt, shorten
from pytest_muscle.tasks.example import Example


def tables(
    n: int = 3,
    options: tuple[str, ...] = (" yes", " no"),
    prompt: str = "Q{}: good?\nAnswer:",
    ids: list[str] | None = None,
) -> tuple[Predictions, Predictions]:
    """Give an old table with all right and a new one with all wrong, and their examples."""
    ids = ids or [f"e{i}" for i in range(n)]
    examples = {
        id_: Example(id=id_, prompt=prompt.format(i), options=options, gold=0)
        for i, id_ in enumerate(ids)
    }
    old = Predictions.from_lists(ids, [0] * n, [0] * n, task="support")
    new = Predictions.from_lists(ids, [1] * n, [0] * n, task="support")
    return dataclasses.replace(old, examples=examples), dataclasses.replace(new, examples=examples)


def check(value: float = 0.036, limit: float = 0.02, **more: Any) -> Check:
    return Check(measure="negative flip rate", value=value, limit=limit, **more)


def test_a_failure_of_drawn_answers_says_how_many_flips_chance_would_show():
    def table(*draws: float) -> Predictions:
        rows = [
            Prediction(i, "a", "a", False, sum(draws) / len(draws), text="a", draws=draws)
            for i in range(70)
        ]
        return Predictions(rows, graded=True)

    report = compare(table(1, 1, 1, 1), table(0, 0, 0, 0))
    said = render_failure(report, [check_flips(report, 0.5, None)])
    # 70 examples, each with one way in 70 to deal its four right draws to the old model.
    assert "were both models the same, sampling again would show 1.0 negative flips." in said
    single, other = tables()
    report = compare(single, other)
    assert "sampling" not in render_failure(report, [check_flips(report, 0.5, None)])


def test_a_failure_is_a_sentence_a_table_and_the_flips():
    text = render_failure(
        compare(*tables()),
        [check(value=1.0, note="3 of 3", interval=lambda: (0.2924, 1.0)), check(0.01)],
    )
    assert text.splitlines() == [
        "task 'support': negative flip rate is 100.00 % (3 of 3), more than the allowed 2.00 %.",
        "",
        "measure             value              interval                  limit",
        "------------------  -----------------  ------------------------  ------------------",
        "negative flip rate  100.00 % (3 of 3)  29.24 to 100.00 % (95 %)  ≤ 2.00 %  exceeded",
        "negative flip rate  1.00 %                                       ≤ 2.00 %  kept",
        "accuracy old → new  100.00 % → 0.00 %",
        "",
        "negative flips, old → new:",
        "id    prompt             gold    old    new",
        "----  -----------------  ------  -----  -----",
        "e0    Q0: good?⏎Answer:  yes     yes    no",
        "e1    Q1: good?⏎Answer:  yes     yes    no",
        "e2    Q2: good?⏎Answer:  yes     yes    no",
    ]


def test_only_ten_flips_are_shown_unless_all_are_asked_for():
    report = compare(*tables(n=97))
    text = render_failure(report, [check()])
    assert "the first 10 of 97" in text
    assert text.endswith("… and 87 more (-vv shows all)")
    assert "e10 " not in text
    everything = render_failure(report, [check()], flips_shown=None)
    assert "e96 " in everything
    assert "-vv" not in everything
    none = render_failure(report, [check()], flips_shown=0)
    assert none.endswith("97 negative flips, old → new (-vv shows all)")


def test_a_long_id_is_cut_unless_all_is_asked_for():
    report = compare(*tables(n=1, ids=["0123456789abcdef" * 4]))
    assert "01234567…9abcdef " in render_failure(report, [check()])
    assert "0123456789abcdef" * 4 in render_failure(report, [check()], flips_shown=None)


def test_long_answers_stand_one_below_the_other():
    options = ("Boil the rice until it is soft.", "Boil the pan until it is soft.")
    text = render_failure(compare(*tables(n=1, options=options)), [check()])
    assert text.splitlines()[-5:] == [
        "e0",
        "  prompt  Q0: good?⏎Answer:",
        "  gold    Boil the rice until it is soft.",
        "  old     Boil the rice until it is soft.",
        "  new     Boil the pan until it is soft.",
    ]


def test_answers_without_examples_stand_as_python_writes_them():
    report = compare(["7", "8"], ["7", 8], gold=["7", "8"])
    last = render_failure(report, [check()]).splitlines()[-1]
    assert last.split() == ["1", "'8'", "'8'", "8"]
    assert "prompt" not in render_failure(report, [check()])


def test_what_was_not_asked_is_said_so():
    old, new = tables()
    old = dataclasses.replace(old, rows=(*old.rows[:2], new.rows[2]))
    new = dataclasses.replace(new, rows=new.rows[:2], unasked=("e2",))
    text = render_failure(compare(old, new), [check(value=2 / 3)])
    assert "accuracy old → new  66.67 % → –" in text
    assert (
        "\n\n1 of 3 examples, which the old model has wrong, were not asked."
        "\n\nnegative flips, old → new:\n"
    ) in text
    assert [line.split()[0] for line in text.splitlines()[-2:]] == ["e0", "e1"]
    compat = render_failure(compare(old, new), [check()], before=compare(old, new))
    assert "accuracy old → new → compat  66.67 % → – → –" in compat


def test_no_flip_is_said_so():
    report = compare([0], [1], gold=[1])
    text = render_failure(report, [check()])
    assert text.endswith("No example is right with the old model and wrong with the new one.")


def test_compat_flips_and_the_three_accuracies():
    old, new = tables()
    compat = dataclasses.replace(new, rows=(*old.rows[:1], *new.rows[1:]))
    text = render_failure(
        compare(old, compat), [check(0.1, 0.25, at_least=True)], before=compare(old, new)
    )
    assert "is 10.00 %, less than the required 25.00 %" in text
    assert "≥ 25.00 %  not reached" in text
    assert "accuracy old → new → compat  100.00 % → 0.00 % → 33.33 %" in text
    assert "negative flips, old → compat:" in text


@pytest.mark.parametrize(
    ("value", "limit", "shown"),
    [
        (0.036, 0.02, "is 3.60 %, more than the allowed 2.00 %"),
        (0.02001, 0.02, "is 2.001 %, more than the allowed 2.000 %"),
        (0.000001, 0, "is 0.0001 %, more than the allowed 0.0000 %"),
    ],
)
def test_a_value_just_above_its_limit_does_not_read_the_same(
    value: float, limit: float, shown: str
):
    assert shown in render_failure(compare([0], [1], gold=[0]), [check(value, limit)])


def test_control_characters_are_escaped():
    old, new = tables(n=1, prompt="\x1b[31mred\x07\ud800\u202eend{}", options=("a\x00", "b\rc"))
    text = render_failure(compare(old, new), [check()])
    assert r"\x1b[31mred\x07\ud800\u202eend0" in text
    assert r"a\x00" in text
    assert r"b\rc" in text
    assert all(character.isprintable() or character == "\n" for character in text)
    text.encode()


def test_an_excerpt_keeps_the_end_where_the_question_is():
    text = "Instructions. " * 50 + "\r\nIs it\tgood?\u00a0\nAnswer:"
    assert excerpt(text, 27) == "…ons. ⏎Is it good? ⏎Answer:"
    assert excerpt("short", 27) == "short"


def test_a_text_is_shortened_in_the_middle():
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("abcdefghijk", 10) == "abcde…hijk"
    assert shorten("abcdefghijk", 5) == "ab…jk"


def test_a_limit_that_no_answers_can_keep_is_said_to_be_one():
    hopeless = check(plan=lambda: plan_gate(100, 0.01, confidence=0.95))
    fair = check(plan=lambda: plan_gate(300, 0.01, confidence=0.95))
    undecided = {"examples_to_decide": lambda: 2000, "confidence": 0.95}
    lines = [
        render_failure(compare(*tables()), [dataclasses.replace(each, **undecided)]).splitlines()
        for each in (hopeless, fair)
    ]
    assert lines[0][1] == (
        "negative flip rate: 100 examples can never show an NFR of at most 1.00 % at 95 % "
        "confidence; without a single flip it takes 299, or a limit of 2.96 %."
    )
    assert lines[0][2] == ""
    assert lines[1][1].startswith("Undecided at 95 % confidence: ")
    assert lines[1][2] == ""


def test_of_many_hopeless_limits_three_are_explained():
    hopeless = check(plan=lambda: plan_gate(100, 0.01, confidence=0.95))
    kept = check(0.01, plan=lambda: pytest.fail("asked for a plan of a limit that is kept"))
    lines = render_failure(compare(*tables()), [kept, *[hopeless] * 5]).splitlines()
    assert sum("can never show" in line for line in lines) == 3
    assert lines[4] == "… and 2 more limits that cannot be kept with so few examples"


def test_a_gate_that_was_decided_early_says_how_and_what_was_seen():
    old, new = tables(5)
    stop = Stop(
        decision="fails",
        why="2 of 2 examples asked flip, and of all 5 at most 1 may",
        asked=2,
        flips=2,
        can_flip=5,
        population=5,
        limit=0.2,
        confidence=None,
        interval="exact",
        surety=None,
    )
    new = dataclasses.replace(
        new, rows=new.columns[1:3], unasked=("e0", "e3", "e4"), stop=stop, examples=old.examples
    )
    report = compare(old, new)
    text = render_failure(report, [check_flips(report, 0.2, None)])
    assert text.startswith(
        "task 'support': negative flip rate is more than the allowed 20.00 %; 2 of 2 examples "
        "asked flip, and of all 5 at most 1 may.\n\n"
    )
    assert "≥ 40.00 % (2 of 2 asked)" in text
    assert "≤ 20.00 %  exceeded" in text
    assert "accuracy old → new  100.00 % → –" in text
    assert (
        "Asked were 2 of the 5 examples that can flip, in a random order, of 5 in all "
        "([gate] sequential = true).\n\nnegative flips seen, old → new:\n"
    ) in text
    assert [line.split()[0] for line in text.splitlines()[-2:]] == ["e1", "e2"]
