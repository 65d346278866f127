"""[run] score: whether new and compat model are asked everything or only what can flip."""

from __future__ import annotations

import json
import re

import pytest

COUNTED = """
    import pytest
    from pytest_muscle.models import LanguageModel

    @pytest.fixture(scope="session", autouse=True)
    def asked():
        counts = {}
        score = LanguageModel.loglikelihoods

        def count(self, requests, *, description, **options):
            requests = list(requests)
            side = description.split()[1]
            counts[side] = counts.get(side, 0) + len(requests)
            return score(self, requests, description=description, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LanguageModel, "loglikelihoods", count)
            yield counts
"""


@pytest.fixture
def needed(trained_project: pytest.Pytester) -> pytest.Pytester:
    """The tiny project, asking only what is needed, and counting what is asked."""
    path = trained_project.path / "muscle.toml"
    path.write_text(path.read_text() + 'score = "needed"\n')
    trained_project.makeconftest(COUNTED)
    return trained_project


def test_new_and_compat_are_asked_only_what_the_old_model_has_right(needed):
    needed.makepyfile(
        """
        import dataclasses
        from pytest_muscle import ModelUpdate, assert_flips_reduced, compare
        from pytest_muscle import assert_negative_flip_rate

        def test_counts(old_predictions, new_predictions, compat_predictions, asked, tmp_path):
            right = [row.id for row in old_predictions if row.correct]
            assert 0 < len(right) < 40
            assert asked == {"new": len(right), "compat": len(right)}  # the old table is stored
            assert [row.id for row in new_predictions] == right
            assert len(new_predictions.unasked) == 40 - len(right)
            new_predictions.save(tmp_path / "new.jsonl")
            assert type(new_predictions).load(tmp_path / "new.jsonl") == new_predictions

        def test_flips_are_those_of_all_answers(model_update, flip_report):
            settings = model_update.settings
            run = dataclasses.replace(settings.run, score="all")
            whole = ModelUpdate(dataclasses.replace(settings, run=run)).flip_report("colours")
            assert whole.new_accuracy >= 0
            assert flip_report.negative_flips == whole.negative_flips
            assert flip_report.n == whole.n == 40
            assert flip_report.list_negative_flips() == whole.list_negative_flips()

        def test_limits(old_predictions, new_predictions, compat_predictions):
            assert_negative_flip_rate(old_predictions, new_predictions, max_rate=1.0)
            assert_flips_reduced(
                old_predictions, new_predictions, new_predictions,
                min_reduction=0.0, max_accuracy_drop=None,
            )
        """
    )
    result = needed.runpytest_inprocess("-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        [
            "colours *40 *→– * – * passed*",
            '–: not known with ?run? score = "needed" or ?gate? sequential = true',
            "colours *n *NFR old→new *95 % interval*",
            "place = * *–*",
        ]
    )


def test_a_gate_on_accuracy_says_what_forbids_it(needed):
    path = needed.path / "muscle.toml"
    path.write_text(path.read_text() + "\n[gate]\nmax_nfr = 1.0\nmax_accuracy_drop = 0.5\n")
    needed.makepyfile(
        """
        from pytest_muscle import assert_gate

        def test_gate(muscle_task, old_predictions, new_predictions):
            assert_gate(old_predictions, new_predictions, gate=muscle_task.gate)
        """
    )
    result = needed.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *ComparisonError: colours: ?gate? max_accuracy_drop needs the new model's answers *",
            'E *set ?run? score = "all" and ?gate? sequential = false, or leave *drop out',
        ]
    )
    path.write_text(path.read_text().replace("max_accuracy_drop = 0.5\n", ""))
    needed.runpytest_inprocess().assert_outcomes(passed=1)


def test_where_the_old_model_has_nothing_right_nobody_else_is_asked(needed):
    data = needed.path / "data" / "eval.jsonl"
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    for row in rows:
        row["label"] = 1
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    needed.makepyfile(first="def option(loglikelihoods, options): return 0")
    path = needed.path / "muscle.toml"
    text = path.read_text().replace("[adapter]", 'metric = "first:option"\n[adapter]')
    path.write_text(text)
    needed.syspathinsert()
    needed.makepyfile(
        """
        from pytest_muscle import assert_negative_flip_rate

        def test_flips(old_predictions, new_predictions, asked, model_update):
            assert old_predictions.accuracy == 0
            assert asked == {"old": 40}
            assert not model_update.base("new").loaded
            assert_negative_flip_rate(old_predictions, new_predictions, max_rate=0.0)
        """
    )
    result = needed.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    assert re.search(r"colours +40 +0\.0→– +0\.00 ", result.stdout.str())


def test_a_word_that_is_neither_is_a_usage_error(needed):
    path = needed.path / "muscle.toml"
    path.write_text(path.read_text().replace('"needed"', '"some"'))
    result = needed.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: muscle.toml: run.score: expected 'all' or 'needed', *"])
