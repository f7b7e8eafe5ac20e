"""Times and tables for people."""

import time

import pytest

from chronos_plugin.cli.formatting import clock, distance, length, moment, table
from nas_sdk._core.instants import parse_instant
from tests.support.ends_of_time import ENDS_OF_TIME

NOON = time.mktime((2026, 6, 18, 12, 0, 0, 0, 0, -1))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (1.4, "1 s"),
        (119, "119 s"),
        (240, "4 min"),
        (-7_199, "119 min"),
        (7_200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_length(seconds: float, said: str) -> None:
    assert length(seconds) == said


def test_distance() -> None:
    assert [distance(each) for each in (240, -12, 0.4)] == ["in 4 min", "12 s ago", "now"]


def test_moment() -> None:
    assert moment(NOON + 240, NOON) == "12:04 (in 4 min)"
    assert moment(NOON + 86_400, NOON) == "Fri 12:00 (in 24 h)"
    assert moment(NOON - 30 * 86_400, NOON) == "2026-05-19 (30 d ago)"


def test_a_weekday_alone_is_never_that_of_today_and_says_a_time_once() -> None:
    for hour in range(24):
        now = NOON - 12 * 3_600 + hour * 3_600
        today = time.strftime("%a", time.localtime(now))
        for way in (1, -1):
            shown = [clock(now + way * ahead * 3_600, now) for ahead in range(14 * 24)]
            days = [text for text in shown if text[0].isalpha()]
            assert len(days) >= 5 * 24
            assert len(set(days)) == len(days)
            assert not [text for text in days if text.startswith(today)]


@pytest.mark.parametrize("fire_at", ENDS_OF_TIME)
def test_a_moment_at_an_end_of_time(fire_at: str) -> None:
    at = parse_instant(fire_at) / 1000
    said = ("9999-12-3", "after 9999") if at > NOON else ("0001-01-0", "1-01-0", "before 0001")
    assert moment(at, NOON).startswith(said)


def test_a_table_that_fits_stays_as_it_is() -> None:
    assert [*table([("A", "BB"), ("aaaaaaaa", "b")], 80)] == ["A         BB", "aaaaaaaa  b"]


def test_wide_columns_give_way_from_the_left() -> None:
    rows = [("NAME", "WHAT"), ("a" * 30, "b" * 10)]
    assert [*table(rows, 20)] == ["NAME      WHAT", "aaaaaaa…  bbbbbbbbbb"]
    assert [*table(rows, 18)] == ["NAME      WHAT", "aaaaaaa…  bbbbbbb…"]
