"""Builds of one version: what differs in them, and nothing else; the floor is that of brute force.

How builds by seed are trained and stored stands in integration/test_noise.py.
"""

from __future__ import annotations

import gc
import itertools
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_muscle import ModelUpdate, Predictions, read_settings
from pytest_muscle.builds import plan_builds
from pytest_muscle.errors import ConfigurationError
from pytest_muscle.models import BaseModel, answering
from pytest_muscle.models.placement import Placement
from pytest_muscle.settings.flags import Flags

CONFIGURATION = """\
[old]
model = "v1"

[new]
model = "v2"
adapter = "v2-adapter"

[tasks.colours]
kind = "multiple_choice"
eval = "eval.jsonl"
prompt = "Question: {{ question }}\\nAnswer:"
choices = "{{ options }}"
gold = "{{ label }}"

[tasks.drawn]
kind = "generation"
eval = "eval.jsonl"
prompt = "Question: {{ question }}\\nAnswer:"
gold = "{{ options }}"
metric = "tests.test_builds:mark_by_chance"
temperature = 1.0
max_new_tokens = 3
repeats = 3
tolerance = 0.1
seed = 5
fewshot = 1
fewshot_data = "eval.jsonl"

[tasks.learnt]
kind = "multiple_choice"
train = "eval.jsonl"
eval = "eval.jsonl"
prompt = "Question: {{ question }}\\nAnswer:"
choices = "{{ options }}"
gold = "{{ label }}"

[adapter]
seed = 4294967295

[run]
device = "cpu"
dtype = "float32"
"""
CPU = Placement("cpu", "float32")


def mark_by_chance(answer: Any, gold: Any, fields: Any) -> float:
    """Return a mark that is another one for another text, whatever a model has learnt."""
    return zlib.crc32(answer.encode()) % 1000 / 1000


@pytest.fixture(scope="module")
def made(
    make_tiny_model: Callable[..., Path],
    make_tiny_adapter: Callable[..., Path],
    trained_cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A project whose new adapter is given; nothing is scored yet."""
    folder = tmp_path_factory.mktemp("made")
    for seed, name in enumerate(("v1", "v2")):
        make_tiny_model(folder / name, seed, initializer_range=0.5)
    make_tiny_adapter(folder / "v2", folder / "v2-adapter", 0)
    shutil.copy(trained_cache.parent / "data" / "eval.jsonl", folder)
    (folder / "muscle.toml").write_text(CONFIGURATION)
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """A copy of it of this test's own."""
    return shutil.copytree(made, tmp_path / "project")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What models answered, by the bars' descriptions."""
    descriptions: list[str] = []
    answer = answering.answer

    def counting(*arguments: Any, description: str, **options: Any) -> Predictions:
        descriptions.append(description)
        return answer(*arguments, description=description, **options)

    monkeypatch.setattr(answering, "answer", counting)
    return descriptions


def update_of(
    folder: Path, noise: str = "", *changes: tuple[str, str], **flags: Any
) -> ModelUpdate:
    """The update of a folder, with keys of [noise] and other changes in its file."""
    text = f"{CONFIGURATION}\n[noise]\n{noise}\n"
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "muscle.toml").write_text(text)
    return ModelUpdate(read_settings(folder / "muscle.toml", Flags(**flags), invocation_dir=folder))


def flips_between(builds: Sequence[Predictions], tolerance: float = 0.0) -> float:
    """The mean rate of falls over all ordered pairs of builds, one by one."""
    rates = [
        sum(a.score - b.score > tolerance + 1e-9 for a, b in zip(one, other, strict=True))
        / len(one)
        for one, other in itertools.permutations(builds, 2)
    ]
    return sum(rates) / len(rates)


