"""How the reference NAS does: arms a second, lateness of fires, what idling costs.

    python -m benchmarks.server [--store sqlite] [--rounds 3] [--json] [NAME ...]

Every figure is the median of the rounds. The server runs in a process of its own, the
load in this one. ``--store nats`` is three NATS servers beside it, ``nats1`` a single one.
``ceiling`` is HTTP and tokens alone; ``against_aiohttp`` needs wrk; the ``others`` are
APScheduler, as what people would otherwise take: they need `pip install apscheduler sqlalchemy`.
"""

import argparse
import asyncio
import importlib.util
import json
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from benchmarks import hosting, wrk
from benchmarks.figures import Figures, in_ms, lateness
from benchmarks.hosting import AGENTS, KINDS, Stores, cpu_s, opened, provision, rss_mb, server
from benchmarks.load import get, send_all, sink
from benchmarks.others import ceiling, others_1k, others_10k, others_arms
from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_server.store import Store
from tests.support.nas_server import nas_server

LIST = "/api/agent-cron/list"


async def against_aiohttp(stores: Stores) -> Figures:
    """Arm by wrk over 32 connections; the same JSON to a plain aiohttp handler, in one run."""
    with tempfile.TemporaryDirectory(prefix="nas-bench-") as name:
        directory = Path(name)
        async with server(stores) as (nas, tokens, _):
            rate, cost = await _rate(nas.url, nas.pid, tokens, directory)
        found = {"arms_per_s": rate, "cpu_us": cost}
        for loop in ("asyncio", "uvloop"):
            if importlib.util.find_spec(loop) is None:
                continue
            with wrk.plain_handler(loop) as (url, pid):
                bound, least = await _rate(url, pid, tokens, directory)
            found |= {f"{loop}_per_s": bound, f"{loop}_cpu_us": least}
            found |= {f"of_{loop}": rate / bound, f"cpu_of_{loop}": least / cost}
    return found


async def _rate(url: str, pid: int, tokens: list[str], directory: Path) -> tuple[float, float]:
    """Return how many arms were answered a second, and the CPU of one in microseconds."""
    arm = partial(wrk.arms_per_s, url, tokens, directory)
    await asyncio.to_thread(arm, "warm")
    cpu = cpu_s(pid)
    rate = await asyncio.to_thread(arm, "arm")
    return rate, (cpu_s(pid) - cpu) / (rate * wrk.SECONDS) * 1e6


async def arms(stores: Stores) -> Figures:
    """Arm 20 000 one-shots far ahead over 64 connections."""
    async with server(stores) as (nas, tokens, _):
        ahead = int(time.time() * 1e3) + 86_400_000
        requests = [
            provision(tokens[n % AGENTS], f"job{n}", ahead + n, "http://127.0.0.1:9")
            for n in range(20_000)
        ]
        start, cpu = time.perf_counter(), cpu_s(nas.pid)
        took = await send_all(nas.url, requests, 64)
        rate = len(took) / (time.perf_counter() - start)
        cost = (cpu_s(nas.pid) - cpu) / len(took) * 1e6
        return {"arms_per_s": rate, "cpu_us_per_arm": cost, **in_ms(took)}


async def _fires(stores: Stores, count: int, spread_s: float, hanging: int = 0) -> Figures:
    """Have ``count`` fires fall due over ``spread_s`` seconds; return how late they came."""
    async with (
        server(stores, hanging) as (nas, tokens, hung),
        sink() as agent,
        sink(answers=False) as silent,
    ):
        arming_s = 5 + count / 300
        start_ms = int((time.time() + arming_s) * 1e3)
        dues = {f"job{n}": start_ms + random.random() * spread_s * 1e3 for n in range(count)}
        requests = [
            provision(tokens[n % AGENTS], job, int(due), agent.url)
            for n, (job, due) in enumerate(dues.items())
        ]
        if hanging:
            dead = [
                provision(hung[n % hanging], f"hung{n}", start_ms - 500, silent.url)
                for n in range(3 * hanging)
            ]
            await send_all(nas.url, dead, 16)
        await send_all(nas.url, requests, 64)
        if time.time() * 1e3 > start_ms:
            raise RuntimeError("arming took longer than there was time for")
        cpu = cpu_s(nas.pid)
        await agent.until(count)
        cost = (cpu_s(nas.pid) - cpu) / count * 1e6
        return {**lateness(agent, dues), "cpu_us_per_fire": cost}


