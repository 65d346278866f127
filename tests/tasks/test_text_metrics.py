"""Metrics of written answers, against numbers by hand and lm-evaluation-harness."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.tasks.qasper.metrics import f1_abstractive

from pytest_muscle.errors import ConfigurationError
from pytest_muscle.tasks.text_metrics import (
    TEXT_METRICS,
    bleu,
    chrf,
    contains,
    exact_match,
    f1,
    find_text_metric,
    rouge1,
    rouge_l,
)

SENTENCE = "the cats sat on the mat"


def test_exact_match_is_equality():
    assert exact_match("paris", "paris")
    assert not exact_match("paris", "in paris")


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("it is paris", "paris", True),
        ("it is paris.", "paris", True),
        ("comparison", "paris", False),
        ("i know", "no", False),
        ("i know no one", "no", True),
        ("it is 15", "5", False),
        ("it is 1.5", "5", False),
        ("it is 1.5", "1", False),
        ("it is -5", "5", False),
        ("it is -5", "-5", True),
        ("at 12:30", "12", False),
        ("it is 5.", "5", True),
        ("5-fold", "5", True),
        ("x 5", "5", True),
        ("首都は東京です", "東京", True),
        ("paris", "paris in spring", False),
    ],
)
def test_contains_looks_for_whole_words_and_numbers(answer, gold, expected):
    assert contains(answer, gold) is expected


def test_f1_by_hand():
    # {cats, sat, on, mat} against {cats, on, mats}: 2 of 4 and 2 of 3 words
    assert f1("The cats sat on the mat.", "cats on mats") == pytest.approx(2 * 2 / (4 + 3))
    assert f1("a a", "the") == 1.0
    assert f1("a", "cat") == 0.0


words = st.lists(st.sampled_from(["the", "cat", "Cat!", "sat", "on", "1,5", "mat."]), min_size=1)


@given(words, words)
def test_f1_is_squad_s(answer, gold):
    texts = " ".join(answer), " ".join(gold)
    if f1(*texts) < 1:  # the harness has no rule for texts of articles alone
        assert f1(*texts) == pytest.approx(f1_abstractive([texts[0]], [texts[1]]))


def test_rouge_by_hand():
    # stems: the cat sit? "cats" -> cat, "sitting" -> sit; 4 words in common of 6 and 5
    assert rouge1(SENTENCE, "a cat on the mats") == pytest.approx(2 * 4 / (6 + 5))
    # the longest common subsequence is "cat on the mat", 4; turned round it is 1 word
    assert rouge_l(SENTENCE, "a cat on the mats") == pytest.approx(2 * 4 / (6 + 5))
    assert rouge_l("one two three", "three two one") == pytest.approx(2 * 1 / (3 + 3))
    assert rouge1("one two three", "three two one") == 1.0


def test_rouge_has_no_words_in_another_script():
    for metric in (rouge1, rouge_l):
        assert metric("東京", "Tokyo") == 0.0
        with pytest.raises(ValueError, match="chrf reads every script"):
            metric("東京", "東京")


def test_bleu_by_hand():
    # precisions 5/6, 3/5, 2/4, 1/3 (the cats sat on the | mat), as long as the gold answer
    gold = "the cats sat on a mat"
    assert bleu(SENTENCE, gold) == pytest.approx((5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    assert bleu(SENTENCE, SENTENCE) == 1.0


def test_chrf_by_hand():
    # characters: 2 of 3 each way; pairs: 1 of 2; triples: 0 of 1; longer ones: none on either side
    assert chrf("abc", "abd") == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert chrf("東京", "東京") == 1.0


@pytest.mark.parametrize("name", TEXT_METRICS)
@given(answer=st.text(max_size=12), gold=st.text(max_size=12).map(lambda text: f"x{text}"))
def test_scores_are_shares(name, answer, gold):
    assert 0 <= TEXT_METRICS[name](answer, gold) <= 1
    assert TEXT_METRICS[name](gold, gold) <= 1


def test_a_metric_is_found_by_its_name_or_refused():
    assert find_text_metric("f1") is f1
    for name, hint in [("acc", "choose of exact_match, "), ("rouge2", "did you mean 'rougeL'?")]:
        with pytest.raises(ConfigurationError, match=r"muscle\.toml: ") as caught:
            find_text_metric(name, where="muscle.toml: tasks.x.metric")
        assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("name", "library"), [("rougeL", "rouge_score"), ("bleu", "sacrebleu"), ("chrf", "sacrebleu")]
)
def test_a_missing_library_is_named_with_what_installs_it(monkeypatch, name, library):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda wanted: None if wanted == library else found(wanted)
    )
    with pytest.raises(ConfigurationError) as caught:
        find_text_metric(name)
    assert str(caught.value) == f"{name} needs {library}\n  pip install 'pytest-muscle[text]'"


def test_no_library_of_metrics_is_loaded_before_it_is_needed():
    program = (
        "import sys, pytest_muscle.tasks.task; "
        "print({'rouge_score', 'sacrebleu', 'regex', 'nltk'} & sys.modules.keys())"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "set()"
