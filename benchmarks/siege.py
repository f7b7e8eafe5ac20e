"""What an agent that answers as none should costs the others: a row for every hostile answer.

    python -m benchmarks.siege [--fires 200] [SHAPE ...]

The hostile agent has so many jobs due that as many deliveries are under way as one agent may have,
also where its answers end at once; meanwhile the fires of another fall due within two seconds, and
`/healthz` is asked all the time. The first row and the last are without a hostile agent: what lies
between them is chance. On a busy machine that is much, for the healthy agent has eight deliveries
under way at the most, too; CPU is the server's, and tells even there. Both agents and who asks are
one process: some of what a flood costs is this end's.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from benchmarks.figures import Figures, in_ms, lateness
from benchmarks.hosting import cpu_s, provision, server, stores
from benchmarks.load import get, post, send_all, sink
from tests.support.hostile_agents import SHAPES, TLS_SHAPES, Shape, hostile_agent
from tests.support.nas_server import NasServer

JOBS: Final = 400
"""Of the hostile agent. Each that fails waits a second or two before its next try."""
AHEAD_S: Final = 6.0
WITHIN_S: Final = 2.0
PAUSE_S: Final = 0.01
ALL: Final[dict[str, tuple[Shape, str]]] = {
    **{name: (shape, "http:") for name, shape in SHAPES.items()},
    **{f"TLS: {name}": (shape, "https:") for name, shape in TLS_SHAPES.items()},
}


@asynccontextmanager
async def besieging(nas_url: str, token: str, name: str) -> AsyncIterator[None]:
    """Have the hostile agent answer all the fires it may have at a time."""
    shape, scheme = ALL[name]
    async with hostile_agent(shape) as hostile:
        url, due_ms = hostile.url.replace("http:", scheme), int(time.time() * 1e3)
        jobs = [f"bad{n}" for n in range(JOBS)]
        await send_all(nas_url, (provision(token, job, due_ms, url) for job in jobs), 1)
        await hostile.held.wait()
        yield
        cancels = (post("/api/agent-cron/cancel", token, {"job_id": job}) for job in jobs)
        await send_all(nas_url, cancels, 1)


async def measured(nas: NasServer, token: str, fires: int) -> Figures:
    """Fire another agent's jobs, and ask `/healthz` meanwhile."""
    took: list[float] = []

    async def ask() -> None:
        while True:
            took.extend(await send_all(nas.url, [get("/healthz", token)], 1))
            await asyncio.sleep(PAUSE_S)

    async with sink() as agent:
        cpu = cpu_s(nas.pid)
        first = (time.time() + AHEAD_S) * 1e3
        dues = {f"job{n}": first + n * WITHIN_S * 1e3 / fires for n in range(fires)}
        arms = (provision(token, job, int(due), agent.url) for job, due in dues.items())
        await send_all(nas.url, arms, 8)
        if time.time() * 1e3 > first:
            raise RuntimeError("arming took longer than there was time for")
        asking = asyncio.create_task(ask())
        await agent.until(fires)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        asked = in_ms(took, "healthz_") | {"healthz_max_ms": max(took) * 1e3}
        return lateness(agent, dues) | asked | {"cpu_s": cpu_s(nas.pid) - cpu}


async def campaign(names: list[str], fires: int) -> None:
    """Measure without a hostile agent, and with each."""
    with stores("sqlite") as provided:
        count = len(names)
        async with server(provided, hanging=count, agents=count + 2) as (nas, tokens, hostile):
            _row("none", await measured(nas, tokens[-1], fires))
            for name, token, bad in zip(names, tokens[1:], hostile, strict=False):
                async with besieging(nas.url, bad, name):
                    _row(name, await measured(nas, token, fires))
            _row("none", await measured(nas, tokens[0], fires))


def _row(name: str, found: Figures) -> None:
    keys = ("p50_ms", "p99_ms", "healthz_p50_ms", "healthz_p99_ms", "healthz_max_ms")
    shown = [f"{found[key]:.0f}" for key in keys] + [f"{found['cpu_s']:.1f}"]
    print(f"| {name} | " + " | ".join(shown) + " |", flush=True)


def main() -> int:
    """Run the campaign and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="SHAPE", help=", ".join(ALL))
    parser.add_argument("--fires", type=int, default=200)
    options = parser.parse_args()
    if unknown := set(options.names) - set(ALL):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    print("| answer | fires p50, ms | p99 | /healthz p50, ms | p99 | worst | CPU, s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    asyncio.run(campaign(options.names or list(ALL), options.fires))
    return 0


if __name__ == "__main__":
    sys.exit(main())
