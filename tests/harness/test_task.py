"""Examples of a definition are asked, answered and judged as lm-evaluation-harness does it."""

from __future__ import annotations

import json

import pytest

from pytest_muscle import Predictions, compare
from pytest_muscle.errors import ConfigurationError, DataError

CHOSEN = [
    ("colours", "acc", {}),
    ("colours", "acc", {"num_fewshot": 4}),
    ("colours", "acc", {"num_fewshot": 3, "fewshot_random_seed": 7}),
    ("lengths", "acc", {}),
    ("lengths", "acc_norm", {}),
    ("lengths", "acc_bytes", {}),
    ("blanks", "acc", {}),
    ("shuffled", "acc", {}),
]
WRITTEN = [
    ("words", "exact_match", "first", {}),
    ("words", "exact_match", "whole", {"num_fewshot": 2}),
    ("marks", "letters", "none", {}),
    ("marks", "short", "none", {}),
]


def reference(name: str, options: dict[str, int]) -> str:
    named = {key.replace("_random", ""): value for key, value in options.items()}
    asked = "".join(f"&{key}={value}" for key, value in named.items())
    return f"lm-eval:{name}?include_path=tasks{asked}"


@pytest.mark.parametrize(("name", "metric", "options"), CHOSEN)
def test_options_are_chosen_as_the_harness_chooses(update, peer, name, metric, options):
    samples = peer(name, **options)
    table = update(reference(name, options), f'metric = "{metric}"').predictions("old", "a")
    assert [row.id for row in table] == [f"{name}/{sample['doc_id']}" for sample in samples]
    for row, sample in zip(table, samples, strict=True):
        wanted = [value for value, _ in sample["filtered_resps"]]
        assert row.loglikelihoods == pytest.approx(wanted, abs=1e-4)
        assert row.correct == (sample[metric] == 1)
        assert row.score == sample[metric]
    assert 0 < sum(row.correct for row in table) < len(table)


@pytest.mark.filterwarnings("ignore:.*the old model has none of 30")
@pytest.mark.parametrize(("name", "metric", "filter_", "options"), WRITTEN)
def test_answers_are_written_and_judged_as_in_the_harness(
    update, peer, name, metric, filter_, options
):
    samples = peer(name, filter_, **options)
    keys = [f'metric = "{metric}"', f'filter = "{filter_}"']
    table = update(reference(name, options), *keys).predictions("old", "a")
    assert len({row.text for row in table}) > 3
    for row, sample in zip(table, samples, strict=True):
        assert row.text == sample["resps"][0][0]
        answer = sample["filtered_resps"][0]
        assert row.answer == (None if answer == "[invalid]" else answer)
        assert row.score == pytest.approx(sample[metric])
        assert row.correct == (sample[metric] >= 1)
    assert table.graded == (metric == "letters")
    if filter_ != "whole":
        assert len({row.score for row in table}) > 1


@pytest.mark.parametrize("name", ["colours", "blanks", "words", "shuffled"])
def test_prompts_are_those_of_the_harness(update, peer, name):
    keys, filter_ = (['filter = "whole"'], "whole") if name == "words" else ([], "none")
    task = update(reference(name, {}), *keys).tasks["a"]
    for example, sample in zip(task.eval, peer(name, filter_), strict=True):
        wanted = [(call[0], call[1]) for call in sample["arguments"]]
        if task.generates:
            assert example.prompt == wanted[0][0]
        else:
            assert task.pairs(example) == wanted
        assert example.fields == sample["doc"]


def test_a_question_stands_apart_from_its_few_shot_examples(update):
    example = update(reference("colours", {})).tasks["a"].eval[0]
    assert example.question == f"Question: {example.fields['question']}\nAnswer:"
    assert example.prompt.count("Question:") == 3
    assert example.answer_text(example.gold) == example.fields["options"][example.gold]


def test_a_run_can_be_compared_with_a_log_of_the_harness(update, peer, tmp_path):
    log = tmp_path / "samples_colours_2026-01-02T10-00-00.1.jsonl"
    log.write_text("".join(json.dumps(sample) + "\n" for sample in peer("colours")))
    logged = Predictions.load(f"lm-eval:{log}?metric=acc")
    report = compare(logged, update(reference("colours", {})).predictions("new", "a"))
    assert (report.n, report.negative_flips, report.positive_flips) == (30, (), ())


