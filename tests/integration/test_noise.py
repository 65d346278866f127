"""The noise floor of real builds: task adapters trained again with other seeds, and kept."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from pathlib import Path

import pytest

TESTS = """
    import json

    from pytest_muscle import NoiseFloor, assert_gate, assert_within_noise_floor

    def test_flips(flip_report):
        assert flip_report.n == 40

    def test_floor(noise_floor, new_predictions):
        assert isinstance(noise_floor, NoiseFloor)
        assert noise_floor.ids == tuple(row.id for row in new_predictions)
        with open("floor.json", "w") as file:
            json.dump([noise_floor.k, noise_floor.rate, noise_floor.shares.tolist()], file)

    def test_within(old_predictions, new_predictions, noise_floor):
        assert_within_noise_floor(
            old_predictions, new_predictions, floor=noise_floor, max_excess=1.0
        )

    def test_gate(muscle_task, old_predictions, new_predictions, noise_floor):
        assert_gate(old_predictions, new_predictions, gate=muscle_task.gate, floor=noise_floor)
"""
GATE = '\n[gate]\nmax_nfr = "floor + 1.0"\n'


@pytest.fixture(scope="module")
def noise_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the first run of a test leaves its cache in."""
    return tmp_path_factory.mktemp("noise") / "cache"


@pytest.fixture
def noisy(trained_project: pytest.Pytester, noise_cache: Path) -> pytest.Pytester:
    """The trained project with a gate above the floor, builds kept from one test to the next."""
    path = trained_project.path / "muscle.toml"
    path.write_text(path.read_text() + GATE)
    trained_project.makepyfile(test_noise=TESTS)
    if noise_cache.is_dir():
        shutil.copytree(noise_cache, trained_project.path / ".muscle_cache", dirs_exist_ok=True)
    return trained_project


def configure(project: pytest.Pytester, old: str, new: str) -> None:
    path = project.path / "muscle.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def floor_line(result: pytest.RunResult) -> str:
    (line,) = [line for line in result.outlines if line.startswith("colours: noise floor")]
    return line


def test_three_builds_by_seed_are_three_runs_with_those_seeds(noisy, noise_cache):
    """Against predictions of the same project with `seed = 1` and `2`, trained apart."""
    before = set((noisy.path / ".muscle_cache" / "adapters").iterdir())
    result = noisy.runpytest_subprocess()
    result.assert_outcomes(passed=4)

    shutil.copytree(noisy.path / ".muscle_cache", noise_cache)
    made = set((noisy.path / ".muscle_cache" / "adapters").iterdir()) - before
    assert len([path for path in made if path.name.startswith("colours-new-")]) == 2
    errors = result.stderr.str()
    for number in (2, 3):
        assert f"colours: new task adapter, build {number} of 3" in errors
        assert f"colours: new model answers, build {number} of 3" in errors

    from pytest_muscle import ModelUpdate, read_settings

    tables = []
    for seed in (0, 1, 2):
        folder = shutil.copytree(noisy.path / "data", noisy.path / f"seed{seed}" / "data").parent
        text = (noisy.path / "muscle.toml").read_text()
        (folder / "muscle.toml").write_text(text.replace("[adapter]", f"[adapter]\nseed = {seed}"))
        settings = read_settings(folder / "muscle.toml", invocation_dir=folder)
        tables.append(list(ModelUpdate(settings).predictions("new", "colours")))
    rates = [
        sum(a.correct and not b.correct for a, b in zip(one, other, strict=True)) / 40
        for one, other in itertools.permutations(tables, 2)
    ]
    k, rate, shares = json.loads((noisy.path / "floor.json").read_text())
    assert k == 3
    assert rate > 0
    assert rate == pytest.approx(sum(rates) / 6)
    assert [share > 0 for share in shares] == [
        len({row.correct for row in rows}) > 1 for rows in zip(*tables, strict=True)
    ]
    line = floor_line(result)
    assert line.startswith(f"colours: noise floor {100 * rate:.2f} % (")
    assert "), 3 builds of the new version by seed; NFR old→new is " in line


def test_a_second_run_trains_and_loads_nothing(noisy, noise_cache):
    if not noise_cache.is_dir():
        noisy.runpytest_subprocess().assert_outcomes(passed=4)
    noisy.makepyfile(
        test_last="""
        import sys

        def test_nothing_was_needed(noise_floor):
            assert noise_floor.k == 3
            assert "torch" not in sys.modules
        """
    )
    result = noisy.runpytest_subprocess("--muscle-no-train")
    result.assert_outcomes(passed=5)
    assert "%|" not in result.stderr.str()


def test_workers_of_xdist_measure_one_floor_and_the_controller_says_it(noisy, noise_cache):
    alone = noisy.runpytest_subprocess()
    result = noisy.runpytest_subprocess("-n2")
    result.assert_outcomes(passed=4)
    assert floor_line(result) == floor_line(alone)
    if not noise_cache.is_dir():
        shutil.copytree(noisy.path / ".muscle_cache", noise_cache)


def test_no_train_says_which_builds_are_missing(noisy):
    for path in (noisy.path / ".muscle_cache").glob("adapters/colours-new-*"):
        facts = json.loads((path / "muscle.json").read_text())
        if facts["made_of"]["recipe"]["seed"] == 2:
            shutil.rmtree(path)
    configure(noisy, "[gate]", "[noise]\nrepeats = 4\n[gate]")
    result = noisy.runpytest_subprocess("--muscle-no-train", "-k", "test_floor")
    result.assert_outcomes(errors=1)
    text = result.stdout.str()
    assert "TrainingError: " in text
    assert "the noise floor of task 'colours' is measured between 4 builds of the new" in text
    assert "--muscle-no-train forbids training" in text
    # The short summary may say them a second time.
    assert len(set(re.findall(r"^ +(colours-new-[0-9a-f]{16})$", text, re.MULTILINE))) in (2, 3)
    assert "Traceback" not in text


def test_a_variation_that_no_task_can_have_is_one_paragraph(noisy):
    configure(noisy, "[gate]", '[noise]\nvary = "sampling"\n[gate]')
    result = noisy.runpytest_subprocess()
    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(
        ["*ConfigurationError: muscle.toml: noise.vary: task 'colours' chooses among options*"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_gate_above_the_floor_names_the_fixture(noisy):
    noisy.makepyfile(
        test_noise="""
        from pytest_muscle import assert_gate

        def test_gate(muscle_task, old_predictions, new_predictions):
            assert_gate(old_predictions, new_predictions, gate=muscle_task.gate)
        """
    )
    result = noisy.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*assert_gate got no floor*", "*ask for the fixture `noise_floor` and give*"]
    )
