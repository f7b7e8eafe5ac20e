import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_sdk import InvalidRequestError, format_instant, parse_instant
from nas_sdk._core.instants import with_offset
from nas_sdk._core.validation import check_fire_at, is_instant

NOON = 1_781_776_800_000  # 2026-06-18T10:00:00Z


@pytest.mark.parametrize(
    ("text", "offset_ms"),
    [
        ("2026-06-18T10:00:00Z", 0),
        ("2026-06-18T12:00:00+02:00", 0),
        ("2026-06-18T04:30:00-05:30", 0),
        ("2026-06-18T10:00:00.5Z", 500),
        ("2026-06-18T10:00:00.050Z", 50),
        ("2026-06-18T10:00:00.123999999Z", 123),
        ("2026-06-17T24:00:00Z", None),
        ("2026-06-18T10:00:00", None),
        ("2026-06-18 10:00:00Z", None),
        ("2026-06-18T10:00:00z", None),
        ("2026-06-18T10:00:00Z\n", None),
        ("2026-06-18T10:00:00.1234567890Z", None),
        ("2026-06-18T10:00:00+0200", None),
        ("2026-06-18T10:00:60Z", None),
        ("2026-02-30T10:00:00Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("٢٠٢٦-06-18T10:00:00Z", None),
        ("", None),
    ],
)
def test_parse(text: str, offset_ms: int | None) -> None:
    assert is_instant(text) == (offset_ms is not None)
    if offset_ms is None:
        with pytest.raises(ValueError, match=r"write it like|no such day"):
            parse_instant(text)
    else:
        assert parse_instant(text) == NOON + offset_ms


def test_parse_says_that_the_offset_is_missing() -> None:
    with pytest.raises(ValueError, match="no UTC offset"):
        parse_instant("2026-06-18T10:00:00")


def test_earliest_and_latest_instants() -> None:
    assert parse_instant("0001-01-01T00:00:00+23:59") < parse_instant("0001-01-01T00:00:00Z")
    assert parse_instant("9999-12-31T23:59:59.999-23:59") > 253_402_300_799_999


@settings(deadline=None)
@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.integers(-1439, 1439),
)
def test_a_datetime_survives_to_the_millisecond(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    expected = (moment - epoch) // timedelta(milliseconds=1)
    assert parse_instant(format_instant(moment)) == expected


@settings(deadline=None)
@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_milliseconds_survive(ms: int) -> None:
    assert parse_instant(format_instant(ms)) == ms


def test_format() -> None:
    assert format_instant(NOON + 7) == "2026-06-18T10:00:00.007Z"
    paris = datetime(2026, 6, 18, 12, tzinfo=ZoneInfo("Europe/Paris"))
    assert format_instant(paris) == "2026-06-18T12:00:00+02:00"


def test_an_offset_with_seconds_becomes_utc() -> None:
    odd = timezone(timedelta(minutes=9, seconds=21))
    moment = datetime(1900, 1, 1, tzinfo=odd)
    assert parse_instant(format_instant(moment)) == int(moment.timestamp() * 1000)


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match=r"naive datetime.*datetime\.now\(UTC\)"):
        format_instant(datetime(2026, 6, 18))


def test_milliseconds_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="years 1 to 9999"):
        format_instant(10**18)


@pytest.mark.parametrize(
    "text", ["2026-06-18T12:34:56Z", "2026-06-18T12:34:56.123456+02:00", "tomorrow", ""]
)
def test_what_is_fit_for_the_wire_or_no_time_stays_as_it_is(text: str) -> None:
    assert with_offset(text) == text


@pytest.fixture
def in_berlin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    "naive", ["2026-06-18T12:34:56", "2026-06-18 12:34:56.000", "20260618T123456", "2026-01-18"]
)
@pytest.mark.usefixtures("in_berlin")
def test_a_naive_time_gets_this_machine_s_offset_of_today(naive: str) -> None:
    """Not that of its own day: of these times some are in summer and some in winter."""
    zone = datetime.now().astimezone().tzinfo
    expected = datetime.fromisoformat(naive).replace(tzinfo=zone).timestamp()
    assert parse_instant(with_offset(naive)) == round(expected * 1000)


def test_an_offset_the_wire_does_not_know_is_written_otherwise() -> None:
    assert with_offset("1900-01-01 00:00:00+00:17:30") == "1899-12-31T23:42:30+00:00"


ODD = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))


@settings(deadline=None)
@given(
    st.one_of(st.sampled_from([datetime.min, datetime.max]), st.datetimes()),
    st.one_of(st.timezones(), ODD.map(timezone)),
)
def test_any_aware_datetime_is_sent_or_refused(naive: datetime, zone: tzinfo) -> None:
    with suppress(InvalidRequestError):
        assert is_instant(check_fire_at(naive.replace(tzinfo=zone)))
