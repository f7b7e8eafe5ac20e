"""JetStream stores for tests, each with streams of its own, and somebody to deliver to."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import nats
from nats.aio.msg import Msg

from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.clock import system_clock
from nas_server.delivery.caller import Caller
from nas_server.delivery.relay import Relay
from nas_server.metrics import Metrics
from nas_server.policy import JetStreamPolicy, ServerConfig
from nas_server.store import Counts, Store
from nas_server.store.base import ALL, Which
from nas_server.store.jetstream.alarms import Alarms
from nas_server.store.jetstream.job_record import Alarm
from nas_server.store.jetstream.link import AnswerError, JetStreamClient, Names
from nas_server.store.jetstream.store import JetStreamStore
from tests.support.nats_cluster import NatsCluster, Node
from tests.support.patience import PATIENCE_S

EVER_AHEAD = JetStreamPolicy(lead_ms=10**15, room=10_000)
"""Every alarm is delivered at once, so that only the ``now`` of a call decides what is due."""


def new_url(cluster: NatsCluster) -> str:
    """A store nobody has used."""
    return f"{cluster.url}/T{secrets.token_hex(6)}"


async def leader(cluster: NatsCluster, url: str, stream: str) -> Node:
    """The server that leads ``stream`` of a store."""
    client = await nats.connect([node.address for node in cluster.nodes if node.pid])
    names = Names(url.rpartition("/")[2])
    try:
        found = await JetStreamClient(client, names).api(f"STREAM.INFO.{names.name}_{stream}", {})
    finally:
        await client.close()
    return cluster.node(found["cluster"]["leader"])


class PromptAlarms(Alarms):
    """Alarms that are here when `set` returns."""

    def __init__(self, link: JetStreamClient) -> None:
        super().__init__(link)
        self._changed = asyncio.Condition()
        self._came: set[str] = set()

    async def set(self, alarm: Alarm, now: int) -> None:
        await super().set(alarm, now)
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: alarm.name in self._came)

    async def receive(self, message: Msg) -> None:
        await super().receive(message)
        async with self._changed:
            self._came.add(Alarm.decode(message.data).name)
            self._changed.notify_all()


class PromptStore(JetStreamStore):
    """A store whose calls return once the cluster has reacted to them."""

    alarms = PromptAlarms

    async def counts(self, now: int, which: Which = ALL) -> Counts:
        """Count once the answers to alarms took effect: those left are all here."""
        if which != ALL:
            return await super().counts(now, which)
        async with asyncio.timeout(PATIENCE_S):
            while (found := await super().counts(now)).armed != len(self._alarms):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found

    async def remove(self) -> None:
        """Have the cluster forget everything, and close."""
        await self._alarms.close()
        await self._history.written()
        names = self._link.names
        for stream in (names.alarms, names.state, names.history):
            try:
                await self._link.api(f"STREAM.DELETE.{stream}", {})
            except AnswerError as error:  # gone already, if an answer has got lost
                if not error.repeated:
                    raise
        await self.close()


def half() -> float:
    """In place of chance, by which one wait in a thousand ends at the time that it begins."""
    return 0.5


@asynccontextmanager
async def prompt_store(
    cluster: NatsCluster,
    chance: Callable[[], float] = half,
    policy: JetStreamPolicy = EVER_AHEAD,
) -> AsyncIterator[PromptStore]:
    """An empty store on a clock that is moved by hand."""
    store = await PromptStore.open(new_url(cluster), chance=chance, policy=policy)
    try:
        yield store
    finally:
        await store.remove()


@asynccontextmanager
async def opened(
    url: str, policy: JetStreamPolicy, *, serving: bool = True
) -> AsyncIterator[JetStreamStore]:
    """A store as a process has it."""
    store = await JetStreamStore.open(url, policy=policy, serving=serving)
    try:
        yield store
    finally:
        await store.close()


class Receiver(Caller):
    """Accepts every fire at once, and keeps when it came (epoch ms)."""

    def __init__(self) -> None:
        self.fires: list[tuple[StoredOneShot, int]] = []
        self._changed = asyncio.Condition()

    async def call(self, one: StoredOneShot) -> DeliveryResult:
        async with self._changed:
            self.fires.append((one, system_clock()))
            self._changed.notify_all()
        return DeliveryResult(ended=True, note="202")

    def jobs(self, since: int = 0) -> set[str]:
        """Those that fired for a time from ``since`` on."""
        return {one.job_id for one, _ in self.fires if one.due_ms >= since}

    async def until(self, count: int, since: int = 0) -> None:
        """Wait until so many jobs have."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: len(self.jobs(since)) >= count)


@asynccontextmanager
async def delivering(store: Store, receiver: Receiver) -> AsyncIterator[Relay]:
    """Have a relay deliver from a store, in real time."""
    settings = ServerConfig(issuer="http://nas.test", per_agent=1_000)
    relay = Relay(store, receiver, Metrics(), clock=system_clock, settings=settings)
    relay.start()
    try:
        yield relay
    finally:
        await relay.stop(grace_s=PATIENCE_S)


class Arrivals:
    """The alarms that reach a store, counted."""

    def __init__(self, store: JetStreamStore) -> None:
        self._store = store
        self._event = asyncio.Event()
        store.listen(lambda _: self._event.set())

    async def until(self, count: int) -> None:
        """Wait until so many are here."""
        async with asyncio.timeout(PATIENCE_S):
            while self._store.pending < count:
                self._event.clear()
                await self._event.wait()
