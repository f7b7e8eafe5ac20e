import asyncio
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from nas_sdk import (
    Arm,
    BulkResult,
    IdentityRejectedError,
    InvalidRequestError,
    NasTimeoutError,
    ServerError,
    TokenError,
    UnauthorizedError,
    client,
)
from nas_sdk._core.bulk import Batch
from nas_sdk.testing import InMemoryNas
from tests.support.both_clients import CALLBACK, FIRE_AT, KINDS, answering, driver, nas_driver
from tests.support.patience import PATIENCE_S


def arms(count: int) -> list[Arm]:
    return [Arm(f"job-{number}", FIRE_AT, CALLBACK) for number in range(count)]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def nas() -> InMemoryNas:
    return InMemoryNas()


async def test_every_item_has_its_outcome_in_order(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas)
    wanted = arms(100)
    outcomes = await call("provision_many", wanted)
    assert [outcome.request for outcome in outcomes] == wanted
    armed = nas.armed()
    assert [outcome.result.schedule_id for outcome in outcomes] == [
        armed[arm.job_id].schedule_id for arm in wanted
    ]
    assert {(outcome.ok, outcome.attempts) for outcome in outcomes} == {(True, 1)}
    gone = await call("cancel_many", [arm.job_id for arm in wanted])
    assert [(outcome.job_id, outcome.result, outcome.ok) for outcome in gone] == [
        (arm.job_id, None, True) for arm in wanted
    ]
    assert nas.armed() == {}


async def test_one_bad_item_does_not_harm_the_others(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas)
    items = [
        Arm("good-1", FIRE_AT, CALLBACK),
        Arm("not good", FIRE_AT, CALLBACK),
        Arm("naive", datetime(2026, 1, 1), CALLBACK),
        Arm("good-2", FIRE_AT, CALLBACK),
    ]
    outcomes = await call("provision_many", items)
    assert [outcome.ok for outcome in outcomes] == [True, False, False, True]
    assert [getattr(outcome.error, "field", None) for outcome in outcomes] == [
        None,
        "job_id",
        "fire_at",
        None,
    ]
    assert isinstance(outcomes[1].error, InvalidRequestError)
    assert list(nas.armed()) == ["good-1", "good-2"]


