"""metrics.txt is OpenMetrics, and GitLab reads it."""

from __future__ import annotations

import re
import shlex

import pytest

from pytest_muscle.reports.data import TaskReport
from pytest_muscle.reports.gitlab import render_metrics


def read_as_gitlab(text: str) -> dict[str, str]:
    """Read as GitLab does: what follows # is a comment; then as a shell splits words."""
    words = [shlex.split(re.sub("#.*$", "", line)) for line in text.splitlines()]
    return dict(filter(None, words))


def test_figures(make_run):
    text = render_metrics(make_run())
    read = read_as_gitlab(text)
    assert read["muscle_nfr{task=support,to=new}"] == repr(1 / 6)
    assert read["muscle_nfr{task=support,to=compat}"] == repr(2 / 6)
    assert read["muscle_accuracy{task=support,model=old}"] == "0.5"
    assert read["muscle_negative_flips{task=support,to=compat}"] == "2"
    assert read["muscle_failed_tests{task=support}"] == "1"
    assert text.endswith("\n# EOF\n")


def test_what_is_not_known_is_left_out(make_run):
    read = read_as_gitlab(render_metrics(make_run(TaskReport(name="t", tests=1))))
    assert read == {"muscle_tests{task=t}": "1", "muscle_failed_tests{task=t}": "0"}


@pytest.mark.parametrize("name", ["a b", 'a"b', "a\\b", "a#b", "it's", 'é{x="1"} 2', "a,b"])
def test_a_name_breaks_no_line(make_run, name):
    text = render_metrics(make_run(TaskReport(name=name, tests=3)))
    values = list(read_as_gitlab(text).values())
    assert values == ["3", "0"]
    label = re.findall(r'^muscle_tests\{task="((?:[^"\\]|\\.)*)"\} 3$', text, re.MULTILINE)
    assert [re.sub(r"\\(.)", r"\1", value) for value in label] == [name.replace("#", "_")]


def test_a_reader_of_the_format_reads_it(make_run):
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    families = list(parser.text_string_to_metric_families(render_metrics(make_run(name='a "b"'))))
    rates = next(family for family in families if family.name == "muscle_nfr")
    assert [(sample.labels, sample.value) for sample in rates.samples] == [
        ({"task": 'a "b"', "to": "new"}, 1 / 6),
        ({"task": 'a "b"', "to": "compat"}, 2 / 6),
    ]