def test_documents_of_the_training_split_are_learnt_as_few_shot_examples_show_them(update):
    task = update(reference("marks", {"num_fewshot": 0}), 'train = "training"').tasks["a"]
    example = task.train[0]
    assert len(task.train) == 30
    assert example.id == "marks/train/0"
    assert example.solution == f" {example.fields['options'][0]}"


def test_an_answer_among_the_few_shot_examples_is_not_learnt(update):
    task = update(reference("colours", {"num_fewshot": 10}), 'train = "training"').tasks["a"]
    assert 0 < len(task.train) < 30
    for example in task.train:
        assert example.prompt.count(f"Question: {example.fields['question']}") == 1


def test_a_limit_takes_the_first_documents(update, peer):
    first = update(reference("colours", {}), limit=3).tasks["a"].eval
    assert [example.prompt for example in first] == [
        sample["arguments"][0][0] for sample in peer("colours", limit=3)
    ]


def test_the_usual_metric_is_taken(update):
    assert update(reference("lengths", {})).tasks["a"].metric == "acc"
    assert update(reference("words", {})).tasks["a"].metric == "exact_match"


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("marks", [], "marks has several metrics: letters, short"),
        ("marks", ['metric = "leters"'], "did you mean 'letters'"),
        ("marks", ['metric = "faults"'], "faults gives no example a number of which more is"),
        ("lengths", ['metric = "mcc"'], "mcc gives no example a number"),
        ("words", [], "words has several filters: first, whole"),
        ("words", ['filter = "frst"'], "did you mean 'first'"),
        ("lengths", ['filter = "none"'], "filter: is of written answers, and this definition"),
        ("lengths", ["tolerance = 0.1"], "tolerance: is of written answers, and this definition"),
        ("corpus", [], "known of all examples together"),
        ("dice", [], "draws its answers"),
        ("stories", [], "measures perplexity over whole texts"),
        ("broken", [], "the definition broken fails"),
        ("all_words", [], "'all_words' is a group"),
        ("zero?num_fewshot=2", [], "asked without few-shot examples"),
        ("zero?num_fewshot=-1", [], "num_fewshot is '-1'"),
        ("zero?num_shots=1", [], "did you mean 'num_fewshot'"),
        ("zero?include_path=taks", [], "there is no folder"),
        ("zero", ['kind = "generation"'], "has no effect beside task"),
        ("zero", ["fewshot = 3"], "&num_fewshot="),
        ("zero", ['train = "data/train.jsonl"'], 'write train = "training"'),
    ],
)
def test_what_cannot_be_had_is_refused(update, name, keys, said):
    text = f"lm-eval:{name}"
    if "include_path" not in text:
        text += f"{'&' if '?' in text else '?'}include_path=tasks"
    with pytest.raises(ConfigurationError) as caught:
        update(text, *keys).predictions("old", "a")
    assert said in str(caught.value)
    assert str(caught.value).startswith("muscle.toml: tasks.a.")


def test_data_that_are_not_at_hand_are_named(update):
    with pytest.raises(DataError, match=r"the data of elsewhere .*cannot be had"):
        update("lm-eval:elsewhere?include_path=tasks").predictions("old", "a")


def test_a_definition_without_a_training_split_is_not_learnt(update, definitions):
    path = definitions / "tasks" / "zero.yaml"
    path.write_text(path.read_text().replace("training_split: train\n", ""))
    with pytest.raises(ConfigurationError, match="zero has no training split"):
        update("lm-eval:zero?include_path=tasks", 'train = "training"').predictions("old", "a")


def test_a_column_to_slice_by_is_there(update):
    with pytest.raises(DataError, match="did you mean 'place'"):
        _ = update("lm-eval:zero?include_path=tasks", 'slices = ["plce"]').tasks["a"].eval


def test_an_installed_definition_takes_local_data(update, definitions, peer):
    """What is installed is included; only where its data are is said anew."""
    import lm_eval

    rows = [
        {"question": "Which?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": k}
        for k in "AB"
    ]
    (definitions / "arc.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (definitions / "tasks" / "arc.yaml").write_text(
        f"include: {lm_eval.__path__[0]}/tasks/arc/arc_easy.yaml\n"
        "dataset_path: json\ndataset_name: null\n"
        "training_split: null\nvalidation_split: null\n"
        "dataset_kwargs: {data_files: {test: arc.jsonl}, cache_dir: hub}\n"
    )
    task = update("lm-eval:arc_easy?include_path=tasks").tasks["a"]
    assert [example.gold for example in task.eval] == [0, 1]
    assert task.pairs(task.eval[1])[1] == ("Question: Which?\nAnswer:", " b")
