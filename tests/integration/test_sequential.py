"""[gate] sequential: the new model is asked in a random order until max_nfr is decided."""

from __future__ import annotations

import json
import re
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from pytest_muscle.models import scoring
from tests.conftest import MODELS_AND_TASK, colour_rows, write_jsonl
from tests.integration.test_second_run import REFUSE

RUN = """
[run]
device = "cpu"
dtype = "float32"
batch_tokens = 100
"""

COUNTED = """
    import pytest
    from pytest_muscle.models import LanguageModel

    @pytest.fixture(scope="session", autouse=True)
    def asked():
        counts = {}
        score = LanguageModel.loglikelihoods

        def count(self, requests, *, description, **options):
            answers = score(self, requests, description=description, **options)
            counts[description.split()[1]] = len(answers)
            return answers

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LanguageModel, "loglikelihoods", count)
            yield counts
"""

ASSERTED = """
    from pytest_muscle import assert_gate

    def test_gate(muscle_task, old_predictions, new_predictions):
        assert_gate(old_predictions, new_predictions, gate=muscle_task.gate)
"""


class Project:
    """600 questions and two models that have learned nothing: the old one has a quarter right.

    Args:
        pytester: Its directory.
        models: Where the tiny models are.
    """

    def __init__(self, pytester: pytest.Pytester, models: Path) -> None:
        self.pytester = pytester
        self._models = models
        rows = [row for seed in range(6) for row in colour_rows(100, seed)]
        write_jsonl(pytester.path / "data" / "eval.jsonl", rows)
        self.gate()

    def gate(self, new: str = "v1", gate: str = "max_nfr = 0.05", sequential: bool = True) -> None:
        """Write muscle.toml: the new model, and the gate's limits."""
        text = MODELS_AND_TASK.replace('train = "data/train.jsonl"\n', "")
        text = text.format(models=self._models).replace(
            f'"{self._models}/v2"', f'"{self._models}/{new}"'
        )
        gates = f"\n[gate]\n{gate}\nsequential = {str(sequential).lower()}\n"
        (self.pytester.path / "muscle.toml").write_text(text + RUN + gates)

    def table(self, side: str = "new") -> Path:
        """Return the stored table of a side."""
        (path,) = self.pytester.path.glob(f".muscle_cache/predictions/colours-{side}-*.jsonl")
        return path


@pytest.fixture
def project(pytester: pytest.Pytester, tiny_models: Path, trained_cache: Path) -> Project:
    """The project; what is heavy is imported in this process already, see `tiny_project`."""
    pytester.makeini("[pytest]\n")
    pytester.makeconftest(COUNTED)
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


def test_a_complete_table_is_used_where_it_is_stored(project):
    project.gate("v2", "max_nfr = 0.03", sequential=False)
    project.pytester.makepyfile(
        """
        def test_rate(flip_report):
            assert flip_report.negative_flip_rate > 0.03
        """
    )
    project.pytester.runpytest_inprocess().assert_outcomes(passed=1)
    project.gate("v2", "max_nfr = 0.03")
    project.pytester.makepyfile(
        """
        def test_rate(flip_report, new_predictions, asked):
            assert asked == {}
            assert new_predictions.stop is None
            assert flip_report.negative_flip_rate > 0.03
        """
    )
    project.pytester.runpytest_inprocess().assert_outcomes(passed=1)
    path = project.pytester.path / "muscle.toml"
    path.write_text(path.read_text().replace("[run]", '[run]\nscore = "needed"'))
    project.pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_where_all_must_be_asked_all_is_known(project):
    """With --muscle-limit too few can flip for chance to decide; arithmetic needs them all."""
    project.gate("v1", "max_nfr = 0.0")
    project.pytester.makepyfile(
        """
        def test_rate(flip_report, new_predictions, old_predictions, asked):
            assert new_predictions.stop is None
            assert asked["new"] == sum(row.correct for row in old_predictions) < 32
            assert flip_report.negative_flip_rate == 0.0
        """
    )
    project.pytester.runpytest_inprocess("--muscle-limit=80").assert_outcomes(passed=1)


def test_what_cannot_fail_asks_nothing_and_loads_no_model(project):
    project.gate("v2", "max_nfr = 0.9")
    project.pytester.makepyfile(
        """
        from pytest_muscle import assert_gate

        def test_gate(model_update, muscle_task, old_predictions, new_predictions, asked):
            assert asked == {"old": 600}
            assert not model_update.base("new").loaded
            assert new_predictions.stop.asked == 0
            assert_gate(old_predictions, new_predictions, gate=muscle_task.gate)
        """
    )
    result = project.pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    assert re.search(r"colours: new decided after 0 of \d+ .*: passes$", result.stdout.str(), re.M)


def test_a_baseline_asks_everything(project):
    project.gate("v2", "max_nfr = 0.03")
    project.pytester.makepyfile("def test_nothing(): pass")
    result = project.pytester.runpytest_inprocess("--muscle-update-baseline=new")
    assert result.ret == 0
    (baseline,) = project.pytester.path.glob("**/colours.jsonl")
    assert len(baseline.read_text().splitlines()) == 600
    project.gate("v1", "max_nfr = 0.03")
    path = project.pytester.path / "muscle.toml"
    path.write_text(path.read_text()[path.read_text().index("[new]") :])
    project.pytester.makepyfile(
        """
        def test_new(old_predictions, new_predictions):
            assert len(old_predictions) == 600
            assert new_predictions.stop.decision == "fails"
        """
    )
    project.pytester.runpytest_inprocess().assert_outcomes(passed=1)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_killed_it_goes_on_and_stops_where_an_undisturbed_run_does(project, monkeypatch):
    project.gate("v2", "max_nfr = 0.2")  # near the truth: needs several chunks
    project.pytester.makepyfile(
        test_old="def test_old(old_predictions): assert old_predictions", test_gate=ASSERTED
    )
    project.pytester.runpytest_inprocess("test_old.py").assert_outcomes(passed=1)
    batches, run = [], scoring._Scorer._run
    counted = lambda self, *arguments: (batches.append(1), run(self, *arguments))  # noqa: E731
    monkeypatch.setattr(scoring._Scorer, "_run", counted)
    project.pytester.runpytest_inprocess("test_gate.py").assert_outcomes(failed=1)
    wanted, about = project.table().read_text(), _manifest(project.table())
    assert about["stop"]["asked"] > 2 * 32
    whole = len(batches)
    for path in project.pytester.path.glob(".muscle_cache/predictions/*colours-new-*"):
        path.unlink()
    project.pytester.makeconftest(
        f"""
        import os, signal
        from pytest_muscle.models import scoring

        run, left = scoring._Scorer._run, {whole - 2}

        def counted(self, *arguments):
            global left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return run(self, *arguments)

        scoring._Scorer._run = counted
        """
    )
    assert project.pytester.runpytest_subprocess("test_gate.py").ret == -signal.SIGKILL
    assert list(project.pytester.path.glob(".muscle_cache/predictions/.colours-new-*.journal"))
    project.pytester.makeconftest("")
    batches.clear()

    project.pytester.runpytest_inprocess("test_gate.py").assert_outcomes(failed=1)

    assert len(batches) == 2
    assert project.table().read_text() == wanted
    assert _manifest(project.table()) == about
    assert not list(project.pytester.path.glob(".muscle_cache/predictions/.*.journal"))


def _manifest(table: Path) -> dict[str, object]:
    manifest = json.loads(Path(f"{table}.manifest.json").read_text())
    del manifest["facts"]["date"]
    return manifest


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
