"""When keys are good and when they are fetched anew, minute by minute, without I/O."""

from __future__ import annotations

import pytest

from nas_sdk.webhooks._key_state import KeySetState
from nas_sdk.webhooks._keys import VerifyKey, parse_key_set
from tests.support.mint import key_set

KEYS: dict[str, VerifyKey] = parse_key_set(key_set("p256"))
START = 1_000_000.0


@pytest.fixture
def state() -> KeySetState:
    return KeySetState(lifespan=300, stale_for=1000, cooldown=30, patience=20)


@pytest.fixture
def warm(state: KeySetState) -> KeySetState:
    assert state.begin(None, START)
    state.succeeded(KEYS, START)
    return state


def test_a_cold_book_asks_for_one_fetch_at_a_time(state: KeySetState) -> None:
    assert not state.is_warm(START)
    assert state.find("p256", START) == (None, False)
    assert state.begin("p256", START)
    assert state.is_fetching(START + 19)
    assert not state.begin("p256", START + 19)


def test_a_fetch_that_never_ends_is_given_up(state: KeySetState) -> None:
    assert state.begin("p256", START)
    assert not state.is_fetching(START + 20)
    assert state.begin("p256", START + 20)


def test_while_two_fetches_hang_no_other_one_begins(state: KeySetState) -> None:
    assert [state.begin("p256", START + 20 * number) for number in range(4)] == [
        True,
        True,
        False,
        False,
    ]
    state.succeeded(KEYS, START)
    assert state.begin("p256", START + 300)


def test_fetches_that_went_with_their_process_hold_up_nothing(state: KeySetState) -> None:
    for number in range(2):
        assert state.begin("p256", START + 20 * number)
    state.abandon()
    assert state.begin("p256", START + 20)


def test_fresh_keys_are_not_fetched_again(warm: KeySetState) -> None:
    assert warm.find("p256", START + 299) == (KEYS["p256"], True)
    assert not warm.begin("p256", START + 299)
    assert not warm.begin(None, START + 299)


def test_stale_keys_verify_and_are_fetched_again(warm: KeySetState) -> None:
    assert warm.find("p256", START + 300) == (KEYS["p256"], False)
    assert warm.begin(None, START + 300)


def test_keys_go_out_of_use_in_the_end(warm: KeySetState) -> None:
    assert warm.find("p256", START + 1299) == (KEYS["p256"], False)
    assert warm.is_warm(START + 1299)
    assert warm.find("p256", START + 1300) == (None, False)
    assert not warm.is_warm(START + 1300)


def test_keys_are_as_old_as_the_request_for_them(state: KeySetState) -> None:
    assert state.begin(None, START)
    state.succeeded(KEYS, START)
    assert state.find("p256", START + 305)[1] is False


def test_unknown_kids_share_one_fetch_per_cooldown(warm: KeySetState) -> None:
    assert warm.begin("a", START + 1)
    warm.succeeded(KEYS, START + 1)
    assert not any(warm.begin(kid, START + 30.9) for kid in ("a", "b", "c"))
    assert warm.begin("d", START + 31)


def test_an_unknown_kid_does_not_delay_the_regular_fetch(warm: KeySetState) -> None:
    assert warm.begin("a", START + 290)
    warm.succeeded(KEYS, START)
    assert warm.begin(None, START + 300)


@pytest.mark.parametrize(
    ("failures", "pause"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (20, 30)]
)
def test_the_pause_after_failures_doubles_up_to_the_cooldown(
    state: KeySetState, failures: int, pause: int
) -> None:
    told = [state.failed(START) for _ in range(failures)]
    assert told == list(range(1, failures + 1))
    assert not state.begin(None, START + pause - 0.01)
    assert state.begin(None, START + pause)


def test_a_success_forgets_the_failures(state: KeySetState) -> None:
    for _ in range(5):
        state.failed(START)
    state.succeeded(KEYS, START)
    assert state.begin(None, START + 300)
    assert state.failed(START + 300) == 1


def test_a_failure_keeps_the_last_keys(warm: KeySetState) -> None:
    assert warm.begin(None, START + 300)
    warm.failed(START + 301)
    assert warm.find("p256", START + 301) == (KEYS["p256"], False)
    assert not warm.begin("unknown", START + 301.5)


def test_a_clock_that_is_set_back_costs_a_fetch_and_keeps_no_key_alive(warm: KeySetState) -> None:
    assert warm.find("p256", START - 3600) == (None, False)
    assert warm.begin("p256", START - 3600)


def test_threads_that_read_the_clock_in_another_order_see_the_fetch(state: KeySetState) -> None:
    assert state.begin(None, START)
    assert not state.begin(None, START - 0.001)
    state.succeeded(KEYS, START)
    assert state.find("p256", START - 0.001) == (KEYS["p256"], True)


def test_a_clock_that_is_set_back_by_more_than_a_moment_loses_the_fetch(state: KeySetState) -> None:
    assert state.begin(None, START)
    assert state.is_fetching(START - 2)
    assert not state.is_fetching(START - 2.001)
