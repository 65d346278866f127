"""Assertions: what passes, what fails, what is refused, and what a failure shows."""

import math
import pickle
import subprocess
import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_muscle.assertions import (
    FlipAssertionError,
    assert_accuracy_drop,
    assert_flips_reduced,
    assert_gate,
    assert_inconsistency_rate,
    assert_mean_regress,
    assert_negative_flip_rate,
)
from pytest_muscle.comparison import FlipReport
from pytest_muscle.errors import ComparisonError
from pytest_muscle.predictions import Prediction, Predictions

pytest_plugins = ["pytester"]
N = 100


def answers(wrong: Iterable[int] = (), other: Iterable[int] = ()) -> Predictions:
    """Give a table of 100 answers, right but for `wrong` (answer 1) and `other` (answer 2)."""
    given = [1 if i in set(wrong) else 2 if i in set(other) else 0 for i in range(N)]
    return Predictions.from_lists(range(N), given, [0] * N, task="support")


def scored(scores: list[float]) -> Predictions:
    rows = [Prediction(id=i, answer=s, gold=1, correct=True, score=s) for i, s in enumerate(scores)]
    return Predictions(tuple(rows))


def gate(**limits: float) -> Any:
    names = ("max_nfr", "confidence", "max_accuracy_drop", "max_inconsistency")
    return SimpleNamespace(**(dict.fromkeys(names) | limits))


def test_negative_flip_rate_at_the_limit_passes_and_above_fails():
    report = assert_negative_flip_rate(answers(), answers(wrong=range(3)), max_rate=0.03)
    assert isinstance(report, FlipReport)
    assert report.negative_flips == (0, 1, 2)
    with pytest.raises(FlipAssertionError) as caught:
        assert_negative_flip_rate(answers(), answers(wrong=range(4)), max_rate=0.03)
    assert caught.value.report.negative_flip_rate == 0.04
    assert [check.limit for check in caught.value.exceeded] == [0.03]


def test_confidence_judges_the_upper_bound():
    # None of 100: the bound is 1 - 0.05^(1/100) = 2.95 %.
    assert_negative_flip_rate(answers(), answers(), max_rate=0.03, confidence=0.95)
    with pytest.raises(FlipAssertionError, match=r"as high as 2.95 % \(95 % upper bound\)"):
        assert_negative_flip_rate(answers(), answers(), max_rate=0.029, confidence=0.95)


def test_a_gate_of_too_few_examples_says_how_many_it_takes():
    # 0.99^298 > 0.05 > 0.99^299.
    with pytest.raises(FlipAssertionError, match="without a single flip it takes 299"):
        assert_gate(answers(), answers(), gate=gate(max_nfr=0.01, confidence=0.95))


def test_inconsistency_rate():
    # 0-4 wrong before and after: 0 and 1 in the same way, 2-4 in another way; 5 flips.
    old, new = answers(wrong=range(5)), answers(wrong=(0, 1, 5), other=(2, 3, 4))
    assert assert_inconsistency_rate(old, new, max_rate=0.04).inconsistency_rate == 0.04
    with pytest.raises(FlipAssertionError, match=r"inconsistency rate is 4.00 % \(4 of 100\)"):
        assert_inconsistency_rate(old, new, max_rate=0.03)


def test_accuracy_drop():
    old, new = answers(wrong=range(5)), answers(wrong=range(4, 12))
    assert assert_accuracy_drop(old, new, max_drop=0.03).accuracy_drop == pytest.approx(0.03)
    with pytest.raises(FlipAssertionError, match=r"accuracy drop is 3.00 points"):
        assert_accuracy_drop(old, new, max_drop=0.02)
    with pytest.raises(FlipAssertionError, match=r"upper bound"):
        assert_accuracy_drop(old, new, max_drop=0.03, confidence=0.95)
    assert_accuracy_drop(new, old, max_drop=-0.03)
    with pytest.raises(FlipAssertionError, match=r"is −3.00 points, more than .* −4.00 points"):
        assert_accuracy_drop(new, old, max_drop=-0.04)


def test_mean_regress():
    old, new = scored([0.4, 0.4, 0.5]), scored([0.3, 0.4, 0.9])
    # 0.4 - 0.3 is a little more than 0.1 in floating point.
    assert assert_mean_regress(old, new, max_regress=0.1).mean_regress == pytest.approx(0.1)
    with pytest.raises(FlipAssertionError, match=r"mean regress of the score is 0.1000"):
        assert_mean_regress(old, new, max_regress=0.09)


def test_flips_reduced():
    old, new, compat = answers(), answers(wrong=range(10)), answers(wrong=range(9))
    report = assert_flips_reduced(old, new, compat, min_reduction=0.1)
    assert report.negative_flips == tuple(range(9))
    with pytest.raises(FlipAssertionError) as caught:
        assert_flips_reduced(old, new, compat, min_reduction=0.25)
    assert "is 10.00 % (10 → 9 of 100), less than the required 25.00 %" in str(caught.value)
    assert "negative flips, old → compat" in str(caught.value)
    assert caught.value.before.negative_flips == tuple(range(10))