def test_by_dtype_the_floor_is_between_the_answers_of_runs_in_those_types(project, asked, tmp_path):
    update = update_of(project)
    floor = update.noise_floor("colours")

    assert asked == ["colours: new model answers", "colours: new model answers, build 2 of 2"]
    assert (floor.k, floor.varied, floor.version) == (2, "dtype", "new")
    assert update.noise_floor("colours") is floor
    fresh = [
        update_of(
            project, "", ('dtype = "float32"', f'dtype = "{dtype}"'), cache=str(tmp_path / dtype)
        ).predictions("new", "colours")
        for dtype in ("float32", "bfloat16")
    ]
    assert floor.rate == pytest.approx(flips_between(fresh))
    assert {row.loglikelihoods for row in fresh[0]}.isdisjoint(
        row.loglikelihoods for row in fresh[1]
    )


def test_a_second_run_asks_nothing_and_a_usual_run_in_that_type_neither(project, asked):
    first = update_of(project).noise_floor("colours")
    asked.clear()

    again = update_of(project)
    assert again.noise_floor("colours").shares.tolist() == first.shares.tolist()
    assert not again.base("new").loaded
    other = update_of(project, "", ('dtype = "float32"', 'dtype = "bfloat16"'))
    other.predictions("new", "colours")

    assert asked == []


def test_one_copy_of_a_model_is_in_memory_at_a_time(project):
    update = update_of(project)
    update.predictions("old", "colours")
    update.predictions("new", "colours")
    assert update.base("old").loaded
    assert update.base("new").loaded

    update.noise_floor("colours")

    ours = (each for each in gc.get_objects() if type(each) is BaseModel)
    assert [each for each in ours if each.loaded and each.spec.path.parent == project] == []
    update.model("new").network  # noqa: B018  # it comes back when it is needed
    assert update.base("new").loaded


def test_by_batch_each_size_has_a_table_of_its_own(project, asked):
    floor = update_of(project, 'vary = "batch"\nrepeats = 4').noise_floor("colours")

    note = "colours: new model answers"
    assert asked == [note, *(f"{note}, build {number} of 4" for number in (2, 3, 4))]
    assert floor.rate == 0  # a float32 model of this size answers alike
    assert len(list((project / ".muscle_cache" / "predictions").glob("colours-new-*.jsonl"))) == 4
    asked.clear()
    assert update_of(project, 'vary = "batch"').noise_floor("colours").k == 3
    assert asked == []  # half of all tokens and one example at a time are among the four


def test_by_sampling_only_the_draws_are_others(project, asked, tmp_path):
    floor = update_of(project).noise_floor("drawn")

    assert asked == [
        "drawn: new model answers",
        "drawn: new model answers, build 2 of 3",
        "drawn: new model answers, build 3 of 3",
    ]
    assert (floor.k, floor.varied) == (3, "sampling")
    asked.clear()
    assert update_of(project).noise_floor("drawn").rate == floor.rate
    assert asked == []
    settings = update_of(project).settings
    plan = plan_builds(settings, update_of(project).task("drawn"), CPU)
    usual, *others = (
        ModelUpdate(each, build=build).answers("new", "drawn")
        for each, build in [(settings, None), *((build.settings, build) for build in plan.others)]
    )
    for other in others:
        assert other.columns.digests.differ(usual.columns.digests).sum() == 0  # the same prompts
        assert other.columns.texts.tolist() != usual.columns.texts.tolist()
    assert asked == []


def test_more_builds_than_types_differ_in_their_batches(project):
    assert update_of(project, "repeats = 3").noise_floor("colours").varied == "batch"


def test_without_few_shot_examples_drawn_builds_are_runs_with_other_seeds(project, asked):
    plain = ('fewshot = 1\nfewshot_data = "eval.jsonl"\n', ""), ("repeats = 3\n", "")
    floor = update_of(project, "", *plain).noise_floor("drawn")
    asked.clear()

    tables = [
        update_of(project, "", *plain, ("seed = 5", f"seed = {seed}")).answers("new", "drawn")
        for seed in (5, 6, 7)
    ]

    assert asked == []
    assert floor.rate > 0
    assert floor.rate == pytest.approx(flips_between(tables, tolerance=0.1))


