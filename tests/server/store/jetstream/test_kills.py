"""``kill -9``: of a process that holds leases, and of servers that lead at the wrong moment."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator

import attrs
import pytest

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.clock import system_clock
from nas_server.policy import JetStreamPolicy
from nas_server.store import StoreError
from nas_server.store.jetstream.store import JetStreamStore
from tests.support.durations import MINUTE
from tests.support.jetstream_store import (
    EVER_AHEAD,
    Arrivals,
    Receiver,
    delivering,
    leader,
    new_url,
    opened,
)
from tests.support.nats_cluster import NatsCluster, nats_cluster
from tests.support.patience import PATIENCE_S
from tools.demo.process import tied

HOLD_S = 1.0


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Three servers to kill. A test leaves three behind that run."""
    with nats_cluster(tmp_path_factory.mktemp("nats-mortal"), 3) as cluster:
        yield cluster


def shot(job: str, due: int) -> StoredOneShot:
    at = format_instant(due)
    url = "https://agent.example.com"
    return one_shot.fresh("a", job, at, url, f"{job}:{at}", one_shot.new_schedule_id(), due)


async def arm(store: JetStreamStore, count: int, due: int, first: int = 0) -> None:
    shots = (shot(f"job{n}", due) for n in range(first, first + count))
    now = system_clock()
    await asyncio.gather(*(store.provision(one, now) for one in shots))


@pytest.mark.parametrize("stream", ["ALARMS", "STATE"])
async def test_a_leader_killed_at_the_due_second_loses_nothing(
    mortal: NatsCluster, stream: str, record_property: Callable[[str, object], None]
) -> None:
    url, receiver = new_url(mortal), Receiver()
    async with (
        opened(url, JetStreamPolicy()) as one,
        opened(url, JetStreamPolicy()) as other,
        delivering(one, receiver),
        delivering(other, receiver),
    ):
        due = system_clock() + 2_500
        await arm(one, 300, due)
        killed = await leader(mortal, url, stream)
        await receiver.until(1)
        killed.kill()
        await receiver.until(300)
        killed.start()
        killed.wait_ready()
    record_property("duplicates", len(receiver.fires) - 300)
    assert all(came >= due for _, came in receiver.fires)


# nats-py lets go of a connection that was made and then not answered without closing it.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
async def test_a_server_that_stands_still_is_left_for_another(mortal: NatsCluster) -> None:
    # It keeps its connections open, so that nothing says that it is gone.
    now = system_clock()
    async with opened(new_url(mortal), JetStreamPolicy(), serving=False) as store:
        await arm(store, 1, now + 3_600_000)
        at = store._link.client.connected_url
        assert at is not None
        (frozen,) = (node for node in mortal.nodes if node.address == at.netloc)
        os.kill(frozen.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    with contextlib.suppress(StoreError):
                        await arm(store, 1, now + 3_600_000, first=1)
                        break
            assert len(await store.armed("a")) == 2
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
    gc.collect()  # what nats-py left goes here, not in another test


async def test_a_killed_process_has_its_fires_taken_over(nats_one: NatsCluster) -> None:
    url, now = new_url(nats_one), system_clock()
    policy = attrs.evolve(EVER_AHEAD, hold_s=HOLD_S)
    async with opened(url, policy, serving=False) as store:
        await arm(store, 40, now)
    holder = await asyncio.create_subprocess_exec(
        *tied([sys.executable, "-m", "tests.support.lease_holder"]),
        *(url, str(now), "40", str(HOLD_S)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"20\n"
    holder.send_signal(signal.SIGKILL)
    await holder.wait()
    async with opened(url, policy) as store:
        await Arrivals(store).until(40)
        unleased = await store.due(now + MINUTE - 1, 40)
        assert [one.attempt for one in unleased] == [1] * 20
        leased = await store.due(now + MINUTE, 40)
        assert [one.attempt for one in leased] == [2] * 20
        assert len({one.job_id for one in unleased + leased}) == 40
