"""Tasks whose answers the model writes, beside one whose options it chooses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

WRITTEN = """
[tasks.written]
kind = "generation"
train = "data/train.jsonl"
eval = "data/eval.jsonl"
prompt = "Question: {{ question }}\\nAnswer:"
gold = "{{ options[label] }}"
max_new_tokens = 6
extract = "[a-z]+"
extract_match = "first"
slices = ["place"]
"""


COMPAT = """
[compat]
epochs = 2
learning_rate = 1e-3
"""


def add_tasks(project: pytest.Pytester, text: str) -> None:
    """Put tasks before the first table of another kind, and train for as long as they need."""
    path = project.path / "muscle.toml"
    before, adapter, after = path.read_text().partition("\n[adapter]")
    after = after.replace("epochs = 2", "epochs = 15")
    path.write_text(f"{before}\n{text}{adapter}{after}{COMPAT}")


MARKED = """
[tasks.marked]
kind = "generation"
eval = "data/eval.jsonl"
prompt = "Question: {{ question }}\\nAnswer:"
gold = "the {{ options[label] }} of the {{ place }}"
metric = "marks:by_chance"
tolerance = 0.05
max_new_tokens = 8
fewshot = 2
fewshot_data = "data/train.jsonl"
"""


BY_CHANCE = """
    from zlib import crc32

    def by_chance(answer, gold, fields):
        return crc32(answer.encode()) % 1000 / 1000
"""
"""Two models that write different texts fall in about half of their examples, on any machine."""


@pytest.fixture(scope="module")
def written_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the first run of a test leaves its cache in."""
    return tmp_path_factory.mktemp("written") / "cache"


@pytest.fixture
def written(tiny_project: pytest.Pytester, written_cache: Path) -> pytest.Pytester:
    """The tiny project with two more tasks, their answers kept from one test to the next."""
    add_tasks(tiny_project, WRITTEN + MARKED)
    tiny_project.makepyfile(marks=BY_CHANCE)
    if written_cache.is_dir():
        shutil.copytree(written_cache, tiny_project.path / ".muscle_cache", dirs_exist_ok=True)
    return tiny_project


def keep(project: pytest.Pytester, cache: Path) -> None:
    if not cache.is_dir():
        shutil.copytree(project.path / ".muscle_cache", cache)


NEVER = """
[tasks.never]
kind = "generation"
eval = "data/eval.jsonl"
prompt = "{{ question }}"
gold = "{{ options[label] }}"
extract = "#### ([0-9]+)"
max_new_tokens = 2

[gate]
max_nfr = 0.0
"""


def test_an_expression_that_finds_no_answer_is_no_silent_pass(tiny_project):
    add_tasks(tiny_project, NEVER)
    result = tiny_project.runpytest_inprocess("muscle.toml", "-k", "never and new")
    result.assert_outcomes(passed=1, warnings=1, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "*MuscleWarning: muscle.toml: tasks.never: no answer was found in what the old model "
            "wrote to 40 examples, whatever the new one answers"
        ]
    )


def test_generation_and_multiple_choice_stand_side_by_side(written, written_cache):
    written.makepyfile(
        """
        import pytest
        from pytest_muscle import assert_mean_regress, assert_negative_flip_rate

        def test_flips(old_predictions, new_predictions):
            assert_negative_flip_rate(old_predictions, new_predictions, max_rate=1)

        @pytest.mark.muscle(tasks=["written"])
        def test_right_or_wrong(old_predictions, new_predictions, compat_predictions):
            for table in (old_predictions, new_predictions, compat_predictions):
                assert not table.graded and len(table) == 40
                assert all(row.score == row.correct for row in table)
                assert all(row.text is not None for row in table)
                assert all(row.answer == row.gold for row in table if row.correct)
            colours = {row.gold for row in old_predictions}
            said = [row.answer in colours for row in old_predictions]
            assert sum(said) > 20  # the adapter has learnt to say colours

        @pytest.mark.muscle(tasks=["marked"])
        def test_scores(old_predictions, new_predictions, flip_report):
            assert old_predictions.graded and flip_report.pairs.tolerance == 0.05
            old = [row.score for row in old_predictions]
            new = [row.score for row in new_predictions]
            falls = [a - b for a, b in zip(old, new) if a - b > 0.05]
            assert len(falls) > 5
            assert flip_report.negative_flip_rate == len(falls) / 40
            assert flip_report.mean_regress == pytest.approx(sum(falls) / len(falls))
            assert_mean_regress(old_predictions, new_predictions, max_regress=1, confidence=0.9)
        """
    )
    result = written.runpytest_subprocess()
    result.assert_outcomes(passed=5)
    keep(written, written_cache)
    table = result.stdout.str().partition("= model update =")[2]
    rows = {line.split()[0]: line.split()[1] for line in table.splitlines() if " 40 " in line}
    assert rows == {"colours": "40", "written": "40", "marked": "40"}
    result.stdout.fnmatch_lines(
        ["*marked: graded scores; accuracy is their mean, NFR and PFR fall and rise by more than*"]
    )


