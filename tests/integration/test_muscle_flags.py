"""The flags that change models, data, training and device for one run."""

from __future__ import annotations

import shutil

import pytest


def test_muscle_new_replaces_the_model_of_the_file(tiny_project, tiny_models):
    shutil.copytree(tiny_models / "v2", tiny_project.path / "candidate")
    tiny_project.makepyfile(
        """
        def test_show(model_update):
            print("NEW", model_update.settings.new.model, model_update.settings.new.adapter)
        """
    )
    result = tiny_project.runpytest_inprocess("-s", "--muscle-new=candidate")
    result.stdout.fnmatch_lines([f"*NEW {tiny_project.path}/candidate None*"])


def test_muscle_old_takes_a_hub_id_with_revision(tiny_project):
    tiny_project.makepyfile(
        """
        def test_show(model_update):
            old = model_update.settings.old
            print("OLD", old.model, old.revision)
        """
    )
    result = tiny_project.runpytest_inprocess("-s", "--muscle-old=org/name@5f2c1e")
    result.stdout.fnmatch_lines(["*OLD org/name 5f2c1e*"])


def test_a_hub_that_cannot_be_reached_is_one_clear_paragraph(tiny_project):
    tiny_project.makepyfile("def test_flips(old_predictions): pass")
    result = tiny_project.runpytest_inprocess("--muscle-old=org/name@5f2c1e")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ModelError: --muscle-old: 'org/name' is no directory here*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_muscle_limit_takes_the_first_examples(trained_project):
    trained_project.makepyfile(
        """
        def test_count(old_predictions):
            assert [row.id for row in old_predictions] == ["q7-60", "q7-61", "q7-62"]
        """
    )
    trained_project.runpytest_inprocess("--muscle-limit=3").assert_outcomes(passed=1)


def test_muscle_limit_does_not_change_what_is_trained(trained_project):
    trained_project.makepyfile(
        """
        def test_stored(compat_adapter):
            assert compat_adapter.origin == "stored"
        """
    )
    trained_project.runpytest_inprocess("--muscle-limit=3").assert_outcomes(passed=1)


def test_muscle_no_train_says_how_to_bring_the_adapter(tiny_project):
    tiny_project.makepyfile("def test_flips(compat_predictions): pass")
    result = tiny_project.runpytest_inprocess("--muscle-no-train")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*TrainingError: *the old adapter of task 'colours' is not stored*",
            "*without --muscle-no-train on a machine that may train, and bring its folder *",
        ]
    )
    assert not list(tiny_project.path.glob(".muscle_cache/adapters/colours*"))


def test_muscle_no_train_is_content_with_stored_adapters(trained_project):
    trained_project.makepyfile("def test_flips(compat_predictions): pass")
    trained_project.runpytest_inprocess("--muscle-no-train").assert_outcomes(passed=1)


def test_muscle_cache_is_relative_to_where_pytest_starts(tiny_project, trained_cache):
    shutil.copytree(trained_cache, tiny_project.path / "my-cache")
    tiny_project.makepyfile("def test_flips(compat_predictions): pass")
    result = tiny_project.runpytest_inprocess("--muscle-no-train", "--muscle-cache=my-cache")
    result.assert_outcomes(passed=1)
    assert not (tiny_project.path / ".muscle_cache").exists()


def test_a_device_that_is_not_there_is_one_clear_paragraph(tiny_project):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    tiny_project.makepyfile("def test_flips(old_predictions): pass")
    result = tiny_project.runpytest_inprocess("--muscle-device=cuda")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ConfigurationError: *device 'cuda' is not there*"])


def test_an_unknown_device_is_refused_by_the_command_line(tiny_project):
    result = tiny_project.runpytest_inprocess("--muscle-device=tpu")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--muscle-device: invalid choice: 'tpu'*"])


def test_help_lists_every_flag(pytester):
    result = pytester.runpytest_inprocess("--help")
    for flag in ("config", "old", "new", "device", "limit", "no-train", "cache", "cache-clear"):
        result.stdout.fnmatch_lines([f"*--muscle-{flag}*"])
