"""What is forked, cancelled or interrupted at any step leaves a client that works."""

import asyncio
import gc
import itertools
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from nas_sdk import AccessToken, Arm, AsyncNasClient, NasClient, NasError
from nas_sdk.reconcile import Reconciler, Runtime
from nas_sdk.reconcile.planning import Desired, OneShot
from nas_sdk.testing import InMemoryNas
from nas_sdk.webhooks import FireVerifier, JwksCache
from tests.support.both_clients import CALLBACK, FIRE_AT
from tests.support.interrupted import PATIENCE, Countdown, Paused, at_every_signal, in_child
from tests.support.loopback import Seen, http_answer, loopback

OURS = ("nas_sdk",)
ALL = ("nas_sdk", "httpx", "httpcore", "h11")
FORK_STRIDE = 5
"""A fork takes long, so not every line is tried in every run."""


def answer(seen: Seen) -> bytes:
    """What NAS answers; a schedule id names the job, so that a mix-up shows."""
    return http_answer(json.dumps(_body(seen.line, seen.body)).encode())


def _body(line: str, body: bytes) -> dict[str, Any]:
    if "/provision" in line:
        return {"schedule_id": f"os-{json.loads(body)['job_id']}"}
    return {"armed": []} if "/list" in line else {"ok": True}


def _arm(nas: NasClient, job_id: str) -> str:
    return nas.provision(job_id, FIRE_AT, CALLBACK).schedule_id


# Fork


@pytest.mark.parametrize("warm", [True, False])
def test_a_fork_at_every_step_of_a_call(warm: bool) -> None:
    forks = 0
    with loopback(answer) as server:
        for at in itertools.count(0, FORK_STRIDE):
            # A token that must be fetched, so that its lock is held at some of the steps.
            nas = NasClient(server.url, lambda: "agent-token", max_connections=2)
            if warm:
                _arm(nas, "before")
            call = Paused(lambda nas=nas: _arm(nas, "parent"), OURS, at)  # type: ignore[misc]
            if call.is_over:
                nas.close()
                break
            said = in_child(lambda nas=nas, at=at: [_arm(nas, f"c{at}-{n}") for n in range(3)])  # type: ignore[misc]
            assert said == str([f"os-c{at}-{n}" for n in range(3)])
            assert call.finish() == "os-parent"
            assert _arm(nas, "after") == "os-after"
            nas.close()
            forks += 1
    print(f"forked at {forks} steps of a call, {'warm' if warm else 'cold'}")
    assert forks > 20


def test_a_child_of_a_batch_does_its_own() -> None:
    """Many threads hold permits and connections of the parent."""
    arrived, go = threading.Semaphore(0), threading.Event()

    def held(seen: Seen) -> bytes:
        if b"held" in seen.body:
            arrived.release()
            go.wait(PATIENCE)
        return answer(seen)

    with loopback(held) as server:
        nas = NasClient(server.url, "agent-token", max_connections=4)
        arms = [Arm(f"held-{n}", FIRE_AT, CALLBACK) for n in range(8)]
        outcomes: list[Any] = []
        parent = threading.Thread(target=lambda: outcomes.extend(nas.provision_many(arms)))
        parent.start()
        for _ in range(4):
            assert arrived.acquire(timeout=PATIENCE)
        children = [Arm(f"child-{n}", FIRE_AT, CALLBACK) for n in range(8)]
        said = in_child(lambda: [each.ok for each in nas.provision_many(children)])
        assert said == str([True] * 8)
        go.set()
        parent.join(PATIENCE)
        nas.close()
    assert [each.ok for each in outcomes] == [True] * 8


def test_an_asynchronous_client_in_a_child() -> None:
    with loopback(answer) as server:
        nas = AsyncNasClient(server.url, lambda: "agent-token")

        async def arm(*jobs: str) -> list[str]:
            done = await asyncio.gather(*(nas.provision(job, FIRE_AT, CALLBACK) for job in jobs))
            return [each.schedule_id for each in done]

        assert asyncio.run(arm("a", "b")) == ["os-a", "os-b"]
        assert in_child(lambda: asyncio.run(arm("c", "d"))) == "['os-c', 'os-d']"
        assert asyncio.run(arm("e")) == ["os-e"]


def test_a_fork_within_an_event_loop_leaves_the_parent_its_connections() -> None:
    async def main() -> None:
        nas = AsyncNasClient(server.url, "agent-token", timeout=PATIENCE, max_attempts=1)
        async with nas:
            assert await nas.list_armed() == []
            assert in_child(gc.isenabled) == "True"
            assert await nas.list_armed() == []

    with loopback(answer) as server:
        asyncio.run(main())
        assert server.connections == 1


