"""The book is whole, and its command tells held, broken and impossible apart."""

import json

import pytest

from tests.incidents import __main__ as command
from tests.incidents import book
from tests.incidents.book import BROKEN, CANNOT_RUN, HELD, Entry, Outcome
from tests.incidents.stage import Stage, promised
from tests.support.hermes_env import MAIN


def held(stage: Stage) -> None:
    """nothing goes wrong"""


def kept_by_ours_alone(stage: Stage) -> None:
    """something goes wrong"""
    with promised("the moon is ours"):
        assert stage.ours


def impossible(stage: Stage) -> None:
    """something is missing"""
    raise FileNotFoundError("no such moon\nfor anyone")


def test_every_line_of_the_book_has_an_incident() -> None:
    entries = book.entries()
    assert {entry.number for entry in entries} == set(range(1, 35))
    assert [entry.number for entry in entries] == sorted(entry.number for entry in entries)


def test_an_incident_on_several_releases_is_played_on_each() -> None:
    versions = [entry.version for entry in book.entries() if entry.number == 15]
    assert sorted(versions) == ["0.18.2", MAIN]


@pytest.mark.parametrize("verdict", [HELD, BROKEN, CANNOT_RUN])
def test_every_row_fits_a_terminal(verdict: str) -> None:
    outcome = Outcome(verdict, "" if verdict == HELD else "why " * 40)
    for entry in book.entries():
        lines = command._lines(entry, outcome, Outcome(HELD))
        assert all(len(line) <= 80 for line in lines), lines
        assert len(lines) == 1 + (verdict != HELD)


def test_the_command_tells_what_was_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    played = [Entry(1, MAIN, held), Entry(2, MAIN, kept_by_ours_alone)]
    monkeypatch.setattr(book, "entries", lambda: played)
    assert command.main([]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[-2:] for line in said[1:3]] == [["held", "held"], ["broken", "held"]]
    assert said[3].strip() == "bundled: not so: the moon is ours"


def test_the_command_fails_unless_ours_holds_everything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    played = [Entry(1, MAIN, held), Entry(2, MAIN, impossible)]
    monkeypatch.setattr(book, "entries", lambda: played)
    assert command.main(["--json", "2"]) == 1
    [told] = json.loads(capsys.readouterr().out)
    assert told["title"] == "something is missing"
    assert told["ours"] == {"verdict": CANNOT_RUN, "why": "no such moon"}
