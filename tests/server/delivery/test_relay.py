"""Deliveries over real HTTP, to agents that answer well, badly, late or never."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.app import Nas
from nas_server.cli import serving
from nas_server.delivery.agent_connection import AgentConnection
from nas_server.delivery.http_answer import AnswerReader
from nas_server.logs import LOGGER
from nas_server.policy import DeliveryPolicy, ServerConfig
from nas_server.store import MemoryStore, Store, StoreError
from nas_server.store.base import GoneError
from tests.support.agent_stub import (
    AgentStub,
    accepted,
    agent_stub,
    gone,
    held,
    not_run,
    status,
    text,
)
from tests.support.durations import DAY
from tests.support.nas_in_process import Hosted, eventually, hosted
from tests.support.patience import PATIENCE_S
from tests.support.tls import self_signed

SOON = DeliveryPolicy(look_s=0.01)
NEVER = DeliveryPolicy(look_s=3_600.0)


@pytest.fixture
async def nas(store: Store) -> AsyncIterator[Hosted]:
    async with hosted(store, per_agent=4) as running:
        yield running


@pytest.fixture
async def agent(nas: Hosted) -> AsyncIterator[AgentStub]:
    async with agent_stub(nas.clock) as stub:
        yield stub


@pytest.fixture
def retired(store: Store, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when a stop has come so far that it waits for deliveries."""
    stop_accepting, done = store.stop_accepting, asyncio.Event()

    async def noted() -> None:
        await stop_accepting()
        done.set()

    monkeypatch.setattr(store, "stop_accepting", noted)
    return done


async def settled(nas: Hosted, jobs: set[str] | None = None) -> None:
    """Wait until no delivery is under way and, where ``jobs`` are given, only they are armed."""

    async def over() -> bool:
        idle = nas.nas.relay.under_way == 0
        return idle and (jobs is None or set(await nas.armed()) == jobs)

    await eventually(over)


async def noted(store: Store) -> StoredOneShot:
    """Wait until the agent's only one-shot has failed once, and return it."""

    async def failed() -> bool:
        return any(one.note for one in await store.armed("agent"))

    await eventually(failed)
    (one,) = await store.armed("agent")
    return one


async def test_a_fire_is_delivered_once_and_is_over(nas: Hosted, agent: AgentStub) -> None:
    await nas.provision("job", 60_000, agent.url)
    due = nas.clock.now + 60_000
    nas.advance(59_999)
    await settled(nas)
    assert agent.fires == []
    nas.advance(1)
    await agent.until(1)
    await settled(nas, set())
    (fire,) = agent.fires
    assert (fire.job_id, fire.at_ms, fire.path) == ("job", due, "/api/cron/fire")