def test_a_second_run_loads_no_model(written, written_cache):
    written.makepyfile(
        """
        import sys

        def test_flips(flip_report):
            assert flip_report.n == 40
            assert "torch" not in sys.modules
        """
    )
    if not written_cache.is_dir():
        written.runpytest_subprocess()
        keep(written, written_cache)
    result = written.runpytest_subprocess()
    result.assert_outcomes(passed=3)


def test_a_failure_shows_what_was_written(written):
    written.makepyfile(
        """
        import pytest
        from pytest_muscle import assert_negative_flip_rate

        @pytest.mark.muscle(tasks=["marked"])
        def test_flips(old_predictions, new_predictions):
            assert_negative_flip_rate(old_predictions, new_predictions, max_rate=0)
        """
    )
    result = written.runpytest_subprocess("-vv")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*mean score old → new*",
            "*negative flips, old → new:",
            "*  prompt  Question: *",
            "*  gold    the * of the *",
            "*  old     0.*",
            "*  new     0.*",
        ]
    )


def test_what_needs_right_and_wrong_says_so(written):
    written.makepyfile(
        """
        import pytest
        from pytest_muscle import assert_inconsistency_rate

        @pytest.mark.muscle(tasks=["marked"])
        def test_inconsistency(old_predictions, new_predictions):
            assert_inconsistency_rate(old_predictions, new_predictions, max_rate=1)
        """
    )
    result = written.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*these have graded scores*", "*mean_regress are*"])


def test_a_baseline_of_texts_needs_no_old_model(written, written_cache):
    written.runpytest_subprocess("--muscle-update-baseline").stdout.fnmatch_lines(
        ["*marked: 40 examples*"]
    )
    keep(written, written_cache)
    lines = (written.path / "muscle_baselines" / "marked.jsonl").read_text().splitlines()
    assert all(json.loads(line)["text"] is not None for line in lines)
    path = written.path / "muscle.toml"
    _, new, rest = path.read_text().partition("[new]")
    path.write_text(new + rest)
    written.makepyfile(
        """
        import pytest

        @pytest.mark.muscle(tasks=["marked", "written"])
        def test_flips(old_predictions, flip_report):
            assert flip_report.n == 40
        """
    )
    written.runpytest_subprocess().assert_outcomes(passed=2)


SAMPLED = """
[tasks.drawn]
kind = "generation"
eval = "data/eval.jsonl"
prompt = "Question: {{ question }}\\nAnswer:"
gold = "{{ options[label] }}"
metric = "my_metrics:starts_alike"
max_new_tokens = 4
temperature = 0.7
repeats = 4
"""


def test_drawn_answers_flip_beyond_their_own_noise(tiny_project):
    add_tasks(tiny_project, SAMPLED)
    tiny_project.makepyfile(
        my_metrics="def starts_alike(answer, gold, fields):\n    return answer[:1] == gold[:1]\n"
    )
    tiny_project.makepyfile(
        """
        import pytest

        @pytest.mark.muscle(tasks=["drawn"])
        def test_draws(old_predictions, new_predictions, flip_report):
            assert old_predictions.graded
            falls = 0
            for old, new in zip(old_predictions, new_predictions):
                assert len(old.draws) == len(new.draws) == 4
                assert old.score == sum(old.draws) / 4
                # 70 ways to deal four draws to each side: 1 of them is all four before and none
                # after; three before and none after is 1 of 14, more than 5 %.
                falls += sum(old.draws) == 4 and sum(new.draws) == 0
            assert flip_report.negative_flip_rate == falls / 40
        """
    )
    result = tiny_project.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('choices = ["a", "b"]', "*tasks.bad.choices: belongs to multiple_choice*"),
        ("repeats = 3", "*tasks.bad.repeats: has no effect on greedy answers*"),
        ("temperature = 1.0\nrepeats = 2", "*tasks.bad.repeats: 2 draws cannot tell*"),
        ('extract = "(["', "*tasks.bad.extract*"),
        ('metric = "rogue1"', "*there is no metric 'rogue1'*"),
    ],
)
def test_a_mistake_ends_the_run_at_once(tiny_project, line, said):
    add_tasks(
        tiny_project,
        f"""
[tasks.bad]
kind = "generation"
eval = "data/eval.jsonl"
prompt = "{{{{ question }}}}"
gold = "{{{{ label }}}}"
{line}
""",
    )
    tiny_project.makepyfile("def test_flips(flip_report): pass")
    result = tiny_project.runpytest_subprocess()
    assert result.ret != 0
    text = result.stdout.str() + result.stderr.str()
    result_lines = pytest.LineMatcher(text.splitlines())
    result_lines.fnmatch_lines([said])
    assert "Traceback" not in text