def test_flips_reduced_at_the_cost_of_accuracy():
    old = answers(wrong=range(10))
    new = answers(wrong=range(10, 14))
    compat = answers(wrong=(*range(4), 12, 13))  # half the flips, two points less accurate
    with pytest.raises(FlipAssertionError, match=r"accuracy drop, new → compat is 2.00 points"):
        assert_flips_reduced(old, new, compat, min_reduction=0.5)
    assert_flips_reduced(old, new, compat, min_reduction=0.5, max_accuracy_drop=0.02)


def test_where_nothing_flipped_there_is_nothing_to_reduce():
    old, new = answers(), answers()
    assert assert_flips_reduced(old, new, answers(), min_reduction=0.5).negative_flips == ()
    with pytest.raises(FlipAssertionError, match=r"is undefined \(0 → 2 of 100\), less"):
        assert_flips_reduced(
            old, new, answers(wrong=(1, 2)), min_reduction=0.0, max_accuracy_drop=1
        )


def test_a_gate_lists_all_that_was_exceeded():
    old, new = answers(), answers(wrong=range(4))
    limits = gate(max_nfr=0.01, max_accuracy_drop=0.02, max_inconsistency=0.5)
    with pytest.raises(FlipAssertionError) as caught:
        assert_gate(old, new, gate=limits)
    names = [check.measure for check in caught.value.exceeded]
    assert names == ["negative flip rate", "accuracy drop"]
    assert "inconsistency rate" in str(caught.value)
    assert "≤ 50.00 %  kept" in str(caught.value)


def test_a_gate_without_limits_is_refused_since_it_would_pass_everything():
    with pytest.raises(ValueError, match="no limit and would pass everything"):
        assert_gate(answers(), answers(wrong=range(N)), gate=gate())


