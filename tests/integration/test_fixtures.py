"""The whole story: two versions, their flips, a red build, a compat adapter."""

from __future__ import annotations

import json
import re

import pytest


def test_trains_what_is_missing_and_finds_it_again(tiny_project):
    tiny_project.makepyfile(
        """
        def test_compat(compat_adapter):
            print("ORIGIN", compat_adapter.origin)
        """
    )
    first = tiny_project.runpytest_inprocess("-s")
    first.assert_outcomes(passed=1)
    first.stdout.fnmatch_lines(["*ORIGIN trained*"])

    second = tiny_project.runpytest_inprocess("-s")
    second.stdout.fnmatch_lines(["*ORIGIN stored*"])

    stored = sorted(
        path.name for path in tiny_project.path.glob(".muscle_cache/adapters/colours-*")
    )
    assert [name.rsplit("-", 1)[0] for name in stored] == [
        "colours-compat",
        "colours-new",
        "colours-old",
    ]


def test_predictions_are_the_models_answers(trained_project):
    """The fixture's answers are those of a plain forward pass of base and adapter."""
    trained_project.makepyfile(
        """
        import json

        def test_answers(compat_predictions, compat_adapter, old_predictions):
            rows = [
                {"id": row.id, "answer": row.answer, "correct": row.correct,
                 "loglikelihoods": row.loglikelihoods}
                for row in compat_predictions
            ]
            with open("answers.json", "w") as file:
                json.dump({"adapter": str(compat_adapter.path), "rows": rows}, file)
        """
    )
    trained_project.runpytest_inprocess().assert_outcomes(passed=1)

    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found = json.loads((trained_project.path / "answers.json").read_text())
    import tomllib

    configured = tomllib.loads((trained_project.path / "muscle.toml").read_text())
    base = AutoModelForCausalLM.from_pretrained(configured["new"]["model"])
    tokenizer = AutoTokenizer.from_pretrained(configured["new"]["model"])
    model = PeftModel.from_pretrained(base, found["adapter"]).eval()
    lines = (trained_project.path / "data" / "eval.jsonl").read_text().splitlines()
    for row, line in zip(found["rows"], lines, strict=True):
        columns = json.loads(line)
        expected = []
        prompt = f"Question: {columns['question']}\nAnswer:"
        for option in columns["options"]:
            start = len(tokenizer(prompt)["input_ids"])
            tokens = torch.tensor([tokenizer(f"{prompt} {option}")["input_ids"]])
            with torch.no_grad():
                logs = torch.log_softmax(model(input_ids=tokens).logits[0].float(), dim=-1)
            expected.append(
                sum(float(logs[at - 1, tokens[0, at]]) for at in range(start, tokens.shape[1]))
            )
        assert row["id"] == columns["id"]
        assert row["loglikelihoods"] == pytest.approx(expected, abs=1e-4)
        best = max(range(4), key=expected.__getitem__)
        assert row["answer"] == best
        assert row["correct"] == (best == columns["label"])


def test_a_failed_assertion_shows_the_flipped_examples(trained_project):
    trained_project.makepyfile(
        """
        from pytest_muscle import assert_inconsistency_rate

        def test_update(old_predictions, new_predictions):
            assert_inconsistency_rate(old_predictions, new_predictions, max_rate=0.0)
        """
    )
    result = trained_project.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*FlipAssertionError: task 'colours': inconsistency rate is * %*",
            "*measure * value * limit*",
            "*id * prompt * gold * old * new*",
            "*q7-* Question: Which colour*",
        ]
    )


def test_all_flips_are_shown_with_vv(trained_project):
    trained_project.makepyfile(
        """
        import pytest_muscle

        def test_update(muscle_task):
            n = 25
            examples = {example.id: example for example in muscle_task.eval[:n]}
            rows = [[e.id for e in examples.values()], [e.gold for e in examples.values()]]
            old = pytest_muscle.Predictions.from_lists(rows[0], rows[1], rows[1])
            new = pytest_muscle.Predictions.from_lists(rows[0], [9] * n, rows[1])
            pytest_muscle.assert_negative_flip_rate(old, new, max_rate=0.5)
        """
    )
    short = trained_project.runpytest_inprocess()
    short.stdout.fnmatch_lines(["*15 more*-vv*"])
    assert len(set(re.findall(r"q7-\d+", short.stdout.str()))) == 10
    long = trained_project.runpytest_inprocess("-vv")
    assert len(set(re.findall(r"q7-\d+", long.stdout.str()))) == 25


def test_the_models_load_only_when_used(trained_project):
    trained_project.makepyfile(
        """
        import torch

        def test_lazy(old_model, new_model):
            assert not old_model.base.loaded
            assert "v1" in old_model.describe()
            assert isinstance(new_model.network, torch.nn.Module)
            assert new_model.base.loaded
            assert not old_model.base.loaded
        """
    )
    trained_project.runpytest_inprocess().assert_outcomes(passed=1)


def test_gate_of_muscle_toml_is_at_hand(trained_project):
    path = trained_project.path / "muscle.toml"
    path.write_text(
        path.read_text() + "\n[gate]\nmax_nfr = 0.9\n[tasks.colours.gate]\nmax_nfr = 0.0\n"
    )
    trained_project.makepyfile(
        """
        from pytest_muscle import Predictions, assert_gate

        def test_gate(muscle_task):
            assert muscle_task.gate.max_nfr == 0.0
            old = Predictions.from_lists([1, 2], ["a", "a"], ["a", "a"], task="colours")
            new = Predictions.from_lists([1, 2], ["a", "b"], ["a", "a"], task="colours")
            assert_gate(old, new, gate=muscle_task.gate)
        """
    )
    result = trained_project.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*negative flip rate is 50.00 % (1 of 2)*0.00 %*"])


def test_a_mistake_in_the_data_is_one_paragraph_before_any_model_loads(tiny_project):
    path = tiny_project.path / "data" / "eval.jsonl"
    lines = path.read_text().splitlines()
    lines[4] = lines[4].replace('"question"', '"qestion"')
    path.write_text("\n".join(lines))
    tiny_project.makepyfile(
        """
        def test_update(old_predictions, new_predictions):
            pass

        def test_not_loaded(model_update):
            assert not model_update.base("old").loaded
        """
    )
    result = tiny_project.runpytest_inprocess()
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*DataError: eval.jsonl:5: there is no column 'question'*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*fixtures.py*")
    assert not list(tiny_project.path.glob(".muscle_cache/adapters/*/*"))


def test_without_configuration_the_fixtures_say_what_to_write(pytester):
    pytester.makepyfile("def test_update(old_predictions): pass")
    result = pytester.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*no model update is configured*", "*write a muscle.toml*"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_compare_needs_no_configuration(pytester):
    pytester.makepyfile(
        """
        from pytest_muscle import compare

        def test_lists():
            report = compare(["a", "b"], ["a", "c"], gold=["a", "b"])
            assert report.negative_flip_rate == 0.5
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