def test_a_child_fetches_the_keys_that_its_parent_was_fetching() -> None:
    nas = InMemoryNas()
    under_way, go = threading.Event(), threading.Event()

    def source() -> str:
        if not under_way.is_set():
            under_way.set()
            go.wait(PATIENCE)
        return json.dumps(nas.jwks())

    cache = JwksCache(source, timeout=PATIENCE)
    cache.prefetch()
    assert under_way.wait(PATIENCE)
    verifier = FireVerifier(cache, audience="agent:agent", issuer=nas.base_url)
    token = nas.mint_fire_token()
    assert in_child(lambda: verifier.verify_token(token).audience) == "agent:agent"
    go.set()
    assert verifier.verify_token(token).audience == "agent:agent"


class _Jobs(Reconciler):
    """Wants one job; its `desired` stands still when it is told to."""

    def __init__(self, nas: InMemoryNas) -> None:
        super().__init__(CALLBACK, Runtime())
        self._nas = nas
        self.under_way, self.go = threading.Event(), threading.Event()

    def client(self) -> NasClient:
        return self._nas.client()

    def desired(self, listed: object) -> Desired:
        if not self.under_way.is_set():
            self.under_way.set()
            self.go.wait(PATIENCE)
        return Desired((OneShot("job-1", FIRE_AT),))


def test_a_child_reconciles_although_its_parent_was_at_it() -> None:
    nas = InMemoryNas()
    jobs = _Jobs(nas)
    jobs.request()
    assert jobs.under_way.wait(PATIENCE)
    said = in_child(lambda: (jobs.wait(jobs.request(), PATIENCE), *nas.armed()))
    assert said == "(True, 'job-1')"
    jobs.go.set()
    assert jobs.wait(jobs.request(), PATIENCE)


def test_a_child_is_not_kept_by_the_locks_of_its_parent() -> None:
    """Every lock of a double, held by a thread that the child does not have."""
    nas = InMemoryNas()
    locks = [nas._handler.lock, nas.faults._lock, nas.clock._lock]  # type: ignore[attr-defined]
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with locks[0], locks[1], locks[2]:
            held.set()
            go.wait(PATIENCE)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(PATIENCE)

    def act() -> str:
        nas.fail_next(503)
        nas.client().cancel("job-1")
        return "done"

    assert in_child(act) == "done"
    go.set()
    holder.join(PATIENCE)


# Cancel

STEPS = range(41)
Stop = Callable[[Awaitable[object], int], Awaitable[None]]


class _InLoop:
    """A NAS in the event loop of the test, so that each turn of it is one step of both."""

    def __init__(self) -> None:
        self.open = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                said = _body(head.decode().partition("\r\n")[0], body)
                writer.write(http_answer(json.dumps(said).encode()))
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def in_loop() -> AsyncIterator[_InLoop]:
    served = _InLoop()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, backlog=128)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield served


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def by_cancel(call: Awaitable[object], after: int) -> None:
    task = asyncio.ensure_future(call)
    await turns(after)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def by_timeout(call: Awaitable[object], after: int) -> None:
    async def expire(limit: asyncio.Timeout) -> None:
        await turns(after)
        with suppress(RuntimeError):  # it is over
            limit.reschedule(0.0)

    with suppress(TimeoutError):
        async with asyncio.timeout(None) as limit:
            expiry = asyncio.ensure_future(expire(limit))
            await call
    await expiry


async def by_wait_for(call: Awaitable[object], after: int) -> None:
    """As `asyncio.wait_for` does when the time is up."""
    task = asyncio.ensure_future(call)
    waiting = asyncio.ensure_future(asyncio.wait_for(task, 0 if after == 0 else PATIENCE))
    await turns(after)
    waiting.cancel()
    with suppress(asyncio.CancelledError, TimeoutError):
        await waiting
    task.cancel()  # where the wait was over before it began
    await asyncio.wait([task])