def test_a_gate_with_confidence_judges_bounds():
    old, new = answers(), answers(wrong=range(4))
    assert_gate(old, new, gate=gate(max_nfr=0.04, max_accuracy_drop=0.04, max_inconsistency=0.04))
    with pytest.raises(FlipAssertionError) as caught:
        assert_gate(old, new, gate=gate(max_nfr=0.04, max_accuracy_drop=0.04, confidence=0.9))
    assert [check.confidence for check in caught.value.exceeded] == [0.9, 0.9]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_rate": 2}, "max_rate=2 is not a fraction between 0 and 1; for 2 % write 0.02"),
        ({"max_rate": -0.1}, "max_rate=-0.1 is not a fraction"),
        ({"max_rate": math.nan}, "max_rate=nan is not a fraction"),
        ({"max_rate": "0.1"}, "max_rate='0.1' is not a fraction"),
        ({"max_rate": 0.1, "confidence": 1}, "confidence=1 is not between 0 and 1"),
        ({"max_rate": 0.1, "confidence": 95}, "for 95 % write 0.95"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        assert_negative_flip_rate(answers(), answers(), **arguments)


def test_every_limit_has_its_range():
    old = answers()
    calls = {
        "max_rate": lambda: assert_inconsistency_rate(old, old, max_rate=1.5),
        "max_drop": lambda: assert_accuracy_drop(old, old, max_drop=-2),
        "max_regress": lambda: assert_mean_regress(old, old, max_regress=-0.1),
        "min_reduction": lambda: assert_flips_reduced(old, old, old, min_reduction=25),
        "max_accuracy_drop": lambda: assert_flips_reduced(
            old, old, old, min_reduction=0, max_accuracy_drop=5
        ),
        "max_nfr": lambda: assert_gate(old, old, gate=gate(max_nfr=3)),
        "max_inconsistency": lambda: assert_gate(old, old, gate=gate(max_inconsistency=3)),
        "confidence": lambda: assert_gate(old, old, gate=gate(confidence=0)),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=f"{name}="):
            call()


def needed(wrong: Iterable[int] = (), unasked: Iterable[int] = range(90, N)) -> Predictions:
    """Give what a model answers that is not asked the last ten, which the old one has wrong."""
    rows = [row for row in answers(wrong) if row.id not in set(unasked)]
    return Predictions(rows, task="support", unasked=tuple(unasked))


def test_negative_flips_alone_need_no_answer_that_cannot_flip():
    old = answers(wrong=range(90, N))
    report = assert_negative_flip_rate(old, needed(wrong=range(3)), max_rate=0.03)
    assert (report.negative_flips, report.n) == ((0, 1, 2), N)
    assert_gate(old, needed(wrong=range(3)), gate=gate(max_nfr=0.08, confidence=0.95))
    with pytest.raises(
        FlipAssertionError, match=r"(?s)rate is 3.00 % \(3 of 100\).*\n10 of 100 .*not"
    ):
        assert_gate(old, needed(wrong=range(3)), gate=gate(max_nfr=0.02))


MISSING = (
    "support: {} needs the new model's answers to all 100 examples, and it was not asked 10 of "
    'them, which the old model has wrong\n  set [run] score = "all" and [gate] sequential = false{}'
)


@pytest.mark.parametrize(
    ("judge", "what", "instead"),
    [
        (
            lambda old, new: assert_inconsistency_rate(old, new, max_rate=1),
            "the inconsistency rate",
            "",
        ),
        (lambda old, new: assert_accuracy_drop(old, new, max_drop=1), "the accuracy drop", ""),
        (lambda old, new: assert_mean_regress(old, new, max_regress=1), "the mean regress", ""),
        (
            lambda old, new: assert_gate(old, new, gate=gate(max_nfr=1, max_accuracy_drop=1)),
            "[gate] max_accuracy_drop",
            ", or leave max_accuracy_drop out",
        ),
        (
            lambda old, new: assert_gate(old, new, gate=gate(max_inconsistency=1)),
            "[gate] max_inconsistency",
            ", or leave max_inconsistency out",
        ),
        (
            lambda old, new: assert_flips_reduced(old, new, new, min_reduction=0),
            "the accuracy drop from new to compat",
            ", or give max_accuracy_drop=None to judge flips alone",
        ),
        (
            lambda old, new: assert_flips_reduced(old, new, answers(), min_reduction=0),
            "the accuracy drop from new to compat",
            ", or give max_accuracy_drop=None to judge flips alone",
        ),
        (
            lambda old, new: assert_flips_reduced(old, answers(), new, min_reduction=0),
            "the accuracy drop from new to compat",
            ", or give max_accuracy_drop=None to judge flips alone",
        ),
    ],
)
def test_what_needs_all_answers_says_that_some_were_not_asked(judge, what, instead):
    with pytest.raises(ComparisonError) as caught:
        judge(answers(wrong=range(90, N)), needed())
    assert str(caught.value) == MISSING.format(what, instead)


def test_flips_reduced_may_leave_accuracy_out():
    old = answers(wrong=range(90, N))
    new, compat = needed(wrong=range(8)), needed(wrong=range(4))
    report = assert_flips_reduced(old, new, compat, min_reduction=0.5, max_accuracy_drop=None)
    assert report.negative_flips == (0, 1, 2, 3)
    with pytest.raises(FlipAssertionError, match=r"is 50.00 % \(8 → 4 of 100\)") as caught:
        assert_flips_reduced(old, new, compat, min_reduction=0.6, max_accuracy_drop=None)
    assert [check.measure for check in caught.value.checks] == [
        "reduction of negative flips, new → compat"
    ]
    worse = answers(wrong=range(20))
    assert_flips_reduced(answers(), worse, worse, min_reduction=0, max_accuracy_drop=None)


def test_lists_without_gold_answers_are_refused():
    with pytest.raises(ComparisonError, match=r"Predictions\.from_lists"):
        assert_negative_flip_rate([1, 2], [1, 2], max_rate=0.1)


def test_an_error_travels_between_processes():
    with pytest.raises(FlipAssertionError) as caught:
        assert_accuracy_drop(answers(), answers(wrong=[1]), max_drop=0)
    error = caught.value
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_assertion_that_cannot_judge_points_at_the_line_of_the_test(pytester: pytest.Pytester):
    pytester.makepyfile(
        """
        import dataclasses
        from pytest_muscle.assertions import assert_accuracy_drop
        from pytest_muscle.predictions import Predictions

        def test_update():
            old = Predictions.from_lists("ab", [1, 0], [1, 1], task="support")
            new = dataclasses.replace(Predictions.from_lists("a", [1], [1]), unasked=("b",))
            assert_accuracy_drop(old, new, max_drop=0.1)
        """
    )
    result = pytester.runpytest("-p", "no:muscle")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*assert_accuracy_drop(old, new, max_drop=0.1)",
            "E *ComparisonError: support: the accuracy drop needs the new model's answers to*",
            'E *set ?run? score = "all" and ?gate? sequential = false',
        ]
    )
    result.stdout.no_fnmatch_line("*raise ComparisonError*")


def test_importing_the_assertions_loads_nothing_heavy():
    code = (
        "import sys, pytest_muscle.assertions, pytest_muscle.reports.terminal;"
        "print({'torch', 'transformers', 'peft', 'scipy', 'numpy', 'tabulate'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_failure_points_at_the_line_of_the_test(pytester: pytest.Pytester):
    pytester.makepyfile(
        """
        from pytest_muscle.assertions import assert_negative_flip_rate
        from pytest_muscle.predictions import Predictions

        def test_update():
            old = Predictions.from_lists("ab", [1, 1], [1, 1], task="support")
            new = Predictions.from_lists("ab", [1, 0], [1, 1])
            assert_negative_flip_rate(old, new, max_rate=0.1)
        """
    )
    result = pytester.runpytest("-p", "no:muscle")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*assert_negative_flip_rate(old, new, max_rate=0.1)",
            "E *task 'support': negative flip rate is 50.00 % (1 of 2), more than*10.00 %.",
            "E * b     1       1      0",
        ]
    )
    result.stdout.no_fnmatch_line("*raise FlipAssertionError*")
