"""A definition is named with how it is asked."""

from __future__ import annotations

from pytest_muscle.harness.reference import Reference, parse_reference


def test_a_name_alone_is_asked_as_the_harness_asks_it(tmp_path):
    assert parse_reference("lm-eval:arc_easy", tmp_path, "a.task") == Reference(
        text="lm-eval:arc_easy",
        where="a.task",
        name="arc_easy",
        include_path=None,
        num_fewshot=None,
        fewshot_seed=1234,
        max_gen_toks=None,
    )


def test_options_follow_the_name(tmp_path):
    (tmp_path / "my tasks").mkdir()
    text = "lm-eval:a?num_fewshot=0&fewshot_seed=3&max_gen_toks=9&include_path=my%20tasks"
    found = parse_reference(text, tmp_path, "a.task")
    assert (found.name, found.num_fewshot, found.fewshot_seed, found.max_gen_toks) == ("a", 0, 3, 9)
    assert found.include_path == tmp_path / "my tasks"