async def steady(stores: Stores) -> Figures:
    """100 fires a second for 20 seconds."""
    return await _fires(stores, 2_000, 20.0)


async def burst_1k(stores: Stores) -> Figures:
    """1 000 fires within one second."""
    return await _fires(stores, 1_000, 1.0)


async def burst_10k(stores: Stores) -> Figures:
    """10 000 fires within one second."""
    return await _fires(stores, 10_000, 1.0)


async def hanging(stores: Stores) -> Figures:
    """100 fires a second for 10 seconds beside 100 agents that hang with 300 due fires."""
    return await _fires(stores, 1_000, 10.0, hanging=100)


async def idle(stores: Stores) -> Figures:
    """One million one-shots far ahead: what the server costs, and the list of one agent."""
    if stores.filled is None:
        url, before_mb = stores.new(), stores.disk_mb()
        async with opened(url) as store:
            await _fill(store, 1_000_000)
        stores.filled = url, stores.disk_mb() - before_mb
    url, disk_mb = stores.filled
    with nas_server(None, "--log-level", "error", store=url) as nas:
        login = nas.add_agent(f"a{secrets.randbelow(10_000)}")
        await asyncio.sleep(20)  # what the start costs is over
        before = [cpu_s(pid) for pid in (nas.pid, *stores.beside)]
        await asyncio.sleep(20)
        after = [cpu_s(pid) for pid in (nas.pid, *stores.beside)]
        used = [(end - begin) / 20 * 100 for begin, end in zip(before, after, strict=True)]
        cold = await send_all(nas.url, [get(LIST, login.token)] * 10, 1)
        took = await send_all(nas.url, [get(LIST, login.token)] * 100, 1)
        return {
            "cpu_percent": used[0],
            "rss_mb": rss_mb(nas.pid),
            "store_cpu_percent": sum(used[1:]),
            "store_rss_mb": sum(map(rss_mb, stores.beside)),
            "disk_mb": disk_mb,
            # Of several servers of a store, each has to read from disk once.
            "list_cold_ms": max(cold) * 1e3,
            **in_ms(took, "list_"),
        }


async def _fill(store: Store, count: int) -> None:
    now = int(time.time() * 1e3)
    for start in range(0, count, 5_000):
        shots = []
        for n in range(start, start + 5_000):
            at = format_instant(now + 86_400_000 + n * 100)
            url = f"https://agent-{n % 10_000}.example.com"
            names = (f"a{n % 10_000}", f"job{n}", at, url, f"job{n}:{at}")
            shots.append(one_shot.fresh(*names, one_shot.new_schedule_id(), now))
        await asyncio.gather(*(store.provision(one, now) for one in shots))


Bench = Callable[[Stores], Awaitable[Figures]]
ALL: dict[str, Bench] = {
    each.__name__: each
    for each in (
        *(ceiling, against_aiohttp, arms, steady, burst_1k, burst_10k, hanging, idle),
        *(others_arms, others_1k, others_10k),
    )
}


async def _median(run: Bench, stores: Stores, rounds: int) -> Figures:
    results = [await run(stores) for _ in range(rounds)]
    return {name: statistics.median(each[name] for each in results) for name in results[0]}


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ALL))
    parser.add_argument("--store", choices=KINDS, default="sqlite")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.names) - set(ALL):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if not options.names or "against_aiohttp" in options.names:
        try:
            wrk.find()
        except wrk.MissingError as error:
            parser.error(str(error))
    found = {}
    with hosting.stores(options.store) as provided:
        for name in options.names or ALL:
            found[name] = asyncio.run(_median(ALL[name], provided, options.rounds))
            if not options.json:
                shown = "  ".join(f"{key} {value:.4g}" for key, value in found[name].items())
                print(f"{name:10} {shown}", flush=True)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
