"""Lines and bars on standard error."""

from __future__ import annotations

import pytest

from pytest_muscle.progress import SILENT, Progress


def test_a_line_names_who_says_it(capsys):
    Progress(speaker="muscle [gw1]").say("waiting")
    assert capsys.readouterr().err == "\nmuscle [gw1]: waiting\n"


@pytest.mark.parametrize(("bars", "shown"), [(True, ""), (False, "\nmuscle: training a\n")])
def test_a_line_begins_what_no_bar_shows(capsys, bars, shown):
    Progress(bars=bars).begin("training a")
    assert capsys.readouterr().err == shown


@pytest.mark.parametrize("progress", [SILENT, Progress(bars=False)])
def test_no_bars(capsys, progress):
    with progress.bar(2, "counting", "ex") as bar:
        bar.update(2)
    assert capsys.readouterr().err == ""


def test_silence(capsys):
    SILENT.say("a")
    Progress(enabled=False, bars=False).begin("b")
    assert capsys.readouterr().err == ""
