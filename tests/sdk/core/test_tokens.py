import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nas_sdk import AccessToken, ConfigurationError, TokenError
from nas_sdk._core.tokens import _FETCHES, AsyncTokens, RenewingSource, Token, Tokens
from nas_sdk.testing.time import VirtualClock
from tests.support.patience import PATIENCE_S

SECRET = "s3cr3t-t0ken"


class Source:
    """A token source that counts its calls and can be held up."""

    def __init__(self, *tokens: Any) -> None:
        self.tokens = tokens
        self.calls = 0
        self.may_go = threading.Event()
        self.may_go.set()
        self.called = threading.Event()

    def __call__(self) -> Any:
        token = self.tokens[min(self.calls, len(self.tokens) - 1)]
        self.calls += 1
        self.called.set()
        assert self.may_go.wait(PATIENCE_S)
        if isinstance(token, Exception):
            raise token
        return token


@pytest.mark.parametrize(
    "value", ["", " ", "a b", "a\n", "a\r\nX-Evil: 1", "tök", "a\x00", "\ud800", None, 7, b"abc"]
)
def test_what_is_no_token_is_refused_without_showing_it(value: Any) -> None:
    with pytest.raises(TokenError) as caught:
        Token(value)
    assert not isinstance(value, str) or not value.strip() or value not in str(caught.value)


def test_a_token_does_not_show_itself() -> None:
    assert SECRET not in repr(Token(SECRET)) + str(Token(SECRET)) + f"{[Token(SECRET)]}"


def test_a_token_that_expires_does_not_show_itself() -> None:
    token = AccessToken(SECRET, 7.0)
    for shown in (repr(token), str(token), f"{token}", f"{token!r}", f"{[token]}"):
        assert SECRET not in shown


@pytest.mark.parametrize(
    ("lives", "used"),
    [(3_600.0, 3_570.0), (31.0, 1.0), (30.0, 30.0), (1.0, 30.0), (0.0, 30.0), (-60.0, 30.0)],
)
def test_a_token_is_replaced_30_seconds_before_it_expires(lives: float, used: float) -> None:
    """One that has no more than those is used for 30 seconds all the same."""
    clock = VirtualClock()
    source = Source(AccessToken(SECRET, clock.time() + lives))
    tokens = Tokens(source, clock)
    tokens.get(None)
    clock.sleep(used - 0.5)
    tokens.get(None)
    assert source.calls == 1
    clock.sleep(0.5)
    tokens.get(None)
    assert source.calls == 2


def test_a_text_is_checked_at_once() -> None:
    for kind in (Tokens, AsyncTokens):
        with pytest.raises(TokenError, match="line break"):
            kind(f"{SECRET}\n")


def test_something_else_is_no_source() -> None:
    for kind in (Tokens, AsyncTokens):
        with pytest.raises(ConfigurationError, match="callable"):
            kind(7)  # type: ignore[arg-type]


def test_a_text_is_all_there_is() -> None:
    tokens = Tokens(SECRET)
    token = tokens.get(None)
    assert tokens.get(token) is token


def test_a_token_is_kept_until_it_is_refused() -> None:
    source = Source("one", "two")
    tokens = Tokens(source)
    first = tokens.get(None)
    assert tokens.get(None) is first
    assert source.calls == 1
    second = tokens.get(first)
    assert (first.value, second.value) == ("one", "two")
    assert tokens.get(first) is second
    assert source.calls == 2


def test_a_failed_source_is_asked_again_next_time() -> None:
    tokens = Tokens(Source(RuntimeError(SECRET), "good"))
    with pytest.raises(TokenError, match="the token source raised RuntimeError") as caught:
        tokens.get(None)
    assert SECRET not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert tokens.get(None).value == "good"


@pytest.mark.parametrize("value", [None, "", "a b", 7])
def test_a_source_that_returns_no_token(value: Any) -> None:
    source = Source(value, "good")
    tokens = Tokens(source)
    with pytest.raises(TokenError):
        tokens.get(None)
    assert tokens.get(None).value == "good"


def test_a_fetch_that_went_well_is_not_taken_for_the_failure_of_the_next() -> None:
    outcomes: Iterator[str | TokenError] = iter(["good", TokenError("the login is gone")])

    def source() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, TokenError):
            raise outcome
        return outcome

    class NextFetchAtOnce:
        """A lock for which another thread waits, and is quicker than the one that had it."""

        _lock, locked = threading.Lock(), staticmethod(lambda: False)
        again = True

        def __enter__(self) -> None:
            self._lock.acquire()

        def __exit__(self, *error: object) -> None:
            self._lock.release()
            if self.again:
                self.again = False
                with pytest.raises(TokenError):
                    tokens.get(tokens._cache.token)

    tokens = Tokens(source)
    tokens._lock = NextFetchAtOnce()  # type: ignore[assignment]  # what it needs of one
    assert tokens.get(None).value == "good"


def test_a_source_that_calls_the_client_it_serves_is_told() -> None:
    """Where it would wait for itself for ever; also after a signal left the mark of a fetch."""

    def source() -> str:
        return tokens.get(None).value

    tokens = Tokens(source)
    for _ in range(2):
        with pytest.raises(TokenError, match="calls the client that it is to serve"):
            tokens.get(None)
    good = Tokens(lambda: "agent-token")
    good._cache._fetch = mark = object()
    _FETCHES.set((mark,))
    assert good.get(None).value == "agent-token"


async def test_an_asynchronous_source_that_calls_its_client_is_told() -> None:
    async def source() -> str:
        return (await tokens.get(None)).value

    def blocking() -> str:
        return asyncio.run(source())

    for each in (source, blocking):
        tokens = AsyncTokens(each)
        with pytest.raises(TokenError, match="calls the client that it is to serve"):
            await tokens.get(None)


