"""Alarms of a real cluster, on its own clock: they come in time, for one process, and no arm
is ever lost to a race with them."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import attrs
import pytest
from nats.aio.msg import Msg

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.clock import system_clock
from nas_server.policy import JetStreamPolicy
from nas_server.store.base import StoreError
from nas_server.store.jetstream.alarms import Alarms, _deferred
from nas_server.store.jetstream.job_record import Alarm, Job, JobRecord
from nas_server.store.jetstream.setup import CONSUMER
from nas_server.store.jetstream.store import JetStreamStore
from tests.support.durations import DAY, MINUTE
from tests.support.jetstream_store import (
    EVER_AHEAD,
    Arrivals,
    Receiver,
    delivering,
    new_url,
    opened,
)
from tests.support.nas_in_process import eventually
from tests.support.nats_cluster import NatsCluster
from tests.support.patience import PATIENCE_S

EXACT = JetStreamPolicy(lead_ms=0)
FAR = 3_600_000
ACCEPTED = DeliveryResult(ended=True, note="202")


def shot(job: str, due: int, agent: str = "a") -> StoredOneShot:
    at = format_instant(due)
    url = "https://agent.example.com"
    return one_shot.fresh(
        agent, job, at, url, f"{job}:{at}", one_shot.new_schedule_id(), system_clock()
    )


async def arm(store: JetStreamStore, *shots: StoredOneShot) -> None:
    now = system_clock()
    await asyncio.gather(*(store.provision(one, now) for one in shots))


@pytest.fixture(params=["nats_one", "nats_three"])
def cluster(request: pytest.FixtureRequest) -> NatsCluster:
    found: NatsCluster = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("policy", [EXACT, JetStreamPolicy(), EVER_AHEAD])
async def test_fires_come_in_time_and_never_early(
    nats_one: NatsCluster, policy: JetStreamPolicy
) -> None:
    receiver = Receiver()
    async with opened(new_url(nats_one), policy) as store, delivering(store, receiver):
        now = system_clock()
        await arm(store, *(shot(f"job{n}", now + n * 10 - 200) for n in range(100)))
        await receiver.until(100)
    assert all(came >= one.due_ms for one, came in receiver.fires)
    assert len(receiver.fires) == 100


async def around(due: int, works: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Begin the works one after the other, from shortly before ``due`` until shortly after."""

    async def begin(number: int, work: Coroutine[Any, Any, object]) -> None:
        at = due - 250 + 350 * number / len(works)
        await asyncio.sleep((at - system_clock()) / 1_000)
        await work

    await asyncio.gather(*(begin(*each) for each in enumerate(works)))


async def test_no_re_arm_around_the_due_second_is_lost(cluster: NatsCluster) -> None:
    receiver = Receiver()
    async with opened(new_url(cluster), EXACT) as store, delivering(store, receiver):
        jobs = [f"job{n}" for n in range(500)]
        due, later = system_clock() + 2_500, system_clock() + 4_000
        await arm(store, *(shot(job, due) for job in jobs))
        await around(due, [store.provision(shot(job, later), due) for job in jobs])
        armed = {one.job_id for one in await store.armed("a") if one.due_ms == later}
        # On a busy machine some have fired already.
        assert armed | receiver.jobs(since=later) == set(jobs)
        await receiver.until(len(jobs), since=later)
    fires = [(one.job_id, one.due_ms) for one, _ in receiver.fires]
    assert len(fires) == len(set(fires))


async def test_no_cancelled_fire_comes_back(cluster: NatsCluster) -> None:
    receiver = Receiver()
    async with opened(new_url(cluster), EXACT) as store:
        jobs = [f"job{n}" for n in range(200)]
        due = system_clock() + 2_000
        await arm(store, *(shot(job, due) for job in jobs), shot("last", due + 1_000))
        await around(due, [store.cancel("a", job, due) for job in jobs])
        async with delivering(store, receiver):
            await receiver.until(1)
        assert await store.armed("a") == []
    assert receiver.jobs() == {"last"}


async def test_an_instant_beyond_the_clusters_clock_is_kept(nats_one: NatsCluster) -> None:
    async with opened(new_url(nats_one), EXACT) as store:
        far = one_shot.fresh(
            "a", "job", "9999-12-31T23:59:59Z", "https://x.example", "k", "os_1", 0
        )
        near = shot("near", system_clock())
        await arm(store, far, near)
        await Arrivals(store).until(1)
        assert [one.job_id for one in await store.due(system_clock(), 10)] == ["near"]
        assert (await store.counts(system_clock())).armed == 2
        assert far in await store.armed("a")


