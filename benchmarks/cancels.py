"""What becomes of cancels in the last moment: does a fire arrive that was cancelled in time?

    python -m benchmarks.cancels [--count 1000] [--store sqlite|nats ...]

Every job is armed some seconds ahead, and cancelled within the last half of a second before its
time. A cancel counts as answered in time when the answer was here before the time by this
machine's clock, which is the server's, too. Those answered later are told apart: their fires may
have begun.
"""

import argparse
import asyncio
import random
import sys
import time
from typing import Final

from benchmarks.figures import Figures
from benchmarks.hosting import KINDS, provision, server, stores
from benchmarks.load import post, sink
from benchmarks.load import send_all as send

AGENTS: Final = 20
AHEAD_S: Final = 6.0
BATCH: Final = 100
LAST_S: Final = 0.5
AFTER_S: Final = 3.0
"""How long after its time an arrival is waited for."""


async def _batch(nas_url: str, tokens: list[str], agent_url: str, first: int) -> dict[str, float]:
    """Arm and cancel `BATCH` jobs; return by how many seconds each cancel was answered in time."""
    in_time: dict[str, float] = {}
    due_ms = int((time.time() + AHEAD_S) * 1e3)
    dues = {f"job{n}": due_ms + random.randrange(1_000) for n in range(first, first + BATCH)}
    token = {job: tokens[n % len(tokens)] for n, job in enumerate(dues)}
    arms = [provision(token[job], job, due, agent_url) for job, due in dues.items()]
    await send(nas_url, arms, 32)
    if time.time() * 1e3 > due_ms - LAST_S * 1e3:
        raise RuntimeError("arming took longer than there was time for")

    async def cancel(job: str, due: int) -> None:
        at = due / 1e3 - random.random() * LAST_S
        await asyncio.sleep(at - time.time())
        await send(nas_url, [post("/api/agent-cron/cancel", token[job], {"job_id": job})], 1)
        in_time[job] = due / 1e3 - time.time()

    await asyncio.gather(*(cancel(*each) for each in dues.items()))
    await asyncio.sleep(AFTER_S)
    return in_time


async def campaign(kind: str, count: int) -> Figures:
    """Cancel until ``count`` cancels were answered in time; return what arrived all the same."""
    in_time: dict[str, float] = {}
    with stores(kind) as provided:
        async with server(provided, agents=AGENTS) as (nas, tokens, _), sink() as agent:
            first = 0
            while sum(left > 0 for left in in_time.values()) < count:
                in_time |= await _batch(nas.url, tokens, agent.url, first)
                first += BATCH
                told = sum(left > 0 for left in in_time.values())
                print(f"  {kind}: {told} of {count} answered in time", file=sys.stderr, flush=True)
            late = {job for job, left in in_time.items() if left <= 0}
            return {
                "answered_in_time": len(in_time) - len(late),
                "arrived_all_the_same": len(agent.arrived.keys() - late),
                "answered_late": len(late),
                "of_these_arrived": len(agent.arrived.keys() & late),
            }


def main() -> int:
    """Run the campaigns and print what came of them; 1 when a fire came that must not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--store", choices=KINDS, nargs="+", default=["sqlite", "nats"])
    options = parser.parse_args()
    wrong = 0.0
    for kind in options.store:
        found = asyncio.run(campaign(kind, options.count))
        wrong += found["arrived_all_the_same"]
        print(f"{kind:8} " + "  ".join(f"{name} {value:.0f}" for name, value in found.items()))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
