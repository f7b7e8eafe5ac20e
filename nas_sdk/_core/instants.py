"""Instants: the contract's text and milliseconds since the epoch. Pure.

A fire time is text on the wire and is carried byte for byte; two of them are compared as
instants, to the millisecond.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

# The pattern of the contract's schema FireAt, with groups.
_INSTANT = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_SHAPE = "write it like 2026-06-18T12:34:56.789+02:00"


def parse_instant(text: str) -> int:
    """The instant as milliseconds since the epoch; finer digits are cut off.

    Raises ValueError for anything but RFC 3339 with an offset, as the contract has it.
    """
    if not isinstance(text, str):
        raise ValueError(f"not a text but {type(text).__name__}: {_SHAPE}")
    return _parse(text)


@lru_cache(maxsize=32_768)  # a reconcile reads the time of every job several times
def _parse(text: str) -> int:
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise ValueError(f"{_complaint(text)} in {text[:40]!r}: {_SHAPE}")
    year, month, day, hour, minute, second, fraction, sign, off_hour, off_minute = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        raise ValueError(f"no such day in {text!r}") from None
    seconds = ((days * 24 + int(hour)) * 60 + int(minute)) * 60 + int(second)
    if sign:
        offset = int(off_hour) * 3600 + int(off_minute) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * 1000 + int((fraction or "")[:3].ljust(3, "0"))


def _complaint(text: str) -> str:
    if _INSTANT.fullmatch(f"{text}Z"):
        return "no UTC offset"
    return "not an RFC 3339 instant"


def with_offset(text: str) -> str:
    """A stored time as text for the wire; a naive one is in this machine's zone of today.

    Whatever is fit for the wire, and what is no time at all, comes back as it is.
    """
    if _INSTANT.fullmatch(text):
        return text
    try:
        moment = datetime.fromisoformat(text)
        local = moment.replace(tzinfo=moment.tzinfo or datetime.now().astimezone().tzinfo)
        return format_instant(local)
    except (ValueError, OverflowError):
        return text


def format_instant(moment: int | datetime) -> str:
    """Text for the wire, of milliseconds since the epoch or of an aware datetime.

    Milliseconds become UTC (`…Z`); a datetime keeps its offset and its microseconds.
    Raises ValueError for a naive datetime and for years outside 1 to 9999.
    """
    if isinstance(moment, datetime):
        return _format_datetime(moment)
    try:
        utc = _EPOCH + timedelta(milliseconds=moment)
    except OverflowError:
        raise ValueError(f"{moment} ms is not in the years 1 to 9999") from None
    return f"{utc.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _format_datetime(moment: datetime) -> str:
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError(
            "a naive datetime names no instant: give it a time zone, as in datetime.now(UTC)"
        )
    if offset % timedelta(minutes=1):  # such as the local mean times of the 19th century
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:
            raise ValueError(f"{moment} is not in the years 1 to 9999 of UTC") from None
    return moment.isoformat()