class SlowAlarms(Alarms):
    """Alarms of a process that is held up between setting one and writing what it is for."""

    held = asyncio.Event()
    go_on = asyncio.Event()

    async def set(self, alarm: Alarm, now: int) -> None:
        await super().set(alarm, now)
        self.held.set()
        await self.go_on.wait()


class SlowStore(JetStreamStore):
    alarms = SlowAlarms


@pytest.mark.parametrize("known", [False, True])
async def test_an_arm_is_not_lost_when_its_alarm_comes_first(
    cluster: NatsCluster, known: bool
) -> None:
    url, receiver = new_url(cluster), Receiver()
    SlowAlarms.held, SlowAlarms.go_on = asyncio.Event(), asyncio.Event()
    slow = await SlowStore.open(url, serving=False)
    async with opened(url, EXACT) as store:
        arrivals = Arrivals(store)
        now = system_clock()
        if known:
            await arm(store, shot("job", now + FAR))
            await store.cancel("a", "job", now)
        arming = asyncio.create_task(slow.provision(shot("job", now), now))
        await SlowAlarms.held.wait()
        await arrivals.until(1)
        assert await store.due(system_clock(), 10) == []
        assert await store.next_due() is None  # it was answered
        SlowAlarms.go_on.set()
        await arming
        async with delivering(store, receiver):
            await receiver.until(1)
    await slow.close()
    assert len(receiver.fires) == 1


@pytest.fixture
async def pair(cluster: NatsCluster) -> AsyncIterator[tuple[JetStreamStore, JetStreamStore]]:
    """Two processes' stores on the same cluster, on a clock that is moved by hand."""
    url = new_url(cluster)
    async with opened(url, EVER_AHEAD) as one, opened(url, EVER_AHEAD) as other:
        yield one, other


async def either(
    pair: tuple[JetStreamStore, JetStreamStore],
) -> tuple[JetStreamStore, JetStreamStore, StoredOneShot]:
    """Lease the only one-shot where its alarm comes; return that store, the other, and it."""
    arrived = asyncio.Event()
    for store in pair:
        store.listen(lambda _: arrived.set())
    while True:
        for holder, other in (pair, pair[::-1]):
            if due := await holder.due(system_clock(), 1):
                return holder, other, due[0]
        async with asyncio.timeout(PATIENCE_S):
            await arrived.wait()
        arrived.clear()


async def test_a_re_arm_by_another_process_wins(
    pair: tuple[JetStreamStore, JetStreamStore],
) -> None:
    now = system_clock()
    await arm(pair[0], shot("job", now))
    holder, other, held = await either(pair)
    anew = shot("job", now + FAR)
    await other.provision(anew, now)
    assert await holder.settle(held, ACCEPTED, now) == anew
    assert await other.armed("a") == await holder.armed("a") == [anew]


async def test_a_cancel_by_another_process_holds(
    pair: tuple[JetStreamStore, JetStreamStore],
) -> None:
    now = system_clock()
    await arm(pair[0], shot("job", now))
    holder, other, held = await either(pair)
    await other.cancel("a", "job", now)
    assert await holder.settle(held, DeliveryResult(False, "503", 0), now) is None
    assert await other.armed("a") == []


async def test_everyone_sees_every_arm_at_once(
    pair: tuple[JetStreamStore, JetStreamStore],
) -> None:
    now = system_clock()

    async def look(agent: str) -> None:
        for n in range(20):
            writer, reader = pair if n % 2 else pair[::-1]
            await writer.provision(shot(f"job{n}", now + FAR, agent), now)
            assert len(await reader.armed(agent)) == n + 1

    await asyncio.gather(*(look(f"agent{n}") for n in range(16)))


async def test_processes_share_the_work(pair: tuple[JetStreamStore, JetStreamStore]) -> None:
    arrived = asyncio.Event()
    for store in pair:
        store.listen(lambda _: arrived.set())
    due, armed = system_clock(), 0
    async with asyncio.timeout(PATIENCE_S):
        while not all(store.pending for store in pair):  # one of them may have begun to listen late
            await arm(pair[0], *(shot(f"job{n}", due) for n in range(armed, armed + 50)))
            armed += 50
            while sum(store.pending for store in pair) < armed:
                arrived.clear()
                await arrived.wait()
    receiver = Receiver()
    async with delivering(pair[0], receiver), delivering(pair[1], receiver):
        await receiver.until(armed)
    assert len(receiver.fires) == armed


