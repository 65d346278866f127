"""[gate] sequential: the new model is asked in a random order until max_nfr is decided."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.integration.deciding import ASSERTED, Project
from tests.integration.test_second_run import REFUSE


@pytest.fixture
def project(pytester: pytest.Pytester, tiny_models: Path, trained_cache: Path) -> Project:
    """The project; what is heavy is imported in this process already, see `tiny_project`."""
    return Project(pytester, tiny_models)


def test_a_passing_gate_asks_few_and_a_second_run_needs_no_model(project):
    project.pytester.makepyfile(
        """
        from pytest_muscle import assert_gate, assert_negative_flip_rate

        def test_gate(muscle_task, old_predictions, new_predictions, asked, flip_report):
            gate = muscle_task.gate
            right = {row.id for row in old_predictions if row.correct}
            stop = new_predictions.stop
            assert 100 < stop.can_flip == len(right)
            assert (stop.population, stop.flips, stop.decision) == (600, 0, "passes")
            assert 0 < stop.asked == len(new_predictions) < len(right) - 30
            assert asked.get("new", stop.asked) == stop.asked
            ids = [row.id for row in new_predictions]
            assert set(ids) < right
            order = [row.id for row in old_predictions]
            assert ids == sorted(ids, key=order.index)
            assert {*ids, *new_predictions.unasked} == set(order)
            report = assert_gate(old_predictions, new_predictions, gate=gate)
            assert_negative_flip_rate(old_predictions, new_predictions, max_rate=0.05)
            assert report.n == flip_report.n == 600
            assert "negative_flips>=0, stopped: 'passes' after" in repr(report)
        """
    )
    result = project.pytester.runpytest_inprocess("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "colours * 600 *→– *≥0.00 *–* passed*",
            "≥: seen when the gate was decided, ?gate? sequential = true; –: not known",
            "colours: new decided after * of * that can flip (of 600): passes at 95 % confidence",
        ]
    )
    result.stderr.fnmatch_lines(
        ["muscle: colours: new model decided after * (of 600): passes at 95 % confidence"]
    )
    asked = "import pytest\n\n@pytest.fixture\ndef asked():\n    return {}\n"
    project.pytester.makeconftest(textwrap.dedent(REFUSE) + asked)

    second = project.pytester.runpytest_subprocess("-v")

    second.assert_outcomes(passed=1)
    (loaded,) = [line for line in second.outlines if line.startswith("LOADED")]
    assert "torch" not in loaded
    assert "transformers" not in loaded
    row = [line for line in result.outlines if line.startswith("colours")]
    assert row == [line for line in second.outlines if line.startswith("colours")]


def test_a_failing_gate_shows_the_flips_seen_and_the_reason(project):
    project.gate("v2", "max_nfr = 0.03\nconfidence = 0.99")
    project.pytester.makepyfile(ASSERTED)

    result = project.pytester.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *FlipAssertionError: task 'colours': 99 % upper bound of the negative flip rate is "
            "more than the allowed 3.00 %; * of * examples asked flip*",
            "E *99 % upper bound of the negative flip rate *≥ * % (* asked) * ≤ 3.00 %  exceeded",
            "E *Asked were * of the * examples that can flip, in a random order, of 600 in all *",
            "E *negative flips seen, old → new, the first 10 of *",
            "colours: new decided after * of * that can flip (of 600): fails*",
        ]
    )


def test_everything_else_is_refused_with_what_to_do(project):
    project.gate("v2", "max_nfr = 0.03")
    project.pytester.makepyfile(
        """
        import pytest
        from pytest_muscle import assert_accuracy_drop, assert_flips_reduced, assert_gate
        from pytest_muscle import assert_inconsistency_rate, assert_negative_flip_rate
        from pytest_muscle.errors import ComparisonError, PredictionsError
        from pytest_muscle.settings import GateSettings

        ASK_ALL = r"set \\[gate\\] sequential = false"

        def test_assertions(old_predictions, new_predictions):
            pair = old_predictions, new_predictions
            for call in (
                lambda: assert_negative_flip_rate(*pair, max_rate=0.04),
                lambda: assert_negative_flip_rate(*pair, max_rate=0.03, confidence=0.95),
                lambda: assert_gate(*pair, gate=GateSettings(max_nfr=0.5)),
                lambda: assert_gate(*pair, gate=GateSettings(max_nfr=0.03, max_inconsistency=1.0)),
                lambda: assert_gate(*pair, gate=GateSettings(max_accuracy_drop=1.0)),
                lambda: assert_accuracy_drop(*pair, max_drop=1.0),
                lambda: assert_inconsistency_rate(*pair, max_rate=1.0),
                lambda: assert_flips_reduced(
                    *pair, new_predictions, min_reduction=0.0, max_accuracy_drop=None
                ),
            ):
                with pytest.raises(ComparisonError, match=ASK_ALL) as caught:
                    call()
                assert "stopped early, decided after" in str(caught.value)
            with pytest.raises(AssertionError):
                assert_negative_flip_rate(*pair, max_rate=0.03)

        NAMES = [
            "negative_flips", "positive_flips", "new_accuracy", "accuracy_drop",
            "negative_flip_rate", "positive_flip_rate", "inconsistency_rate",
            "relative_negative_flip_rate", "trust_compatibility", "mean_gain", "mean_regress",
            "mcnemar_p",
        ]

        @pytest.mark.parametrize("name", NAMES)
        def test_figures(flip_report, name):
            with pytest.raises(ComparisonError, match=ASK_ALL):
                getattr(flip_report, name)

        @pytest.mark.parametrize("name", [
            "negative_flip_interval", "negative_flip_upper_bound", "accuracy_drop_interval",
            "accuracy_drop_upper_bound", "mean_regress_upper_bound", "list_negative_flips",
        ])
        def test_bounds_and_lists(flip_report, name):
            with pytest.raises(ComparisonError, match=ASK_ALL):
                getattr(flip_report, name)()

        def test_the_table(flip_report, new_predictions):
            with pytest.raises(PredictionsError, match=ASK_ALL):
                new_predictions.accuracy
            seen = flip_report.list_seen_flips()
            assert len(seen) == new_predictions.stop.flips
            assert {flip.id for flip in seen} <= {row.id for row in new_predictions}
        """
    )
    result = project.pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1 + 12 + 6 + 1)


def test_workers_of_xdist_send_what_was_decided(project):
    project.gate("v2", "max_nfr = 0.03")
    project.pytester.makepyfile(ASSERTED)
    result = project.pytester.runpytest_subprocess("-n1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "colours * 600 *→– *≥* –* FAILED*",
            "colours: new decided after * that can flip (of 600): fails*",
        ]
    )


def test_graded_texts_stop_as_well_and_their_flips_are_those_of_all(project):
    project.gate("v2", "max_nfr = 0.04")
    path = project.pytester.path / "muscle.toml"
    task = """kind = "generation"