async def test_the_log_says_how_late_a_fire_was_and_how_long_it_took(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", LOGGER.name)
    async with hosted(MemoryStore()) as nas, agent_stub(nas.clock) as agent:

        async def slow(request: web.Request) -> web.StreamResponse:
            nas.clock.now += 40
            return await accepted(request)

        agent.usual = slow
        schedule_id = await nas.provision("job", 60_000, agent.url)
        due = nas.clock.now + 60_000
        nas.advance(60_007)
        await agent.until(1)
        await settled(nas, set())
    [fire] = [told for told in caplog.records if told.getMessage() == "fire"]
    assert fire.__dict__["fields"] == {
        "agent": "agent",
        "job_id": "job",
        "schedule_id": schedule_id,
        "fire_at": format_instant(due),
        "attempt": 1,
        "outcome": "202",
        "late_ms": 7,
        "took_ms": 40,
        "dead": False,
    }


async def test_the_token_is_as_the_contract_has_it(nas: Hosted, agent: AgentStub) -> None:
    await nas.provision("job", -1, f"{agent.url}/some/prefix/")
    await agent.until(1)
    _, jwks, _ = await nas.call("GET", "/.well-known/jwks.json")
    header = jwt.get_unverified_header(agent.fires[0].token)
    (key,) = (key for key in jwks["keys"] if key["kid"] == header["kid"])
    claims = jwt.decode(
        agent.fires[0].token,
        jwt.PyJWK(key),
        algorithms=["ES256"],
        audience="agent:i-1",
        issuer="http://nas.test",
    )
    assert set(claims) == {"iss", "aud", "purpose", "iat", "exp"}
    assert claims["purpose"] == "cron_fire"
    assert claims["exp"] - claims["iat"] == 90
    assert agent.fires[0].path == "/some/prefix/api/cron/fire"


async def test_one_in_the_past_fires_at_once(nas: Hosted, agent: AgentStub) -> None:
    await nas.provision("job", -86_400_000, agent.url)
    await agent.until(1)


async def test_an_arm_ahead_of_all_others_is_seen_at_once(nas: Hosted, agent: AgentStub) -> None:
    await nas.provision("far", 3_600_000, agent.url)
    await settled(nas)
    await nas.provision("near", 0, agent.url)
    await agent.until(1)
    assert agent.jobs() == ["near"]


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("code", [302, 307, 400, 401, 404, 500, 503, 520])
async def test_anything_but_2xx_is_tried_again(nas: Hosted, agent: AgentStub, code: int) -> None:
    agent.answers.append(status(code, Location=f"{agent.url}/other/api/cron/fire"))
    await nas.provision("job", 0, agent.url)
    await agent.until(1)
    await settled(nas, {"job"})
    nas.advance(1_000)
    await agent.until(2)
    await settled(nas, set())
    first, second = agent.fires
    assert first.token != second.token
    assert first.path == second.path


def http_date(ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(ms // 1_000, UTC), usegmt=True)


def asking(form: str, now: int) -> dict[str, str]:
    """The headers that ask for 120 s; a date counts from the agent's, else from NAS's clock."""
    if form == "seconds":
        return {"Retry_After": "120"}
    sent = now - 7 * DAY if form == "a date by its own clock" else now
    dated = http_date(sent) if sent != now else ""
    return {"Retry_After": http_date(sent + 120_000), "Date": dated}


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("form", ["seconds", "a date", "a date by its own clock"])
async def test_retry_after_is_obeyed(
    nas: Hosted, agent: AgentStub, store: Store, form: str
) -> None:
    nas.clock.now -= nas.clock.now % 1_000  # a date has no parts of a second
    agent.answers.append(status(503, **asking(form, nas.clock.now)))
    await nas.provision("job", 0, agent.url)
    await agent.until(1)
    assert 120_000 <= (await noted(store)).wake_ms - nas.clock.now <= 121_000  # and the backoff
    nas.advance(119_999)
    await settled(nas, {"job"})
    assert len(agent.fires) == 1
    nas.advance(1_001)
    await agent.until(2)


async def test_a_refused_connection_is_tried_again(nas: Hosted, store: Store) -> None:
    await nas.provision("job", 0, "http://127.0.0.1:1")
    one = await noted(store)
    assert one.note.startswith("unreachable: ")
    assert one.lease_until_ms is None


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("answer", [gone, status(410), status(204), status(299)])
async def test_what_ends_a_one_shot(nas: Hosted, agent: AgentStub, answer: object) -> None:
    agent.usual = answer  # type: ignore[assignment]  # parametrize knows no types
    await nas.provision("job", 0, agent.url)
    await agent.until(1)
    await settled(nas, set())


async def test_a_late_copy_of_a_delivered_provision_fires_nothing(
    nas: Hosted, agent: AgentStub
) -> None:
    first = await nas.provision("job", 0, agent.url)
    await agent.until(1)
    await settled(nas, set())
    assert await nas.provision("job", 0, agent.url) == first
    assert await nas.armed() == {}


async def test_one_being_delivered_stays_listed(nas: Hosted, agent: AgentStub) -> None:
    gate = asyncio.Event()
    agent.answers.append(held(gate))
    armed = await nas.provision("job", 0, agent.url)
    await agent.until(1)
    assert await nas.armed() == {"job": armed}
    gate.set()
    await settled(nas, set())


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("then", [accepted, status(500)])
async def test_a_re_arm_during_a_delivery_wins(nas: Hosted, agent: AgentStub, then: object) -> None:
    gate = asyncio.Event()
    agent.answers.append(held(gate, then))  # type: ignore[arg-type]  # parametrize knows no types
    await nas.provision("job", 0, agent.url)
    await agent.until(1)
    second = await nas.provision("job", 5_000, agent.url)
    gate.set()
    await settled(nas)
    assert await nas.armed() == {"job": second}
    nas.advance(4_999)
    await settled(nas)
    assert len(agent.fires) == 1
    nas.advance(1)
    await agent.until(2)
    await settled(nas, set())
    assert agent.fires[0].fire_at != agent.fires[1].fire_at


@pytest.mark.off_contract("response")
async def test_a_cancel_during_a_delivery_keeps_it_from_coming_back(
    nas: Hosted, agent: AgentStub
) -> None:
    gate = asyncio.Event()
    agent.answers.append(held(gate, status(500)))
    await nas.provision("job", 0, agent.url)
    await agent.until(1)
    await nas.cancel("job")
    gate.set()
    await settled(nas, set())
    nas.advance(DAY)
    await settled(nas)
    assert len(agent.fires) == 1


async def test_a_cancel_after_the_due_time_holds_for_those_that_wait(
    nas: Hosted, agent: AgentStub
) -> None:
    gate = asyncio.Event()
    agent.usual = held(gate)
    jobs = [f"job{n}" for n in range(6)]
    for job in jobs:
        await nas.provision(job, 1_000, agent.url)
    nas.advance(1_000)
    await agent.until(4)  # as many as may be under way for one agent
    waiting = set(jobs) - set(agent.jobs())
    for job in waiting:
        await nas.cancel(job)
    gate.set()
    await settled(nas, set())
    assert len(agent.fires) == 4


async def none_armed(store: Store, agent: str) -> bool:
    return not await store.armed(agent)


async def test_a_hanging_agent_holds_up_nobody(nas: Hosted, agent: AgentStub, store: Store) -> None:
    quick_token = (await nas.nas.accounts.add("quick", None, nas.clock()))[1]
    gate = asyncio.Event()
    agent.usual = held(gate)
    for n in range(20):
        await nas.provision(f"slow{n}", 0, agent.url)
    await agent.until(4)
    async with agent_stub(nas.clock) as quick:
        slow_token, nas.token = nas.token, quick_token
        for n in range(20):
            await nas.provision(f"quick{n}", 0, quick.url)
        await quick.until(20)
        await eventually(lambda: none_armed(store, "quick"))
        assert len(agent.fires) == 4
        nas.token = slow_token
        gate.set()
        await agent.until(20)
        await settled(nas, set())


async def test_an_answer_that_does_not_come_is_tried_again(store: Store) -> None:
    gate = asyncio.Event()
    async with hosted(store, answer_timeout_s=0.05) as nas, agent_stub(nas.clock) as agent:
        agent.answers.append(held(gate))
        await nas.provision("job", 0, agent.url)
        await agent.until(1)
        await settled(nas, {"job"})
        (one,) = await store.armed("agent")
        assert one.note == "timeout: no answer in time"
        gate.set()

        async def came_again() -> bool:
            nas.advance(1_000)  # and again, where a busy machine was too slow for an answer
            return len(agent.fires) > 1

        await eventually(came_again)


@asynccontextmanager
async def hanging(store: Store, gate: asyncio.Event) -> AsyncIterator[Hosted]:
    """A NAS with a delivery under way that ends when the gate opens."""
    async with hosted(store) as nas, agent_stub(nas.clock) as agent:
        agent.usual = held(gate)
        await nas.provision("job", 0, agent.url)
        await agent.until(1)
        yield nas


async def test_a_stop_hands_back_what_is_under_way(store: Store) -> None:
    async with hanging(store, asyncio.Event()) as nas:
        await nas.nas.relay.stop(0.0)
        (one,) = await store.armed("agent")
        assert one.lease_until_ms is None
        assert [one.job_id for one in await store.due(nas.clock(), 1)] == ["job"]


async def test_a_stop_lets_deliveries_end(store: Store, retired: asyncio.Event) -> None:
    gate = asyncio.Event()
    async with hanging(store, gate) as nas:
        stopping = asyncio.create_task(nas.nas.relay.stop(3_600.0))
        await retired.wait()
        gate.set()
        async with asyncio.timeout(PATIENCE_S):
            await stopping
        assert await store.armed("agent") == []


@pytest.mark.parametrize("late", [False, True])
async def test_a_stop_in_a_hurry_waits_for_no_delivery(
    store: Store, retired: asyncio.Event, late: bool
) -> None:
    async with hanging(store, asyncio.Event()) as nas:
        stopping = asyncio.create_task(nas.nas.relay.stop(3_600.0))
        if late:
            await retired.wait()
        nas.nas.relay.force_stop()
        async with asyncio.timeout(PATIENCE_S):
            await stopping
        (one,) = await store.armed("agent")
        assert one.lease_until_ms is None


async def test_a_clock_that_is_set_forward_is_noticed(nas: Hosted, agent: AgentStub) -> None:
    await nas.provision("job", 3_600_000, agent.url)
    due = nas.clock.now + 3_600_000

    async def asleep() -> bool:
        return nas.nas.relay._asleep_until == due

    await eventually(asleep)
    nas.clock.now = due  # nobody tells the relay
    await agent.until(1)


@pytest.mark.off_contract("response")
async def test_each_attempt_is_counted_and_the_first_has_a_lateness(
    nas: Hosted, agent: AgentStub
) -> None:
    agent.answers.append(status(503))
    await nas.provision("job", 1_000, agent.url)
    nas.advance(1_400)
    await agent.until(1)
    await settled(nas, {"job"})
    nas.advance(1_000)
    await agent.until(2)
    await settled(nas, set())
    async with nas.client.get(f"{nas.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    assert 'nas_fire_attempts_total{outcome="503"} 1.0' in lines
    assert 'nas_fire_attempts_total{outcome="202"} 1.0' in lines
    assert "nas_fire_lateness_seconds_count 1.0" in lines
    assert "nas_fire_lateness_seconds_sum 0.4" in lines
    assert 'nas_fire_lateness_seconds_bucket{le="0.25"} 0.0' in lines
    assert 'nas_fire_lateness_seconds_bucket{le="0.5"} 1.0' in lines
    assert "nas_deliveries_under_way 0.0" in lines


async def test_what_is_wrong_with_tls_is_said_in_its_own_words(
    nas: Hosted, store: Store, tmp_path: Path
) -> None:
    context, _ = self_signed(tmp_path)
    async with agent_stub(nas.clock, context) as unknown:
        await nas.provision("job", 0, unknown.url)
        assert (await noted(store)).note == "unreachable: TLS: self-signed certificate"
        assert unknown.fires == []


async def test_a_port_that_does_not_speak_tls_is_told(
    nas: Hosted, agent: AgentStub, store: Store
) -> None:
    await nas.provision("job", 0, agent.url.replace("http:", "https:"))
    note = (await noted(store)).note
    assert re.fullmatch(r"unreachable: TLS: [a-z ]+", note), note
    assert agent.fires == []


async def test_a_revoked_agent_gets_no_fire(nas: Hosted, agent: AgentStub, store: Store) -> None:
    await nas.provision("job", 1_000, agent.url)
    await nas.nas.accounts.revoke("agent")
    nas.advance(1_000)
    await eventually(lambda: none_armed(store, "agent"))
    await settled(nas)
    assert agent.fires == []
    _, nas.token = await nas.nas.accounts.add("agent", None, nas.clock())
    await nas.provision("job", 0, agent.url)  # the same fire: nobody has had it
    await agent.until(1)


async def test_a_name_that_leads_to_a_private_address_is_not_called(store: Store) -> None:
    async with hosted(store, allow_private_callbacks=False) as nas, agent_stub(nas.clock) as agent:
        # Kept as a name would be that passes when it is armed, and leads there on connecting.
        at, now = format_instant(nas.clock()), nas.clock()
        url = agent.url.replace("127.0.0.1", "localhost")
        await store.provision(one_shot.fresh("agent", "job", at, url, "key", "os_1", now), now)
        nas.nas.relay.look()
        assert "private address" in (await noted(store)).note
        assert agent.fires == []


async def test_names_are_not_looked_up_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    # There are few, and a name server that does not answer would hold up every agent's fires.
    looked_up: list[object] = []
    look_up = socket.getaddrinfo

    def seen(host: str, *rest: Any, **more: Any) -> Any:
        looked_up.append(host)
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", seen)
    store = MemoryStore()
    async with hosted(store) as nas, agent_stub(nas.clock) as agent:
        await nas.provision("job", 0, agent.url.replace("127.0.0.1", "localhost"))
        await agent.until(1)
    assert "localhost" not in looked_up


async def test_a_relay_outlives_a_store_that_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("due", "settle"):
        monkeypatch.setattr(store, name, failing_once(getattr(store, name)))
    async with hosted(store, delivery=SOON) as nas, agent_stub(nas.clock) as agent:
        await nas.provision("job", 0, agent.url)
        await agent.until(1)
        await settled(nas, set())
        assert len(agent.fires) == 1


def failing_once(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    calls: list[object] = []

    async def failing(*given: Any, **more: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            raise StoreError("the disk is full")
        return await call(*given, **more)

    return failing


async def test_what_was_accepted_is_settled_at_the_latest_on_the_stop(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, failed = store.settle, asyncio.Event()

    async def failing_once_slowly(*given: Any) -> Any:
        if failed.is_set():
            return await settle(*given)
        failed.set()
        raise StoreError("there is no leader")

    monkeypatch.setattr(store, "settle", failing_once_slowly)
    async with hosted(store, delivery=NEVER) as nas, agent_stub(nas.clock) as agent:
        await nas.provision("job", 0, agent.url)
        async with asyncio.timeout(PATIENCE_S):
            await failed.wait()
        await nas.nas.stop()
        assert (await store.armed("agent"), len(agent.fires)) == ([], 1)


async def test_what_is_being_settled_is_settled_though_the_stop_waits_no_longer(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", LOGGER.name)
    settle, begun, gate = store.settle, asyncio.Event(), asyncio.Event()

    async def slow(*given: Any) -> Any:
        begun.set()
        await gate.wait()
        return await settle(*given)

    monkeypatch.setattr(store, "settle", slow)
    async with hosted(store) as nas, agent_stub(nas.clock) as agent:
        await nas.provision("job", 0, agent.url)
        async with asyncio.timeout(PATIENCE_S):
            await begun.wait()
        (delivery,) = nas.nas.relay._tasks
        stopping = asyncio.create_task(nas.nas.stop())

        async def given_up() -> bool:
            return delivery.cancelling() > 0

        await eventually(given_up)
        gate.set()
        await stopping
        assert (await store.armed("agent"), len(agent.fires)) == ([], 1)
    said = {told.getMessage(): told.__dict__["fields"] for told in caplog.records}
    assert (said["fire"]["outcome"], said["relay_stopped"]["handed_back"]) == ("202", 0)


async def test_a_stop_does_not_wait_for_a_store_that_is_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, exchange = asyncio.Event(), AgentConnection.exchange

    async def cancelled_in_vain(connection: AgentConnection, request: bytes) -> AnswerReader:
        reader = await exchange(connection, request)
        with contextlib.suppress(asyncio.CancelledError):  # as while it reads a body
            tried.set()
            await asyncio.Event().wait()
        return reader

    async def away(*_: Any) -> Any:
        raise StoreError("there is no leader")

    monkeypatch.setattr(AgentConnection, "exchange", cancelled_in_vain)
    monkeypatch.setattr(store, "settle", away)
    async with hosted(store, delivery=NEVER) as nas, agent_stub(nas.clock) as agent:
        await nas.provision("job", 0, agent.url)
        async with asyncio.timeout(PATIENCE_S):
            await tried.wait()
            await nas.nas.stop()
        (one,) = await store.armed("agent")
        assert one.lease_until_ms is None


async def test_a_server_whose_store_is_gone_for_good_ends() -> None:
    class Gone(MemoryStore):
        retired = False

        async def next_due(self, busy: Collection[str] = ()) -> int | None:
            raise GoneError("it hung up")

        async def stop_accepting(self) -> None:
            self.retired = True

    listener, store = serving._listen("127.0.0.1", 0), Gone()
    nas = Nas(store, ServerConfig(issuer="http://nas.test"))
    with contextlib.closing(listener), pytest.raises(GoneError, match="it hung up"):
        async with asyncio.timeout(PATIENCE_S):
            await serving._serve(listener, "http://nas.test", "off", nas)
    assert store.retired


async def test_a_lease_that_came_late_is_handed_back(
    nas: Hosted, agent: AgentStub, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By the end of a delivery it would be another process's turn.
    due, slow = store.due, [30_001]

    async def late(*given: Any, **more: Any) -> list[StoredOneShot]:
        taken = await due(*given, **more)
        if taken and slow:
            nas.clock.now += slow.pop()
        return taken

    monkeypatch.setattr(store, "due", late)
    await nas.provision("job", 0, agent.url)
    await agent.until(1)
    await settled(nas, set())
    (attempt,) = await store.attempts(nas.clock(), 10)
    assert (attempt.number, len(agent.fires)) == (2, 1)


@pytest.mark.parametrize("word", ["gone", "duplicate", "gateway_stopped"])
async def test_why_a_fire_ended_without_a_run_is_kept(
    nas: Hosted, agent: AgentStub, store: Store, word: str
) -> None:
    agent.usual = not_run(word)
    await nas.provision("job", 0, agent.url)
    await agent.until(1)
    await settled(nas, set())
    (kept,) = await store.attempts(nas.clock(), 10)
    assert (kept.answer, kept.then) == (f"200: {word}", "not run")


@pytest.mark.off_contract("response")
@pytest.mark.parametrize("body", ['{"status": "ok"}', '{"status": 7}', "[]", "x", "{" * 20_000])
async def test_any_other_body_is_a_run(
    nas: Hosted, agent: AgentStub, store: Store, body: str
) -> None:
    agent.usual = text(body)
    await nas.provision("job", 0, agent.url)
    await agent.until(1)
    await settled(nas, set())
    (kept,) = await store.attempts(nas.clock(), 10)
    assert (kept.answer, kept.then) == ("200", "done")


async def test_each_attempt_is_kept_with_its_answer(
    nas: Hosted, agent: AgentStub, store: Store
) -> None:
    await nas.provision("job", 0, agent.url)
    await agent.until(1)
    await settled(nas, set())
    (kept,) = await store.attempts(nas.clock(), 10)
    assert (kept.agent, kept.job_id, kept.answer, kept.then) == ("agent", "job", "202", "done")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        await nas.provision("other", 0, f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert (await noted(store)).note == "unreachable: Connection refused"
    failed, _ = await store.attempts(nas.clock(), 10)
    assert (failed.answer, failed.then) == ("unreachable: Connection refused", "retry")