def test_everything_is_asked_though_predictions_are_only_those_needed(project, asked):
    needed = ("[run]", '[run]\nscore = "needed"')
    update = update_of(project, "", needed)
    assert update.predictions("new", "colours").unasked

    floor = update.noise_floor("colours")

    assert len(floor) == 40
    assert asked[2:] == ["colours: new model answers", "colours: new model answers, build 2 of 2"]


def test_the_old_version(project, asked):
    floor = update_of(project, 'version = "old"').noise_floor("colours")
    assert floor.version == "old"
    assert asked == ["colours: old model answers", "colours: old model answers, build 2 of 2"]


def plan(folder: Path, task: str, noise: str = "", *changes: tuple[str, str]) -> Any:
    update = update_of(folder, noise, *changes)
    return plan_builds(update.settings, update.task(task), CPU)


GIVEN = ('adapter = "v2-adapter"\n', "")


def test_left_out_each_task_varies_what_it_can(project):
    assert plan(project, "learnt").varied == "dtype"  # its adapter is given
    assert plan(project, "learnt", "", GIVEN).varied == "seed"
    assert plan(project, "drawn").varied == "sampling"
    assert plan(project, "colours").varied == "dtype"
    assert plan(project, "colours", "", ('[new]\nmodel = "v2"\n' + GIVEN[0], "")).version == "old"


def test_seeds_go_on_from_the_configured_one_and_wrap(project):
    seeds = [build.settings.adapter.seed for build in plan(project, "learnt", "", GIVEN).others]
    assert seeds == [0, 1]
    few = plan(project, "learnt", "repeats = 2", GIVEN)
    assert [build.note for build in few.others] == [", build 2 of 2"]


def test_batches_are_halved_and_the_last_has_one_example(project):
    many = plan(project, "colours", 'vary = "batch"\nrepeats = 4')
    assert [build.settings.run.batch_tokens for build in many.others] == [256, 128, 1]
    own = ("[run]", "[run]\nbatch_tokens = 100")
    two = plan(project, "colours", 'vary = "batch"\nrepeats = 2', own)
    assert [build.variation for build in two.others] == [{"batch_tokens": 1}]


@pytest.mark.parametrize(
    ("task", "noise", "changes", "message"),
    [
        ("colours", 'vary = "sampling"', (), "'colours' chooses among options: no answer is drawn"),
        (
            "drawn",
            'vary = "sampling"',
            (("temperature = 1.0\n", ""), ("repeats = 3\n", "")),
            "'drawn' are greedy: with temperature = 0 none is drawn\n  set temperature above 0",
        ),
        ("learnt", 'vary = "seed"', (), "new version's adapter for task 'learnt' is given"),
        ("colours", 'vary = "seed"', (GIVEN,), "'colours' has no train set"),
        (
            "colours",
            'vary = "dtype"\nrepeats = 3',
            (),
            "device 'cpu' runs 2 types: float32, bfloat16\n  leave",
        ),
        (
            "colours",
            'vary = "batch"\nrepeats = 12',
            (),
            "batches of 512 tokens cannot be halved for 12 builds",
        ),
        (
            "colours",
            'vary = "batch"\nrepeats = 2',
            (("[run]", "[run]\nbatch_tokens = 1"),),
            "batches of 1 tokens cannot be halved",
        ),
        (
            "colours",
            'version = "old"',
            (('[old]\nmodel = "v1"\n', ""),),
            "builds of the old version, which is not configured",
        ),
    ],
)
def test_builds_that_cannot_be_are_refused_with_a_reason(project, task, noise, changes, message):
    with pytest.raises(ConfigurationError) as caught:
        plan(project, task, noise, *changes)
    assert str(caught.value).startswith("muscle.toml: noise.")
    assert message in str(caught.value)
    assert caught.value.hint


def test_what_no_task_can_vary_is_refused_before_anything_is_asked(project):
    some = update_of(project, 'vary = "sampling"')
    some.check()  # one of the tasks can

    with pytest.raises(ConfigurationError, match="vary: the new version's adapter"):
        update_of(project, 'vary = "seed"').check()
