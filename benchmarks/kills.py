"""`kill -9` under load: thousands of fires fall due, and something dies in the middle.

    python -m benchmarks.kills [--fires 5000] [--json] [NAME ...]

``server`` kills the only server, on SQLite, three times in the burst, and starts it again.
``replica`` kills one of two servers on three NATS servers, while it holds leases: those run
out after a minute. ``alarms`` and ``state`` kill the NATS server that leads that stream when
the first fire comes.

The others write down every arm and cancel that is answered, while ``forty`` kills the only
server, on SQLite, forty times, and, of three NATS servers, ``nodes`` kills and ``stopped`` stops
each in turn, ``quorum`` kills two and ``full`` arms beyond the account's limit.

Prints how many fires were lost, and how many came again; the exit status is 0 only if none was
lost.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.churn import Churn
from benchmarks.hosting import AGENTS, logins, provision
from benchmarks.load import Sink, send_all, sink
from tests.support.jetstream_store import leader, new_url
from tests.support.nas_server import NasServer, nas_server
from tests.support.nats_cluster import NatsCluster, nats_cluster

Figures = dict[str, float]
KILLS = 40
LIMITED = """
accounts {
  NAS { jetstream { max_file: 3MB }, users: [{ user: nas, password: nas }] }
  SYS { users: [{ user: sys, password: sys }] }
}
system_account: SYS
no_auth_user: nas
"""
PATIENCE_S = 300
"""Longer than every lease and backoff: what has not come by then is lost."""


@asynccontextmanager
async def armed(url: str, servers: int, fires: int) -> AsyncIterator[tuple[list[NasServer], Sink]]:
    """Run servers on one store, and have so many fires fall due in one second."""
    tokens = await logins(url, "a", AGENTS)
    with ExitStack() as stack:
        running = [
            stack.enter_context(nas_server(None, "--log-level", "error", store=url))
            for _ in range(servers)
        ]
        async with sink() as agent:
            due_ms = int((time.time() + 5 + fires / 200) * 1e3)
            requests = (
                provision(tokens[n % AGENTS], f"job{n}", due_ms + n % 1_000, agent.url)
                for n in range(fires)
            )
            await send_all(running[0].url, requests, 64)
            if time.time() * 1e3 > due_ms:
                raise RuntimeError("arming took longer than there was time for")
            yield running, agent


async def counted(agent: Sink, fires: int) -> Figures:
    """Wait until all came, or would have; return what is missing and what came twice."""
    started = time.monotonic()
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await agent.until(fires)
    return {
        "due": fires,
        "lost": fires - len(agent.arrived),
        "again": agent.again,
        "seconds": time.monotonic() - started,
    }


@contextmanager
def three(more: str = "") -> Iterator[NatsCluster]:
    """Run three NATS servers that replicate; ``more`` is put into their configuration."""
    with (
        tempfile.TemporaryDirectory(prefix="nas-bench-") as name,
        nats_cluster(Path(name), 3, more=more) as cluster,
    ):
        yield cluster


async def server(fires: int) -> Figures:
    """Kill the only server after a tenth, a third and two thirds of the burst."""
    with tempfile.TemporaryDirectory(prefix="nas-bench-") as name:
        async with armed(f"sqlite:{Path(name) / 'nas.db'}", 1, fires) as ((nas,), agent):
            for share in (0.1, 0.33, 0.66):
                await agent.until(int(fires * share))
                await asyncio.to_thread(nas.restart)
            return await counted(agent, fires)


async def replica(fires: int) -> Figures:
    """Kill one of two servers after a tenth of the burst."""
    with three() as cluster:
        async with armed(new_url(cluster), 2, fires) as ((_, other), agent):
            await agent.until(fires // 10)
            await asyncio.to_thread(other.kill)
            found = await counted(agent, fires)
            await asyncio.to_thread(other.start)
            return found


async def _leader(stream: str, fires: int) -> Figures:
    with three() as cluster:
        url = new_url(cluster)
        async with armed(url, 2, fires) as (_, agent):
            doomed = await leader(cluster, url, stream)
            await agent.until(1)
            doomed.kill()
            return await counted(agent, fires)


async def alarms(fires: int) -> Figures:
    """Kill the leader of the stream that tells when."""
    return await _leader("ALARMS", fires)


async def state(fires: int) -> Figures:
    """Kill the leader of the stream that keeps the one-shots."""
    return await _leader("STATE", fires)


@asynccontextmanager
async def churning(url: str) -> AsyncIterator[tuple[NasServer, Callable[[], Awaitable[Figures]]]]:
    """Run a server under arms and cancels; what is given ends them and counts."""
    tokens = await logins(url, "a", 50)
    with nas_server(None, "--log-level", "error", store=url) as nas:
        async with sink() as agent:
            churn, stop = Churn(nas.url, tokens, agent), asyncio.Event()
            running = asyncio.create_task(churn.run(stop))

            async def end() -> Figures:
                stop.set()
                await running
                return await churn.result(PATIENCE_S)

            yield nas, end
            stop.set()
            await running


async def forty(_: int) -> Figures:
    """Kill the only server forty times under arms and cancels, each of them logged."""
    with tempfile.TemporaryDirectory(prefix="nas-bench-") as name:
        async with churning(f"sqlite:{Path(name) / 'nas.db'}") as (nas, end):
            for number in range(KILLS):
                await asyncio.sleep(random.uniform(0.2, 1.5))
                await asyncio.to_thread(nas.restart)
                _progress(f"killed {number + 1} of {KILLS}")
            return await end()


async def _churned(harm: Callable[[NatsCluster], Awaitable[None]]) -> Figures:
    with three() as cluster:
        async with churning(new_url(cluster)) as (_, end):
            await asyncio.sleep(2)
            await harm(cluster)
            await asyncio.sleep(2)
            return await end()


async def nodes(_: int) -> Figures:
    """Kill each NATS server in turn, under arms and cancels."""

    async def harm(cluster: NatsCluster) -> None:
        for node in cluster.nodes:
            node.kill()
            _progress(f"killed {node.name}")
            await asyncio.sleep(5)
            node.start()
            await asyncio.to_thread(node.wait_ready)
            await asyncio.sleep(5)

    return await _churned(harm)


async def stopped(_: int) -> Figures:
    """Stop each NATS server in turn for ten seconds (SIGSTOP), likewise."""

    async def harm(cluster: NatsCluster) -> None:
        for node in cluster.nodes:
            os.kill(node.pid, signal.SIGSTOP)
            _progress(f"stopped {node.name}")
            await asyncio.sleep(10)
            os.kill(node.pid, signal.SIGCONT)
            await asyncio.sleep(5)

    return await _churned(harm)


async def quorum(_: int) -> Figures:
    """Kill two of three NATS servers for fifteen seconds, likewise."""

    async def harm(cluster: NatsCluster) -> None:
        lost = cluster.nodes[:2]
        for node in lost:
            node.kill()
        _progress("no quorum")
        await asyncio.sleep(15)
        for node in lost:
            node.start()
        for node in lost:
            await asyncio.to_thread(node.wait_ready)
        await asyncio.sleep(10)

    return await _churned(harm)


async def full(_: int) -> Figures:
    """Arm far ahead up to the storage limit of the NATS account, likewise."""
    with three(LIMITED) as cluster:
        url = new_url(cluster)
        async with churning(url) as (nas, end):
            (token,) = await logins(url, "filler", 1)
            far_ms = int((time.time() + 86_400) * 1e3)
            jobs = (provision(token, f"far{n}", far_ms, nas.url) for n in itertools.count())
            try:
                await send_all(nas.url, jobs, 8)
            except RuntimeError as refusal:
                if " 503 " not in str(refusal):
                    raise
            _progress("full")
            await asyncio.sleep(10)
            found = await end()
    if not found["refused"]:
        raise RuntimeError("nothing was refused: it was not full")
    return found


def _progress(words: str) -> None:
    print(f"  {words}", file=sys.stderr, flush=True)


ALL: dict[str, Callable[[int], Coroutine[Any, Any, Figures]]] = {
    each.__name__: each
    for each in (server, replica, alarms, state, forty, nodes, stopped, quorum, full)
}


def main() -> int:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--fires", type=int, default=5_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.names) - set(ALL):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    found: dict[str, Figures] = {}
    for name in options.names or ALL:
        found[name] = asyncio.run(ALL[name](options.fires))
        if not options.json:
            shown = "  ".join(f"{key} {value:.0f}" for key, value in found[name].items())
            print(f"{name:10} {shown}", flush=True)
    if options.json:
        print(json.dumps(found))
    return int(any(each["lost"] for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