async def test_a_store_that_closes_hands_back_what_rang_for_it(nats_one: NatsCluster) -> None:
    url, patient = new_url(nats_one), JetStreamPolicy(lead_ms=10**15, hold_s=3_600)
    now = system_clock()
    async with opened(url, patient) as first:
        arrivals = Arrivals(first)
        await arm(first, *(shot(f"job{n}", now) for n in range(20)))
        await arrivals.until(20)
        await first.release(await first.due(system_clock(), 5))
    async with opened(url, patient) as second:
        await Arrivals(second).until(20)
        assert len(await second.due(system_clock(), 20)) == 20


async def test_an_agent_at_its_limit_leaves_room_for_others(nats_one: NatsCluster) -> None:
    full = {"slow": 8}
    async with opened(new_url(nats_one), JetStreamPolicy(lead_ms=0, room=20)) as store:
        arrivals = Arrivals(store)
        now = system_clock()
        await arm(store, *(shot(f"job{n}", now, "slow") for n in range(60)))
        await arrivals.until(20)
        await arm(store, shot("job", now, "quick"))
        arrived = asyncio.Event()
        store.listen(lambda _: arrived.set())
        async with asyncio.timeout(PATIENCE_S):
            while not (due := await store.due(system_clock(), 10, under_way=full, per_agent=8)):
                await arrived.wait()
                arrived.clear()
        assert [one.agent for one in due] == ["quick"]
        assert len(await store.armed("slow")) == 60


async def test_agents_that_hang_take_no_room_from_others(nats_one: NatsCluster) -> None:
    async with opened(new_url(nats_one), JetStreamPolicy(lead_ms=0, room=20)) as store:
        arrivals = Arrivals(store)
        now = system_clock()
        await arm(store, *(shot(f"job{n}", now, f"slow{n}") for n in range(20)))
        await arrivals.until(20)
        assert len(await store.due(system_clock(), 20)) == 20
        await arm(store, shot("job", now, "quick"))
        await arrivals.until(21)
        assert [one.agent for one in await store.due(system_clock(), 20)] == ["quick"]


async def test_what_was_handed_back_elsewhere_need_not_wait_for_its_lease(
    nats_one: NatsCluster,
) -> None:
    url, policy = new_url(nats_one), JetStreamPolicy(lead_ms=10**15, hold_s=1.0)
    async with opened(url, policy) as holder:
        arrivals = Arrivals(holder)
        await arm(holder, shot("job", system_clock()))
        await arrivals.until(1)
        held = await holder.due(system_clock(), 1)
        other = await JetStreamStore.open(url, policy=policy)
        await Arrivals(other).until(1)  # the holder has not answered for a second
        assert await other.due(system_clock(), 1) == []
        arrived = asyncio.Event()
        other.listen(lambda _: arrived.set())
        await holder.release(held)
    async with asyncio.timeout(PATIENCE_S):
        while not (due := await other.due(system_clock(), 1)):
            await arrived.wait()
            arrived.clear()
    await other.close()
    assert [one.attempt for one in due] == [2]


