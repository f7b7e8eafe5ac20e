"""Arms and cancels without end, each written down once it is answered, whatever is killed."""

import asyncio
import itertools
import random
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import attrs

from benchmarks.figures import Figures
from benchmarks.hosting import provision
from benchmarks.load import Sink, post

WORKERS: Final = 8
CANCELLED: Final = 0.3
"""The share of jobs that are cancelled before their time."""
AHEAD_S: Final = (0.5, 4.0)
PAUSE_S: Final = 0.05
ANSWER_S: Final = 20.0


@attrs.define
class Churn:
    """What was asked of a server, and what it answered."""

    url: str
    tokens: list[str]
    agent: Sink
    armed: set[str] = attrs.field(factory=set)
    """Jobs whose arm was answered, and no cancel was tried."""
    cancelled: set[str] = attrs.field(factory=set)
    """Jobs whose cancel was answered before their time."""
    refused: int = 0
    """How many answers were 503."""
    _numbers: "itertools.count[int]" = attrs.field(factory=itertools.count)

    async def run(self, stop: asyncio.Event) -> None:
        """Arm and cancel until ``stop``."""
        await asyncio.gather(*(self._work(stop) for _ in range(WORKERS)))

    async def _work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            number = next(self._numbers)
            job, token = f"job{number}", self.tokens[number % len(self.tokens)]
            due = time.time() + random.uniform(*AHEAD_S)
            if not await self._answered(provision(token, job, int(due * 1e3), self.agent.url)):
                continue
            if random.random() >= CANCELLED:
                self.armed.add(job)
                continue
            cancel = post("/api/agent-cron/cancel", token, {"job_id": job})
            if await self._answered(cancel) and time.time() < due:
                self.cancelled.add(job)

    async def _answered(self, request: bytes) -> bool:
        """Send a request on a connection of its own; return whether the answer was 200."""
        target = urlsplit(self.url)
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(target.hostname, target.port)
                try:
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            await asyncio.sleep(PAUSE_S)
            return False
        if head.startswith(b"HTTP/1.1 503"):
            self.refused += 1
            await asyncio.sleep(PAUSE_S)
        return head.startswith(b"HTTP/1.1 200")

    async def result(self, patience_s: float) -> Figures:
        """Wait for what is to come, and count."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while missing := self.armed - self.agent.arrived.keys():
                    await self.agent.until(len(self.agent.arrived) + len(missing))
        arrived = self.agent.arrived
        return {
            "armed": len(self.armed),
            "lost": len(self.armed - arrived.keys()),
            "again": self.agent.again,
            "cancelled": len(self.cancelled),
            "refused": self.refused,
            "cancelled_and_came": len(self.cancelled & arrived.keys()),
        }