def test_the_sync_client_takes_no_awaitable_for_a_token() -> None:
    async def fetch() -> str:
        return SECRET

    with pytest.raises(TokenError, match="AsyncNasClient"):
        Tokens(lambda: fetch()).get(None)  # type: ignore[arg-type, return-value]


class CountedTokens(Tokens):
    """Lets a test wait until callers have queued up behind a fetch."""

    def __init__(self, source: Callable[[], str]) -> None:
        super().__init__(source)
        lock, self.queued = self._lock, threading.Semaphore(0)
        queued = self.queued

        class Lock:
            locked = staticmethod(lock.locked)

            def __enter__(self) -> None:
                queued.release()
                lock.acquire()

            def __exit__(self, *_: object) -> None:
                lock.release()

        self._lock = Lock()  # type: ignore[assignment]


@pytest.mark.parametrize("outcome", ["token", "failure"])
def test_one_thread_fetches_for_all(outcome: str) -> None:
    source = Source("one" if outcome == "token" else ValueError("no"), "two")
    source.may_go.clear()
    tokens = CountedTokens(source)

    def get() -> str:
        try:
            return tokens.get(None).value
        except TokenError as error:
            return error.message

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(get) for _ in range(8)]
        for _ in range(8):
            assert tokens.queued.acquire(timeout=PATIENCE_S)
        source.may_go.set()
        values = {result.result(30) for result in results}
    assert values == {"one" if outcome == "token" else "the token source raised ValueError"}
    assert source.calls == 1


async def test_one_task_fetches_for_all() -> None:
    calls = 0
    go = asyncio.Event()

    async def source() -> str:
        nonlocal calls
        calls += 1
        await go.wait()
        return f"token-{calls}"

    tokens = AsyncTokens(source)
    tasks = [asyncio.create_task(tokens.get(None)) for _ in range(8)]
    await asyncio.sleep(0)
    go.set()
    assert {token.value for token in await asyncio.gather(*tasks)} == {"token-1"}
    assert calls == 1


async def test_tasks_share_a_failure() -> None:
    calls = 0
    go = asyncio.Event()

    async def source() -> str:
        nonlocal calls
        calls += 1
        await go.wait()
        raise ValueError(SECRET)

    tokens = AsyncTokens(source)
    tasks = [asyncio.create_task(tokens.get(None)) for _ in range(8)]
    await asyncio.sleep(0)
    go.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert {str(error) for error in errors} == {"the token source raised ValueError"}
    assert len({id(error) for error in errors}) == 8
    assert calls == 1


async def test_a_cancelled_fetch_does_not_fail_the_others() -> None:
    entered = asyncio.Event()
    calls = 0

    async def source() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            entered.set()
            await asyncio.Event().wait()
        return "good"

    tokens = AsyncTokens(source)
    leader = asyncio.create_task(tokens.get(None))
    await entered.wait()
    follower = asyncio.create_task(tokens.get(None))
    await asyncio.sleep(0)
    leader.cancel()
    assert (await follower).value == "good"
    assert leader.cancelled()


async def test_a_blocking_source_stays_off_the_event_loop() -> None:
    loop_thread = threading.get_ident()
    seen: list[int] = []

    def source() -> str:
        seen.append(threading.get_ident())
        return "good"

    assert (await AsyncTokens(source).get(None)).value == "good"
    assert seen != [loop_thread]


async def test_a_callable_that_returns_an_awaitable() -> None:
    async def fetch() -> str:
        return "good"

    assert (await AsyncTokens(lambda: fetch()).get(None)).value == "good"


async def test_an_asynchronous_source_that_fails() -> None:
    async def source() -> str:
        raise OSError(SECRET)

    with pytest.raises(TokenError, match="raised OSError") as caught:
        await AsyncTokens(source).get(None)
    assert SECRET not in str(caught.value)


class Login:
    """A login that keeps its token until it is told to renew it."""

    def __init__(self) -> None:
        self.number = 0
        self.renewals = 0

    def __call__(self, renew: bool) -> str:
        self.renewals += renew
        self.number += renew
        return f"token-{self.number}"


def test_a_login_that_keeps_a_refused_token_is_renewed() -> None:
    source = RenewingSource(Login())
    assert [source(), source()] == ["token-0", "token-1"]


def test_a_token_that_was_just_renewed_is_not_renewed_again() -> None:
    login = Login()
    source = RenewingSource(login)
    assert [source() for _ in range(10)] == ["token-0"] + ["token-1"] * 9
    assert login.renewals == 1


def test_a_token_that_was_renewed_long_ago_is_renewed_again() -> None:
    login, clock = Login(), VirtualClock()
    source = RenewingSource(login, clock)
    assert [source(), source()] == ["token-0", "token-1"]
    clock.sleep(299)
    assert source() == "token-1"
    clock.sleep(1)
    assert [source() for _ in range(3)] == ["token-2"] * 3
    clock.sleep(300)
    assert source() == "token-3"


def test_a_login_that_has_a_new_token_is_not_renewed() -> None:
    login = Login()
    source = RenewingSource(login)
    for number in range(5):
        login.number = number
        assert source() == f"token-{number}"
    assert login.renewals == 0


def test_a_source_over_a_login_does_not_show_its_tokens() -> None:
    source = RenewingSource(lambda renew: SECRET)
    source()
    assert SECRET not in repr(source)


@pytest.mark.parametrize("is_object", [True, False])
def test_a_source_that_is_asynchronous_is_told_at_once(is_object: bool) -> None:
    class Login:
        async def __call__(self) -> str:
            return SECRET

    source: Any = Login() if is_object else Login().__call__
    with pytest.raises(ConfigurationError, match=r"^token: .*AsyncNasClient"):
        Tokens(source)
