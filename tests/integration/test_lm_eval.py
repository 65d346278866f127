"""`task = "lm-eval:NAME"` in muscle.toml, from the command line."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from tests.conftest import colour_rows, write_jsonl

LOADED = """
    import sys

    def pytest_unconfigure():
        heavy = ("torch", "transformers", "datasets", "lm_eval")
        print("LOADED", [name for name in heavy if name in sys.modules])
"""
DEFINITION = """
task: colours
dataset_path: json
dataset_kwargs:
  data_files: {train: data/train.jsonl, test: data/eval.jsonl}
  cache_dir: hub
training_split: train
test_split: test
output_type: multiple_choice
num_fewshot: 1
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{options}}"
doc_to_target: label
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
CONFIGURATION = """
[old]
model = "{models}/v1"
[new]
model = "{models}/v2"
[tasks.a]
task = "lm-eval:{name}?include_path=tasks"
slices = ["place"]
{keys}
[gate]
max_nfr = 0.99
[adapter]
rank = 8
epochs = 1
batch_size = 8
gradient_accumulation = 1
[run]
device = "cpu"
dtype = "float32"
"""


@pytest.fixture
def project(pytester, tiny_models):
    """A function that writes a project whose task is a definition."""
    write_jsonl(pytester.path / "data" / "train.jsonl", colour_rows(20, 7))
    write_jsonl(pytester.path / "data" / "eval.jsonl", colour_rows(20, 8))
    (pytester.path / "tasks").mkdir()
    (pytester.path / "tasks" / "colours.yaml").write_text(DEFINITION)
    pytester.makeini("[pytest]\n")

    def write(name: str = "colours", keys: str = "") -> pytest.Pytester:
        text = CONFIGURATION.format(models=tiny_models, name=name, keys=keys)
        (pytester.path / "muscle.toml").write_text(text)
        return pytester

    return write


def test_the_second_run_loads_nothing(project):
    pytester = project()
    pytester.makeconftest(LOADED)
    first = pytester.runpytest_subprocess("muscle.toml", "-v")
    first.assert_outcomes(passed=1)
    first.stdout.fnmatch_lines(["muscle.toml::a::negative_flips?new? PASSED*", "LOADED *lm_eval*"])

    second = pytester.runpytest_subprocess("muscle.toml", "-v")

    second.assert_outcomes(passed=1)
    second.stdout.fnmatch_lines(["LOADED []*"])
    table = [line for line in first.outlines if line.startswith(("a ", "place = "))]
    assert table == [line for line in second.outlines if line.startswith(("a ", "place = "))]
    assert any(" 20 " in line for line in table)


def test_workers_and_a_compat_adapter_of_the_training_split(project):
    pytester = project(keys='train = "training"\n[compat]\nepochs = 1')
    result = pytester.runpytest_subprocess("muscle.toml", "-n", "2", "-p", "xdist")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*old→compat*", "a * 20 *passed*"])


def test_the_plan_needs_no_model(project):
    pytester = project()
    result = pytester.runpytest_subprocess("--muscle-plan", "--muscle-limit=7")
    result.stdout.fnmatch_lines(["a *NFR ≤ 99.00 %* 7 *"])


def test_one_definition_that_fails_takes_no_other_task_with_it(project):
    pytester = project(keys='[tasks.b]\ntask = "lm-eval:nowhere?include_path=tasks"')
    result = pytester.runpytest_subprocess("muscle.toml")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*tasks.b.task: there is no definition 'nowhere'*"])


def test_it_is_shown_as_the_definition_says(project):
    result = project().runpytest_subprocess("--muscle-show")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "  kind         multiple_choice, metric acc",
            "  evaluation   20 examples, lm-eval:colours*",
            "  few-shot     1 example, as the definition says",
        ]
    )


def test_a_wrong_name_gets_near_ones(project):
    result = project(name="arc_eazy").runpytest_subprocess("muscle.toml")
    result.stdout.fnmatch_lines(
        [
            "ConfigurationError: muscle.toml: tasks.a.task: there is no definition 'arc_eazy'",
            "*did you mean 'arc_easy' or *",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_missing_data_are_named(project):
    pytester = project()
    (pytester.path / "data" / "eval.jsonl").unlink()
    result = pytester.runpytest_subprocess("muscle.toml")
    result.stdout.fnmatch_lines(
        ["DataError: muscle.toml: tasks.a.task: the data of colours (json) cannot be had: *eval*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_without_the_harness_it_is_said_how_to_get_it(project, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "lm_eval" else found(name)
    )
    monkeypatch.delitem(sys.modules, "lm_eval", raising=False)
    result = project().runpytest_inprocess("muscle.toml")
    result.stdout.fnmatch_lines(
        [
            "ConfigurationError: muscle.toml: tasks.a.task: needs lm-evaluation-harness*",
            "*pip install 'pytest-muscle?lm-eval?'",
        ]
    )


def test_a_failure_shows_its_examples(project):
    pytester = project()
    path = pytester.path / "muscle.toml"
    path.write_text(path.read_text().replace("0.99", "0.0"))
    result = pytester.runpytest_subprocess("muscle.toml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*colours/*Which colour has the*"])