async def test_items_are_retried_one_by_one(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(503, times=5)
    outcomes = await nas_driver(kind, nas, max_attempts=6)("provision_many", arms(3))
    assert all(outcome.ok for outcome in outcomes)
    assert sum(outcome.attempts for outcome in outcomes) == len(nas.requests) == 8


async def test_an_item_that_fails_says_what_it_has_cost(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(503, times=99)
    outcomes = await nas_driver(kind, nas, max_attempts=2)("cancel_many", ["a", "b"])
    for outcome in outcomes:
        assert isinstance(outcome.error, ServerError)
        assert (outcome.ok, outcome.attempts) == (False, 2)
        assert outcome.elapsed == outcome.error.elapsed > 0


async def test_an_item_that_succeeds_says_what_it_has_cost(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(delay=2.5)
    [outcome] = await nas_driver(kind, nas)("cancel_many", ["a"])
    assert (outcome.ok, outcome.attempts, outcome.elapsed) == (True, 1, 2.5)


@pytest.mark.parametrize("kind_of_error", [IdentityRejectedError, UnauthorizedError, TokenError])
async def test_what_no_item_can_escape_stops_the_batch(
    kind: str, nas: InMemoryNas, kind_of_error: type[Exception]
) -> None:
    def no_token() -> str:
        raise OSError

    nas.tokens["agent-token"] = None
    tokens = {UnauthorizedError: "unknown", TokenError: no_token}
    call = nas_driver(kind, nas, token=tokens.get(kind_of_error, "agent-token"))
    outcomes = await call("provision_many", arms(500))
    assert len(outcomes) == 500
    assert {type(outcome.error) for outcome in outcomes} == {kind_of_error}
    assert len(nas.requests) <= 32
    unsent = [outcome for outcome in outcomes if outcome.attempts == 0]
    assert len(unsent) >= 468


# Also what the contract has not: a gateway in front of NAS may answer.
PUTS_OFF = (301, 400, 403, 404, 408, 413, 429, 500, 502, 503, 504)
RETRIED = (408, 429, 500, 502, 503, 504)


def putting_off(status: int, seconds: str) -> tuple[httpx.MockTransport, list[Any]]:
    return answering(httpx.Response(status, headers={"Retry-After": seconds}))


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("status", PUTS_OFF)
@pytest.mark.parametrize("count", [3, 40])
async def test_who_is_put_off_for_long_sends_no_further_item(
    kind: str, status: int, count: int
) -> None:
    transport, seen = putting_off(status, "61")
    call = driver(kind, transport=transport, max_connections=2)
    outcomes = await call("provision_many", arms(count))
    assert len(seen) <= 2  # what was under way
    assert [outcome.error.retry_after for outcome in outcomes] == [61.0] * count
    assert sum(outcome.attempts for outcome in outcomes) == len(seen)


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("status", PUTS_OFF)
@pytest.mark.parametrize("count", [3, 40])
async def test_who_is_put_off_for_a_while_comes_back_then(
    kind: str, status: int, count: int
) -> None:
    transport, seen = putting_off(status, "60")
    call = driver(kind, transport=transport, max_connections=2, max_attempts=2, deadline=None)
    outcomes = await call("cancel_many", [arm.job_id for arm in arms(count)])
    attempts = 2 if status in RETRIED else 1
    assert [outcome.attempts for outcome in outcomes] == [attempts] * count
    assert len(seen) == attempts * count


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("status", PUTS_OFF)
async def test_who_is_put_off_past_the_deadline_sends_no_further_item(
    kind: str, status: int
) -> None:
    transport, seen = putting_off(status, "20")
    call = driver(kind, transport=transport, max_connections=2, deadline=10)
    outcomes = await call("provision_many", arms(40))
    assert len(seen) <= 2
    assert {outcome.error.retry_after for outcome in outcomes} == {20.0}


async def test_the_deadline_is_that_of_the_batch(kind: str, nas: InMemoryNas) -> None:
    nas.fail_next(delay=2, times=1000)
    call = nas_driver(kind, nas, deadline=10)
    # One at a time, as each delay moves the one clock.
    outcomes = await call("provision_many", arms(300))
    late = [outcome for outcome in outcomes if not outcome.ok]
    assert late
    assert len(late) < 300
    assert {type(outcome.error) for outcome in late} == {NasTimeoutError}
    assert nas.clock.time() - 1_767_225_600 < 15
    assert any(outcome.attempts == 0 for outcome in late)


async def test_progress(kind: str, nas: InMemoryNas) -> None:
    seen: list[tuple[int, int]] = []
    threads: set[int] = set()

    def note(done: int, total: int) -> None:
        seen.append((done, total))
        threads.add(threading.get_ident())

    items = [*arms(20), Arm("not good", FIRE_AT, CALLBACK)]
    await nas_driver(kind, nas)("provision_many", items, on_progress=note)
    assert seen == [(done, 21) for done in range(1, 22)]
    assert threads == {threading.get_ident()}


async def test_progress_that_fails_ends_the_batch(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()
    stop = Batch.stop

    def seen_stop(batch: Batch) -> None:
        stop(batch)
        stopped.set()

    monkeypatch.setattr(Batch, "stop", seen_stop)
    count = 0
    overrun: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        if count > 100:  # so that not all is done before the failure is noticed
            overrun.extend([] if stopped.wait(PATIENCE_S) else [count])
            assert not overrun
        return httpx.Response(200, json={"schedule_id": "os_1"})

    def fail(done: int, total: int) -> None:
        raise ZeroDivisionError

    call = driver(kind, transport=httpx.MockTransport(answer))
    with pytest.raises(ZeroDivisionError):
        await call("provision_many", arms(500), on_progress=fail)
    assert overrun == []


def test_a_batch_that_is_stopped_hands_out_no_more(nas: InMemoryNas) -> None:
    batch = Batch.of_cancels(["a", "b", "c"], nas.client()._settings)
    worker = iter(batch)
    next(worker)
    batch.stop()
    assert list(worker) == []
    assert list(batch) == []


async def test_a_hook_that_fails_ends_the_batch(kind: str, nas: InMemoryNas) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await nas_driver(kind, nas, on_request=fail)("provision_many", arms(500))
    assert nas.requests == []


async def test_generators_and_nothing(kind: str, nas: InMemoryNas) -> None:
    call = nas_driver(kind, nas)

    def some() -> Iterator[Arm]:
        yield from arms(3)

    assert len(await call("provision_many", some())) == 3
    assert await call("provision_many", []) == []
    assert await call("cancel_many", iter(())) == []


async def test_a_generator_that_fails_sends_nothing(kind: str, nas: InMemoryNas) -> None:
    def broken() -> Iterator[Arm]:
        yield from arms(3)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await nas_driver(kind, nas)("provision_many", broken())
    assert nas.requests == []


@pytest.mark.parametrize("items", [["job-1"], [None], [("job-1", FIRE_AT, CALLBACK)]])
async def test_items_of_another_type(kind: str, nas: InMemoryNas, items: Any) -> None:
    with pytest.raises(TypeError, match="takes Arm items"):
        await nas_driver(kind, nas)("provision_many", items)


async def test_one_text_is_not_many_job_ids(kind: str, nas: InMemoryNas) -> None:
    with pytest.raises(TypeError, match="not one text"):
        await nas_driver(kind, nas)("cancel_many", "job-1")


async def test_an_outcome_names_its_job() -> None:
    assert BulkResult("job-1").job_id == "job-1"
    assert BulkResult(Arm("job-2", FIRE_AT, CALLBACK)).job_id == "job-2"


def test_no_more_threads_than_connections() -> None:
    barrier = threading.Barrier(32)
    lock, now, most = threading.Lock(), 0, 0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        barrier.wait(PATIENCE_S)  # passes only when all connections are in use
        with lock:
            now -= 1
        return httpx.Response(200, json={"ok": True})

    call = driver("sync", transport=httpx.MockTransport(answer))
    count = 96
    assert isinstance(call.client, client.NasClient)
    outcomes = call.client.cancel_many([f"job-{number}" for number in range(count)])
    assert all(outcome.ok for outcome in outcomes)
    assert most == 32


async def test_no_more_tasks_than_connections() -> None:
    now = most = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(5):
            await asyncio.sleep(0)
        now -= 1
        return httpx.Response(200, json={"ok": True})

    call = driver("async", transport=httpx.MockTransport(answer))
    outcomes = await call("cancel_many", [f"job-{number}" for number in range(100)])
    assert all(outcome.ok for outcome in outcomes)
    assert most == 16


@pytest.mark.parametrize("progress", [True, False])
def test_a_batch_is_worked_off_where_no_thread_can_start(
    nas: InMemoryNas, progress: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while the interpreter ends, from Python 3.12 on."""

    def cannot(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", cannot)
    told: list[int] = []
    for count in range(4):
        outcomes = nas.client().provision_many(
            arms(count), on_progress=(lambda done, total: told.append(done)) if progress else None
        )
        assert [outcome.ok for outcome in outcomes] == [True] * count
    assert told == ([1, 1, 2, 1, 2, 3] if progress else [])