async def by_sibling(call: Awaitable[object], after: int) -> None:
    async def fail() -> None:
        await turns(after)
        raise ZeroDivisionError

    async def run() -> None:
        await call

    with suppress(BaseExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(run())
            group.create_task(fail())


async def by_disconnect(call: Awaitable[object], after: int) -> None:
    """As web frameworks end a handler whose client has gone."""
    async with anyio.create_task_group() as group:

        async def run() -> None:
            await call

        group.start_soon(run)
        await turns(after)
        group.cancel_scope.cancel()


STOPS = [by_cancel, by_timeout, by_wait_for, by_sibling, by_disconnect]


async def _single(nas: AsyncNasClient) -> None:
    assert (await nas.provision("job-1", FIRE_AT, CALLBACK)).schedule_id == "os-job-1"


async def _batch(nas: AsyncNasClient) -> None:
    await nas.provision_many([Arm(f"job-{n}", FIRE_AT, CALLBACK) for n in range(5)])


async def _crowd(nas: AsyncNasClient) -> None:
    """More calls than there are connections."""
    await asyncio.gather(*(_single(nas) for _ in range(5)))


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize(
    ("stop", "work"),
    [*itertools.product(STOPS, [_single, _batch]), (by_cancel, _crowd)],
    ids=lambda function: function.__name__,
)
async def test_a_call_that_is_cancelled_at_every_step(stop: Stop, work: Any, warm: bool) -> None:
    async with in_loop() as served:
        for after in STEPS:
            nas = AsyncNasClient(served.url, lambda: "agent-token", max_connections=2)
            if warm:
                await _single(nas)
            else:
                nas._tokens._cache.keep("agent-token")  # a thread is no turn of the loop
            before = len(asyncio.all_tasks())
            await stop(work(nas), after)
            pool = nas._http._transport._connections  # type: ignore[union-attr]
            here = pool.here()
            assert here.turn.value == 2
            assert len(here.idle) <= 2
            async with asyncio.timeout(PATIENCE):
                while served.open > len(here.idle):
                    await turns(1)
                while len(asyncio.all_tasks()) > before + len(here.idle):
                    await turns(1)
                for _ in range(2):
                    await _single(nas)
            await nas.aclose()
            async with asyncio.timeout(PATIENCE):
                while served.open:
                    await turns(1)


# Signals


class Alarm(Exception):
    """What a task queue or a test runner raises from a signal's handler."""


SIGNALS = [KeyboardInterrupt, SystemExit, Alarm]


def _raise(kind: type[BaseException]) -> Callable[[], None]:
    def act() -> None:
        raise kind

    return act


def _interrupted(call: Callable[[], object], at: int, kind: type[BaseException], what: Any) -> int:
    """Break off a call before the step of that number; returns how many steps it took."""
    step = Countdown(at, _raise(kind))
    with suppress(kind, NasError), at_every_signal(what, step):
        call()
    return step.steps


def _at_every_step(call: Callable[[], object], what: Any, stride: int) -> Iterator[int]:
    """Break the call off at every step, each kind of signal in turn, until none is left."""
    for number, at in enumerate(itertools.count(0, stride)):
        if _interrupted(call, at, SIGNALS[number % len(SIGNALS)], what) <= at:
            return
        yield at


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize(("what", "stride"), [(OURS, 1), (ALL, 13)], ids=["ours", "all"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a socket that no one closed is freed
def test_a_signal_at_every_step_of_a_call(warm: bool, what: Any, stride: int) -> None:
    interrupted = 0
    with loopback(answer) as server:
        fresh = ["agent-token"]

        def source() -> AccessToken:
            return AccessToken(fresh[0], 4e9)

        nas = NasClient(server.url, source, max_connections=2)
        pool = nas._http._transport._pool  # type: ignore[union-attr]

        def call() -> None:
            _arm(nas, "job-1")

        for _ in _at_every_step(call, what, stride):
            interrupted += 1
            if pool.permits.value != 2:
                gc.collect()  # what records the exchanges of tests makes a ring of a response
            assert pool.permits.value == 2
            assert not nas._tokens._lock.locked()
            if interrupted % 10 == 0:
                assert _arm(nas, f"job-{interrupted}") == f"os-job-{interrupted}"
            if not warm:
                while pool._idle:
                    pool._idle.pop().http.close()
                nas._tokens._cache.token = None
        assert _arm(nas, "after") == "os-after"
        nas.close()
        gc.collect()
    print(f"interrupted at {interrupted} steps of a call")
    assert interrupted > 100


def test_a_signal_at_every_step_of_a_batch() -> None:
    interrupted = 0
    with loopback(answer) as server:
        nas = NasClient(server.url, "agent-token", max_connections=2)
        permits = nas._http._transport._pool.permits  # type: ignore[union-attr]
        arms = [Arm(f"job-{n}", FIRE_AT, CALLBACK) for n in range(3)]
        for _ in _at_every_step(lambda: nas.provision_many(arms), OURS, 1):
            interrupted += 1
            _until(lambda: permits.value == 2)
        assert all(each.ok for each in nas.provision_many(arms))
        nas.close()
    _until(lambda: not [each for each in threading.enumerate() if each.name == "nas-sdk"])
    print(f"interrupted at {interrupted} steps of a batch")
    assert interrupted > 50


def _until(is_so: Callable[[], bool]) -> None:
    wait = threading.Event()
    for _ in range(int(PATIENCE * 100)):
        if is_so():
            return
        wait.wait(0.01)
    raise AssertionError("it never comes to that")
