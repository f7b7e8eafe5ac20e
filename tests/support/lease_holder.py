"""A process that leases all that is due from a JetStream store, says so, and never settles.

python -m tests.support.lease_holder URL NOW_MS COUNT HOLD_S
"""

import asyncio
import sys

from nas_server.policy import JetStreamPolicy
from tests.support.jetstream_store import EVER_AHEAD, Arrivals, opened


async def main(url: str, now: int, count: int, hold_s: float) -> None:
    async with opened(url, JetStreamPolicy(lead_ms=EVER_AHEAD.lead_ms, hold_s=hold_s)) as store:
        await Arrivals(store).until(count)
        held = [await store.due(now, count // 2)]
        print(len(held[0]), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
