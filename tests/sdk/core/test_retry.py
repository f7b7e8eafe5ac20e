import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas_sdk import (
    BadRequestError,
    ContractError,
    IdentityRejectedError,
    NasConnectionError,
    NasError,
    NasTimeoutError,
    RateLimitedError,
    ServerError,
    TokenError,
    UnauthorizedError,
    UnexpectedStatusError,
)
from nas_sdk._core.retry import (
    is_retryable,
    next_wait,
    parse_retry_after,
    wait_asked,
)

NOW = 1_750_000_000.0
DOWN = ServerError("x", status=503)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NasConnectionError("x"), True),
        (NasTimeoutError("x"), True),
        (RateLimitedError("x", status=429), True),
        (ServerError("x", status=500), True),
        (ServerError("x", status=520), True),
        (ServerError("x", status=599), True),
        (UnexpectedStatusError("x", status=408), True),
        (BadRequestError("x", status=400), False),
        (UnauthorizedError("x", status=401), False),
        (IdentityRejectedError("x", status=403), False),
        (UnexpectedStatusError("x", status=404), False),
        (UnexpectedStatusError("x", status=409), False),
        (UnexpectedStatusError("x", status=302), False),
        (UnexpectedStatusError("x", status=600), False),
        (ContractError("x", status=200), False),
        (TokenError("x"), False),
    ],
)
def test_what_is_retried(error: NasError, expected: bool) -> None:
    assert is_retryable(error) is expected
    assert (next_wait(error, 1, None, 0.5) is not None) is expected


def test_waits_double_up_to_a_bound_with_full_jitter() -> None:
    tops = [next_wait(DOWN, attempts, None, 1.0) for attempts in range(1, 8)]
    assert tops == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert next_wait(DOWN, 5, None, 0.0) == 0.0
    assert next_wait(DOWN, 5, None, 0.25) == 2.0
    assert next_wait(DOWN, 10_000, None, 1.0) == 8.0


@settings(deadline=None)
@given(st.integers(1, 10**6), st.floats(0, 1, exclude_max=True), st.floats(0, 100))
def test_a_wait_never_outlasts_the_deadline(attempts: int, chance: float, left: float) -> None:
    wait = next_wait(DOWN, attempts, left, chance)
    assert wait is None or 0 <= wait < left


def test_retry_after_is_a_lower_bound_and_never_shortened() -> None:
    asked = RateLimitedError("x", status=429, retry_after=30.0)
    assert next_wait(asked, 1, None, 0.0) == 30.0
    assert next_wait(asked, 1, None, 1.0) == 30.5
    longest = RateLimitedError("x", status=429, retry_after=60.0)
    assert next_wait(longest, 1, None, 0.0) == 60.0
    for seconds in (61.0, 3600.0, 1e9):
        too_long = RateLimitedError("x", status=429, retry_after=seconds)
        assert next_wait(too_long, 1, None, 0.0) is None


def test_a_retry_after_beyond_the_deadline_stops() -> None:
    assert next_wait(RateLimitedError("x", status=429, retry_after=30.0), 1, 29.0, 0.0) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("1.5", 1.5),
        ("Sun, 15 Jun 2025 15:07:10 GMT", 30.0),
        ("Sunday, 15-Jun-25 15:07:10 GMT", 30.0),
        ("Sun Jun 15 15:07:10 2025", 30.0),
        ("Sun, 15 Jun 2025 14:00:00 GMT", 0.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("9" * 5000, None),
        ("1e9", None),
        ("٣", None),
        ("Sun, 99 Jun 2025 15:07:10 GMT", None),
        ("Sun, 15 Jun 99999999999 15:07:10 GMT", None),
    ],
)
def test_retry_after_header(value: str, expected: float | None) -> None:
    assert parse_retry_after({"retry-after": value}, NOW) == expected


def test_no_header_is_no_wait() -> None:
    assert parse_retry_after({}, NOW) is None


def test_a_date_counts_from_the_answers_own_clock() -> None:
    headers = {
        "retry-after": "Mon, 01 Jan 2035 00:00:10 GMT",
        "date": "Mon, 01 Jan 2035 00:00:00 GMT",
    }
    assert parse_retry_after(headers, NOW) == 10.0


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_no_header_value_raises(value: str, date: str) -> None:
    wait = parse_retry_after({"retry-after": value, "date": date}, NOW)
    assert wait is None or wait >= 0


@given(st.none() | st.floats(-1e9, 1e9), st.floats(0, 600), st.floats(0, 3_600))
def test_the_own_backoff_is_the_floor_and_there_is_a_cap(
    asked: float | None, backoff: float, most: float
) -> None:
    wait = wait_asked(asked, backoff, most)
    assert backoff <= wait <= max(most, backoff)
    assert wait >= min(asked or 0.0, most)
