"""Templates: the data's columns in, text out; nothing else gets in, nothing runs on for ever."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_muscle.errors import ConfigurationError, DataError
from pytest_muscle.tasks.templates import Expression, Template

WHERE = "muscle.toml: tasks.support.prompt"


def render(source: str, **columns: object) -> str:
    return Template(source, where=WHERE).render(columns, row="a.jsonl:3")


def refusal(source: str, **columns: object) -> str:
    with pytest.raises(DataError) as caught:
        render(source, **columns)
    message = str(caught.value)
    assert message.startswith("a.jsonl:3: ")
    assert WHERE in message
    return message


def evaluate(source: str, **columns: object) -> object:
    return Expression(source, where=WHERE).evaluate(columns, row="a.jsonl:3")


# --- rendering


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Q: {{ question }}\nA:", "Q: Why <b>?\nA:"),
        ("{{ question }}\n", "Why <b>?\n"),
        ("{% for o in options %}{{ 'ABC'[loop.index0] }}. {{ o }}\n{% endfor %}", "A. x\nB. y\n"),
        ("{{ choices.text[1] }} {{ choices['label'] }}", "v B"),
        ("{{ options | join(', ') }}", "x, y"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", "012"),
        ("{% if hint is defined %}{{ hint }}{% else %}no hint{% endif %}", "no hint"),
        ("{{ hint | default('no hint') }}", "no hint"),
        ("{{ nothing or 'empty' }}", "empty"),
        ("{{ 2 + 3 * 2 ** 2 }} {{ '-' * 3 }} {{ 'a' + 'b' }}", "14 --- ab"),
        ("{{ 'x' | center(3) }}|{{ 'x\ny' | indent(1) }}|{{ 'x'.ljust(2) }}", " x |x\n y|x "),
        ("{% for part in options | batch(1) %}{{ part | join }};{% endfor %}", "x;y;"),
        ("{% for part in options | slice(2) %}{{ part | join }};{% endfor %}", "x;y;"),
        ("", ""),
    ],
)
def test_a_template_gives_text(source, expected):
    row = {
        "question": "Why <b>?",
        "options": ["x", "y"],
        "choices": {"text": ["u", "v"], "label": "B"},
        "nothing": None,
    }
    assert render(source, **row) == expected


def test_columns_may_have_any_name():
    columns = {"self": "a", "context": "b", "environment": "c", "dict": "d", "two words": "e"}
    template = Template("{{ context }}{{ environment }}{{ dict }}", where=WHERE)
    assert template.render(columns, row="r") == "bcd"
    assert Expression("{{ dict }}", where=WHERE).evaluate(columns, row="r") == "d"


@pytest.mark.parametrize(
    "source", ["{{ qestion }}", "{% if qestion %}x{% endif %}", "{{ qestion.a }}"]
)
def test_a_missing_column_is_named_with_the_nearest_one(source):
    assert refusal(source, question="x", label=1) == (
        "a.jsonl:3: there is no column 'qestion', which muscle.toml: tasks.support.prompt names\n"
        "  did you mean 'question'?"
    )


def test_a_missing_key_within_a_column_is_named():
    assert "has no attribute 'txt'" in refusal("{{ choices.txt }}", choices={"text": []})


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_nothing_is_not_written_into_a_prompt_as_a_word(value):
    message = refusal("Q: {{ question }}", question=value)
    assert f'the value is {value}; write {{{{ column or "" }}}} if it may be missing' in message


def test_half_an_emoji_is_no_text():
    assert "surrogates not allowed" in refusal(r"{{ '\ud83d' }}", question="x")


def test_a_row_that_the_template_cannot_take_is_named():
    assert "ZeroDivisionError" in refusal("{{ 1 / label }}", label=0)
    assert "UndefinedError" not in refusal("{{ options[5] }}", options=["x"])
    assert "recursion" in refusal("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}").lower()


# --- templates that are none


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ question", "unexpected end of template"),
        ("one\ntwo {{ }}", "(line 2 of the template)"),
        ("{% for x in y %}", "Unexpected end of template"),
        ("{{ x | nofilter }}", "No filter named 'nofilter'"),
        ("{% nosuch %}", "unknown tag 'nosuch'"),
        ("{{ options | random }}", "No filter named 'random'"),
        ("{{ " + "(" * 5000 + " }}", "is not a valid template"),
        ("{{ " + "-" * 5000 + "x }}", "is not a valid template"),
    ],
)
@pytest.mark.parametrize("kind", [Template, Expression])
def test_a_mistake_in_a_template_is_named_with_its_key(kind, source, expected):
    with pytest.raises(ConfigurationError) as caught:
        kind(source, where=WHERE)
    message = str(caught.value)
    assert message.startswith(f"{WHERE}: is not a valid template: ")
    assert expected in message


# --- the sandbox


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ question['__class__'] }}",
        "{{ question | attr('__class__') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ range.__globals__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(question) }}",
        "{{ options.append(1) }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ lipsum() }}",
    ],
)
def test_python_s_internals_files_and_chance_are_out_of_reach(source):
    refusal(source, question="x", options=["y"])


def test_what_an_expression_may_not_have_is_no_value():
    with pytest.raises(DataError):
        evaluate("{{ ''.__class__ }}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10 ** 10 }}",
        "{{ 10 ** 10 * 'a' }}",
        "{{ [0] * 10 ** 9 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ 2 ** 100000000 }}",
        "{{ 9 ** 9 ** 9 ** 9 }}",
        "{{ number ** number }}",
        "{{ 'a' * number }}",
        "{% for i in range(10 ** 9) %}x{% endfor %}",
        "{% for i in range(number) %}{% endfor %}",
        "{{ 'a' | center(10000000000) }}",
        "{{ 'a'.ljust(10000000000) }}",
        "{{ 'a'.zfill(width=number) }}",
        "{{ 'a' | indent(10000000000, true) }}",
        "{% for a in range(1000) %}{% for b in range(1000) %}"
        "{% for c in range(1000) %}0123456789{% endfor %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
        "{% endfor %}",
        "{% set ns = namespace(x=9) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}"
        "{% endfor %}",
    ],
)
def test_no_template_fills_the_memory_or_runs_for_ever(source):
    start = time.monotonic()
    message = refusal(source, number=10**10)
    assert "OverflowError" in message
    assert time.monotonic() - start < 5


# --- expressions


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ label }}", 2),
        ("  {{label}}\n", 2),
        ("{{- label -}}", 2),
        ("{{ options }}", ["x", "y"]),
        ("{{ options | map('upper') | list }}", ["X", "Y"]),
        ('{{ "ABCD".index(answer) }}', 1),
        ("{{ [a, b] }}", ["p", "q"]),
        ("{{ a }}{{ b }}", "pq"),
        ("label {{ label }}", "label 2"),
        ("{{ label }}.", "2."),
        ("{{ '}}' }}", "}}"),
        ("{% if label %}1{% endif %}", "1"),
        ("2", "2"),
        ("{{ nothing }}", None),
    ],
)
def test_one_expression_keeps_its_value_all_else_is_text(source, expected):
    row = {"label": 2, "options": ["x", "y"], "answer": "B", "a": "p", "b": "q", "nothing": None}
    assert evaluate(source, **row) == expected


def test_a_word_of_jinja2_is_no_column():
    assert evaluate("{{ true }}", true="x") is True
    assert evaluate("{{ none }}", none="x") is None
    assert evaluate("{{ range }}", range="x") == "x"
    assert evaluate("{{ a.upper() }}", a="x") == "X"


def test_an_expression_over_a_missing_column_suggests_the_nearest():
    with pytest.raises(DataError, match="there is no column 'lable'") as caught:
        evaluate("{{ lable }}", label=1)
    assert "did you mean 'label'?" in str(caught.value)


def test_an_expression_that_fails_or_has_no_value_is_named():
    with pytest.raises(DataError, match="fails on this row: ValueError: substring not found"):
        evaluate('{{ "ABCD".index(answer) }}', answer="E")
    with pytest.raises(DataError, match="has no value on this row"):
        evaluate("{{ 1 if label }}", label=0)


# --- anything at all


@settings(max_examples=300, deadline=None)
@given(
    source=st.lists(
        st.sampled_from(
            ["{{", "}}", "{%", "%}", "{{-", "-}}", " q ", "'", "|", "join", "(", ")", "[", "]", "*"]
        )
        | st.sampled_from(["for x in q", "endfor", "if q", "endif", ".", "9", "**", ",", "~", "x"])
        | st.text(max_size=3),
        max_size=9,
    ).map("".join),
    value=st.none() | st.text(max_size=3) | st.lists(st.integers(), max_size=2) | st.floats(),
)
def test_any_template_gives_a_text_or_is_refused(source, value):
    try:
        text = Template(source, where=WHERE).render({"q": value}, row="a.jsonl:3")
        Expression(source, where=WHERE).evaluate({"q": value}, row="a.jsonl:3")
    except ConfigurationError as caught:
        message = str(caught)
    except DataError as caught:
        message = str(caught)
    else:
        message = WHERE
        text.encode()
    assert WHERE in message