async def test_nothing_ends_the_waiting_for_alarms(
    nats_one: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(new_url(nats_one), EVER_AHEAD) as store:
        client = store._link.client
        publish, broke = client.publish, asyncio.Event()

        async def broken(*given: Any, **more: Any) -> None:
            if broke.is_set():
                return await publish(*given, **more)
            broke.set()
            raise TypeError("the connection is lost")  # as asyncio says from Python 3.12 on

        monkeypatch.setattr(client, "publish", broken)
        store._alarms._pull._coming = 0  # type: ignore[union-attr]  # have it ask anew
        store._alarms._look()
        async with asyncio.timeout(PATIENCE_S):
            await broke.wait()
        await arm(store, shot("job", system_clock()))
        await Arrivals(store).until(1)


def reading_old(store: JetStreamStore, old: JobRecord) -> None:
    """Have the store read a record as it was, once, as of a leader that was cut off since."""
    read, left = store._jobs.read, [old]

    async def stale(job: Job) -> JobRecord:
        return left.pop() if left else await read(job)

    setattr(store._jobs, "read", stale)  # noqa: B010 - mypy knows a method there


async def test_an_arm_is_not_answered_from_what_is_old(nats_one: NatsCluster) -> None:
    one, now = shot("job", system_clock() + FAR), system_clock()
    async with opened(new_url(nats_one), EXACT) as store:
        await store.provision(one, now)
        armed = await store._jobs.read(("a", "job"))
        await store.cancel("a", "job", now)
        reading_old(store, armed)
        await store.provision(one, now)
        assert await store.armed("a") == [one]


async def test_a_cancel_is_not_answered_from_what_is_old(nats_one: NatsCluster) -> None:
    now = system_clock()
    async with opened(new_url(nats_one), EXACT) as store:
        empty = await store._jobs.read(("a", "job"))
        await store.provision(shot("job", now + FAR), now)
        reading_old(store, empty)
        await store.cancel("a", "job", now)
        assert await store.armed("a") == []


async def test_a_one_shot_that_cannot_be_read_holds_up_no_other(nats_one: NatsCluster) -> None:
    found: list[StoredOneShot] = []
    async with opened(new_url(nats_one), EXACT) as store:
        await arm(store, shot("bad", system_clock()))
        await store._link.put(store._link.names.subject("one", "a", "bad"), b"{}")
        await Arrivals(store).until(1)
        assert await store.due(system_clock(), 10) == []
        assert (store.pending, await store.next_due()) == (0, None)  # it comes again, later
        await arm(store, shot("good", system_clock()))

        async def due() -> bool:
            found.extend(await store.due(system_clock(), 10))
            return bool(found)

        await eventually(due)
    assert [one.job_id for one in found] == ["good"]


async def test_a_delivery_that_is_never_settled_leaves_nothing_behind(
    nats_one: NatsCluster,
) -> None:
    async with opened(new_url(nats_one), EVER_AHEAD) as store:
        arrivals, now = Arrivals(store), system_clock() + 1_000
        await arm(store, shot("job", now))
        await arrivals.until(1)
        assert len(await store.due(now, 1)) == 1
        await store.cancel("a", "job", now)
        assert (store._leases.held, store.pending) == ({}, 0)


async def headers_of(store: JetStreamStore, stream: str, *subject: str) -> bytes:
    """The headers of the newest message under a subject."""
    question = {"last_by_subj": store._link.names.subject(*subject)}
    found = await store._link.api(f"STREAM.MSG.GET.{stream}", question)
    return base64.b64decode(found["message"]["hdrs"])


async def test_an_alarm_is_set_for_its_time(nats_one: NatsCluster) -> None:
    now = system_clock()
    async with opened(new_url(nats_one), JetStreamPolicy(lead_ms=1_000)) as store:
        await arm(store, shot("job", now + FAR))
        record = await store._jobs.read(("a", "job"))
        headers = await headers_of(store, store._link.names.alarms, "at", f"{record.alarm}-0")
    assert f"@at {format_instant(now + FAR - 1_000)}".encode() in headers


async def test_a_one_shot_has_one_alarm_and_what_is_cancelled_none(nats_one: NatsCluster) -> None:
    now = system_clock()
    async with opened(new_url(nats_one), EXACT) as store:
        for later in range(3):
            await arm(store, shot("job", now + FAR + later))
        assert (await store.counts(now)).armed == 1
        await store.cancel("a", "job", now)
        assert (await store.counts(now)).armed == 0


async def test_the_slot_of_what_is_cancelled_goes_in_its_time(nats_one: NatsCluster) -> None:
    now = system_clock()
    async with opened(new_url(nats_one), EXACT) as store:
        await arm(store, shot("job", now + FAR))
        await store.cancel("a", "job", now)
        headers = await headers_of(store, store._link.names.state, "one", "a", "job")
    assert f"Nats-TTL: {10 * MINUTE // 1_000 + 60}s".encode() in headers


async def test_what_was_given_up_goes_after_a_week(nats_one: NatsCluster) -> None:
    now = system_clock() + 1_000
    async with opened(new_url(nats_one), EVER_AHEAD) as store:
        held = await given_up(store, now)
        await store.settle(held, DeliveryResult(False, "503"), now + DAY)
        mark, slot = [
            await headers_of(store, store._link.names.state, kind, "a", "job")
            for kind in ("dead", "one")
        ]
    assert b"Nats-TTL: 604800s" in mark
    assert b"Nats-TTL: 604860s" in slot


@pytest.mark.parametrize(
    ("deferred", "longest"), [(0, 5_000), (1, 10_000), (5, 160_000), (6, 300_000), (99, 300_000)]
)
def test_an_alarm_is_put_off_for_longer_each_time_and_five_minutes_at_most(
    deferred: int, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm = Alarm("id", "a", "job", 7, 1, deferred)
    for chance, share in ((0.0, 0.5), (0.5, 0.75), (1.0, 1.0)):
        monkeypatch.setattr(random, "random", lambda drawn=chance: drawn)
        put_off = _deferred(alarm, 1_000_000, JetStreamPolicy())
        assert (put_off.wake_ms, put_off.deferred) == (1_000_000 + longest * share, deferred + 1)


async def test_the_old_alarm_is_there_until_the_slot_names_the_new_one(
    nats_one: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, sent = system_clock(), list[str]()
    async with opened(new_url(nats_one), EXACT) as store:
        await arm(store, shot("job", now + FAR))
        old = await store._jobs.read(("a", "job"))
        request = store._link.client.request

        async def noted(subject: str, data: bytes = b"", **more: Any) -> Msg:
            sent.append(f"{subject} {data.decode()}")
            return await request(subject, data, **more)

        monkeypatch.setattr(store._link.client, "request", noted)
        await arm(store, shot("job", now + FAR + 1))
        new = await store._jobs.read(("a", "job"))
    steps = [f".at.{new.alarm}-0 ", ".one.a.job ", f".at.{old.alarm}-0"]
    first = [next(n for n, each in enumerate(sent) if step in each) for step in steps]
    assert first == sorted(first)


async def test_what_was_cancelled_as_it_was_given_up_is_not_counted(
    nats_one: NatsCluster,
) -> None:
    url, now = new_url(nats_one), system_clock() + 1_000
    later = now + DAY
    async with opened(url, EVER_AHEAD) as holder, opened(url, EXACT, serving=False) as other:
        held = await given_up(holder, now)
        await other.cancel("a", "job", later)
        assert await holder.settle(held, DeliveryResult(False, "503"), later) is None
        assert (await holder.counts(later)).dead == 0


async def given_up(store: JetStreamStore, now: int) -> StoredOneShot:
    """Have a one-shot of ``job`` that is due fail for a day; return it as it is tried last."""
    await arm(store, shot("job", now))
    await Arrivals(store).until(1)
    (held,) = await store.due(now, 1)
    await store.settle(held, DeliveryResult(False, "503", DAY), now)
    await Arrivals(store).until(1)
    (held,) = await store.due(now + DAY, 1)
    return held


async def test_a_mark_that_cannot_be_taken_back_fails_no_cancel(
    nats_one: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = system_clock() + 1_000
    later = now + DAY
    async with opened(new_url(nats_one), EVER_AHEAD) as store:
        await store.settle(await given_up(store, now), DeliveryResult(False, "503"), later)
        assert len(await store.dead(later, 9)) == 1

        async def away(*_: object) -> None:
            raise StoreError("no leader")

        monkeypatch.setattr(store._link, "remove", away)
        await store.cancel("a", "job", later)
        assert await store.dead(later, 9) == []


async def test_one_that_another_process_gave_up_stays_to_be_seen(
    nats_one: NatsCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, now = new_url(nats_one), system_clock() + 1_000
    later = now + DAY
    async with opened(url, EVER_AHEAD) as holder, opened(url, EXACT, serving=False) as other:
        held = await given_up(holder, now)
        gave_up = attrs.evolve(
            held, attempt=9, lease_until_ms=None, dead=True, not_before_ms=later, note="other"
        )
        write = holder._jobs.write

        async def outrun(
            record: JobRecord, one: StoredOneShot | None, alarm: str | None
        ) -> JobRecord:
            monkeypatch.undo()
            await other._jobs.change(await other._jobs.read(record.job), gave_up, later)
            return await write(record, one, alarm)

        monkeypatch.setattr(holder._jobs, "write", outrun)
        assert await holder.settle(held, DeliveryResult(False, "503"), later) == gave_up
        assert await holder.dead(later, 9) == [gave_up]
        assert (await holder.counts(later)).dead == 1


async def test_a_ring_is_answered_when_another_process_armed_anew(nats_one: NatsCluster) -> None:
    url, now = new_url(nats_one), system_clock()
    async with opened(url, EXACT) as holder, opened(url, EXACT, serving=False) as other:
        arrivals = Arrivals(holder)
        await arm(other, shot("job", now))
        await arrivals.until(1)
        (held,) = await holder.due(system_clock(), 1)
        anew = shot("job", now + FAR)
        await other.provision(anew, now)
        assert await holder.settle(held, ACCEPTED, now) == anew
        assert holder.pending == 0
        info = f"CONSUMER.INFO.{holder._link.names.alarms}.{CONSUMER}"

        async def answered() -> bool:
            return not (await holder._link.api(info, {}))["num_ack_pending"]

        await eventually(answered)
