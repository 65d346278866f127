"""The table at the end of the run; under pytest-xdist see test_xdist."""

from __future__ import annotations

TESTS = """
    from pytest_muscle import assert_negative_flip_rate

    def test_update(old_predictions, new_predictions):
        assert_negative_flip_rate(old_predictions, new_predictions, max_rate=1.0)

    def test_compat(old_predictions, compat_predictions):
        assert_negative_flip_rate(old_predictions, compat_predictions, max_rate=1.0)

    def test_red(muscle_task):
        assert False
"""


def test_one_row_per_task_with_verdict(trained_project):
    trained_project.makepyfile(TESTS)
    result = trained_project.runpytest_inprocess()
    result.stdout.fnmatch_lines(
        ["*= model update =*", "*task *NFR*verdict*", "*colours *40*FAILED*", "*1 of 3*"]
    )


def test_no_table_without_muscle_fixtures(trained_project):
    trained_project.makepyfile("def test_plain(): pass")
    result = trained_project.runpytest_inprocess()
    result.stdout.no_fnmatch_line("*model update*")


def test_the_marker_picks_tasks(trained_project):
    path = trained_project.path / "muscle.toml"
    text = path.read_text()
    second = text[text.index("[tasks.colours]") : text.index("[adapter]")]
    path.write_text(text + "\n" + second.replace("tasks.colours", "tasks.again"))
    trained_project.makepyfile(
        """
        import pytest

        def test_all(muscle_task): pass

        @pytest.mark.muscle(tasks=["again"])
        def test_one(muscle_task): pass
        """
    )
    result = trained_project.runpytest_inprocess("-v")
    result.stdout.fnmatch_lines_random(
        ["*test_all?colours? PASSED*", "*test_all?again? PASSED*", "*test_one?again? PASSED*"]
    )
    result.stdout.no_fnmatch_line("*test_one?colours?*")


def test_the_marker_names_an_unknown_task(trained_project):
    trained_project.makepyfile(
        """
        import pytest

        @pytest.mark.muscle(tasks=["colour"])
        def test_one(muscle_task): pass
        """
    )
    result = trained_project.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*there is no task 'colour'*", "*did you mean 'colours'?*"])


def test_no_verdict_without_a_test_of_the_task(trained_project):
    trained_project.makepyfile(
        """
        def test_update(model_update):
            model_update.flip_report("colours")
            assert False
        """
    )
    result = trained_project.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*= model update =*", "*colours *40*"])
    result.stdout.no_fnmatch_line("*colours *passed*")


def test_the_table_makes_no_predictions_of_its_own(trained_project):
    trained_project.makepyfile("def test_compat(old_predictions, compat_predictions): pass")
    result = trained_project.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*colours *40 *→–*passed*"])


def test_slices_are_shown_with_v(trained_project):
    trained_project.makepyfile("def test_update(old_predictions, new_predictions): pass")
    quiet = trained_project.runpytest_inprocess()
    quiet.stdout.no_fnmatch_line("*place = *")
    loud = trained_project.runpytest_inprocess("-v")
    loud.stdout.fnmatch_lines(["colours *n *NFR old→new *95 % interval*", "place = * *–*"])