eval = "data/eval.jsonl"
prompt = "Question: {{ question }}\\\\nAnswer:"
gold = "{{ options[label] }}"
metric = "marks:by_letters"
max_new_tokens = 4
"""
    text = path.read_text()
    start, end = text.index('kind = "multiple_choice"'), text.index("\n[run]")
    path.write_text(text[:start] + task + text[end:])
    letters = "def by_letters(answer, gold, fields): return 1 - sum(map(ord, answer)) % 7 / 7"
    project.pytester.makepyfile(marks=letters)
    project.pytester.syspathinsert()
    project.pytester.makepyfile(
        """
        import dataclasses
        from pytest_muscle import ModelUpdate

        def test_flips(model_update, old_predictions, new_predictions, flip_report):
            assert old_predictions.graded
            stop = new_predictions.stop
            assert (stop.can_flip, stop.population, stop.decision) == (120, 120, "fails")
            assert 0 < stop.asked == len(new_predictions) < 120
            settings = model_update.settings
            task = settings.tasks["colours"]
            gate = dataclasses.replace(task.gate, sequential=False)
            tasks = {"colours": dataclasses.replace(task, gate=gate)}
            whole = ModelUpdate(dataclasses.replace(settings, tasks=tasks)).flip_report("colours")
            asked = {row.id for row in new_predictions}
            seen = {flip.id for flip in flip_report.list_seen_flips()}
            assert 0 < len(seen) == stop.flips
            assert seen == asked & set(whole.negative_flips)
            assert whole.negative_flip_rate > 0.04
        """
    )
    project.pytester.runpytest_inprocess("--muscle-limit=120").assert_outcomes(passed=1)
