"""What a gate's limits mean together."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.settings import read_settings
from pytest_muscle.settings.limits import floor_margin

TASK = """
[tasks.{name}]
kind = "classification"
eval = "eval.jsonl"
prompt = "{{{{ text }}}}"
choices = ["a", "b"]
gold = "{{{{ label }}}}"
"""


def read(tmp_path: Path, text: str):
    path = tmp_path / "muscle.toml"
    path.write_text(text)
    (tmp_path / "eval.jsonl").write_text('{"text": "x", "label": 0}\n')
    return read_settings(path, invocation_dir=tmp_path)


@pytest.mark.parametrize(
    ("text", "margin"),
    [("floor", 0.0), ("floor + 0.01", 0.01), (" floor+1e-2 ", 0.01), ("floor + .5", 0.5)],
)
def test_a_limit_above_the_floor(text: str, margin: float):
    assert floor_margin(text) == margin


@pytest.mark.parametrize("limit", [None, 0.02])
def test_a_number_is_above_no_floor(limit: float | None):
    assert floor_margin(limit) is None


@pytest.mark.parametrize("text", ["flor + 0.01", "floor - 0.01", "floor + 2", "0.02", "floor + "])
def test_another_text_is_refused(text: str, tmp_path: Path):
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, f'[gate]\nmax_nfr = "{text}"\n')
    assert str(caught.value) == (
        f"muscle.toml: gate.max_nfr: max_nfr = {text!r} is neither a number nor "
        '"floor + a fraction", as "floor + 0.01"'
    )


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("family_wise = true", "gate.family_wise: needs a confidence to hold for all limits"),
        ("sequential = true", "gate.sequential: needs max_nfr, the limit that it stops at"),
        ('sequential = true\nmax_nfr = "floor"', "gate.sequential: cannot stop early at a limit"),
        (
            "sequential = true\nmax_nfr = 0.1\nmax_accuracy_drop = 0.1",
            "gate.sequential: stops before max_accuracy_drop is known",
        ),
    ],
)
def test_limits_that_do_not_go_together_are_refused(gate: str, said: str, tmp_path: Path):
    with pytest.raises(ConfigurationError, match=said):
        read(tmp_path, f"[gate]\n{gate}\n")


def test_tasks_may_add_what_the_gate_of_all_tasks_needs(tmp_path: Path):
    text = "[gate]\nsequential = true\nfamily_wise = true\n" + TASK.format(name="t")
    settings = read(tmp_path, f"{text}[tasks.t.gate]\nmax_nfr = 0.1\nconfidence = 0.9\n")
    gate = settings.tasks["t"].gate
    assert (gate.sequential, gate.family_wise, gate.max_nfr) == (True, True, 0.1)
    with pytest.raises(ConfigurationError, match=r"tasks.t.gate.sequential: needs max_nfr"):
        read(tmp_path, f"{text}[tasks.t.gate]\nconfidence = 0.9\n")


def test_a_limit_for_slices_needs_slices(tmp_path: Path):
    text = TASK.format(name="t")
    with pytest.raises(ConfigurationError, match=r"tasks.t.gate.max_slice_nfr: needs columns"):
        read(tmp_path, f"[gate]\nmax_slice_nfr = 0.1\n{text}")
    settings = read(tmp_path, f'[gate]\nmax_slice_nfr = 0.1\n{text}slices = ["text"]\n')
    assert settings.tasks["t"].gate.max_slice_nfr == 0.1


def test_a_family_counts_the_limits_of_all_its_tasks(tmp_path: Path):
    settings = read(
        tmp_path,
        "[gate]\nmax_nfr = 0.1\nconfidence = 0.94\nfamily_wise = true\n"
        + TASK.format(name="a")
        + "[tasks.a.gate]\nmax_accuracy_drop = 0.1\nmax_inconsistency = 0.2\n"
        + TASK.format(name="b")
        + TASK.format(name="c")
        + "[tasks.c.gate]\nfamily_wise = false\n",
    )
    # max_nfr and max_accuracy_drop of a, max_nfr of b: 1 - 0.06 / 3
    assert settings.tasks["a"].gate.judged_confidence == pytest.approx(0.98)
    assert settings.tasks["b"].gate.judged_confidence == pytest.approx(0.98)
    assert settings.tasks["c"].gate.judged_confidence == 0.94


def test_a_family_counts_slices_as_one_limit_and_the_compat_model_as_another(tmp_path: Path):
    gate = (
        "[gate]\nmax_nfr = 0.1\nmax_slice_nfr = 0.2\nconfidence = 0.96\nfamily_wise = true\n"
        + TASK.format(name="a")
        + 'slices = ["text"]\n'
    )
    assert read(tmp_path, gate).tasks["a"].gate.family == 2
    assert read(tmp_path, f"{gate}[compat]\nepochs = 1\n").tasks["a"].gate.family == 4
    (tmp_path / "compat").mkdir()
    (tmp_path / "compat" / "adapter_config.json").write_text("{}")
    (tmp_path / "compat" / "adapter_model.safetensors").touch()
    assert read(tmp_path, f'{gate}compat_adapter = "compat"\n').tasks["a"].gate.family == 4
