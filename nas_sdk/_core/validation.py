"""The contract's rules for single values, checked before anything is sent. Pure.

The generated models carry no constraints, so the patterns stand here; a test compares
them with the contract.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TypeGuard

from ..errors import InvalidRequestError
from .instants import format_instant, parse_instant

JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
JOB_ID_MAX = 128
CALLBACK_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
CALLBACK_URL_MAX = 2048
SCHEDULE_ID_MAX = 256


def check_job_id(job_id: str) -> str:
    """The job id itself; InvalidRequestError when the contract does not allow it."""
    if not is_job_id(job_id):
        raise InvalidRequestError(
            f"job_id: {_short(job_id)} is not 1 to {JOB_ID_MAX} letters, digits, '.', '_' or '-' "
            "that begin with a letter or digit",
            field="job_id",
        )
    return _plain(job_id)


def is_job_id(value: object) -> TypeGuard[str]:
    """Whether the contract allows this value as a job id."""
    return isinstance(value, str) and len(value) <= JOB_ID_MAX and bool(JOB_ID.fullmatch(value))


def is_instant(value: object) -> TypeGuard[str]:
    """Whether the contract allows this value as a fire time."""
    if not isinstance(value, str):
        return False
    try:
        parse_instant(value)
    except ValueError:
        return False
    return True


def check_fire_at(fire_at: str | datetime) -> str:
    """The text to send: a text byte for byte, a datetime as RFC 3339 with its offset."""
    try:
        text = format_instant(fire_at) if isinstance(fire_at, datetime) else fire_at
        parse_instant(text)
    except ValueError as error:
        raise InvalidRequestError(f"fire_at: {error}", field="fire_at") from None
    return _plain(text)


def check_callback_url(url: str) -> str:
    """The URL itself; InvalidRequestError unless it is an absolute URL in ASCII, no query."""
    if not is_callback_url(url):
        raise InvalidRequestError(
            f"agent_callback_url: {_short(url)} is not an absolute http(s) URL without query and "
            "fragment, such as https://agent-7.example.com",
            field="agent_callback_url",
        )
    return _plain(url)


def is_callback_url(value: object) -> bool:
    """Whether the contract allows it."""
    if not isinstance(value, str) or len(value) > CALLBACK_URL_MAX:
        return False
    return value.isascii() and value.isprintable() and bool(CALLBACK_URL.fullmatch(value))


def check_dedup_key(dedup_key: str | None, job_id: str, fire_at: str) -> str:
    """The key of this request; one that was given must be it."""
    key = f"{job_id}:{fire_at}"
    if dedup_key is not None and dedup_key != key:
        raise InvalidRequestError(
            f"dedup_key: {_short(dedup_key)} is not {key!r}; leave it out to have it filled in",
            field="dedup_key",
        )
    return key


def _plain(text: str) -> str:
    """The text itself of a subclass, such as an enum of texts, which formats as its name."""
    return str.__str__(text)


def _short(value: object) -> str:
    if not isinstance(value, str):
        return f"a value of type {type(value).__name__}"
    return repr(value if len(value) <= 60 else f"{value[:60]}…")
