"""What the page shows, gathered from the store at a bounded cost however many look."""

import asyncio
from heapq import nsmallest
from typing import Any, Final

import attrs

from nas_sdk._version import __version__
from nas_sdk.server.clock import Clock
from nas_sdk.server.history import KEEP_PER_AGENT
from nas_sdk.server.metrics import CountsCache
from nas_sdk.server.page import facts
from nas_sdk.server.page.timeline import timeline
from nas_sdk.server.rules import OneShot
from nas_sdk.server.store.base import Store, TooManyError

MOST: Final = 5_000
"""How many one-shots are looked at, the first."""
PAGE: Final = 20
"""How many one-shots are shown at a time."""
SHOWN: Final = 50
"""How many attempts are shown, and how many of the dead."""
FRESH_S: Final = 0.5
SHARE: Final = 10
"""What was gathered stays for so many times as long as gathering took, too."""
KEPT: Final = 32


@attrs.frozen(kw_only=True)
class Wanted:
    """What a viewer asks to see."""

    agent: str | None = None
    hours: int = 6
    offset: int = 0


class Watch:
    """Gathers from a store."""

    def __init__(self, store: Store, counts: CountsCache, clock: Clock) -> None:
        """Look at ``store`` by the time of ``clock``."""
        self._store = store
        self._counts = counts
        self._clock = clock
        self._gathered: dict[str | None, tuple[float, dict[str, Any]]] = {}
        self._one_at_a_time = asyncio.Lock()

    def forget(self) -> None:
        """Gather anew for whoever looks next."""
        self._gathered.clear()

    async def see(self, wanted: Wanted, under_way: int) -> dict[str, Any]:
        """Return what is to be shown, for JSON."""
        counts = await self._counts.get()
        gathered = await self._recent(wanted.agent)
        now = self._clock()
        armed: list[OneShot] = gathered["armed"]
        shown = armed[wanted.offset : wanted.offset + PAGE]
        return {
            "now_ms": now,
            "version": __version__,
            "counts": {**attrs.asdict(counts), "firing": under_way},
            "lateness": gathered["lateness"],
            "timeline": timeline(armed, now, wanted.hours),
            "armed": {
                "offset": wanted.offset,
                "page": PAGE,
                "of": len(armed),
                "whole": len(armed) < MOST and not gathered["too_many"],
                "too_many": gathered["too_many"],
                "rows": [facts.one_shot(one, now) for one in shown],
            },
            "attempts": gathered["attempts"],
            "dead": [facts.one_shot(one, now) for one in gathered["dead"]],
        }

    async def _recent(self, agent: str | None) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            until, gathered = self._gathered.get(agent, (0.0, {}))
            if loop.time() < until:
                return gathered
            began = loop.time()
            gathered = await self._gather(agent)
            took = loop.time() - began
            if len(self._gathered) >= KEPT:
                self.forget()
            self._gathered[agent] = loop.time() + max(FRESH_S, SHARE * took), gathered
            return gathered

    async def _gather(self, agent: str | None) -> dict[str, Any]:
        # In this order, so that a fire that ends meanwhile is not shown as armed beside its end.
        now = self._clock()
        attempts = await self._store.attempts(now, KEEP_PER_AGENT, agent)
        armed, too_many = await self._armed(agent)
        dead = await self._store.dead(now, SHOWN, agent)
        return {
            "armed": armed,
            "too_many": too_many,
            "lateness": attrs.asdict(facts.lateness(attempts)),
            "attempts": [facts.attempt(each) for each in attempts[:SHOWN]],
            "dead": dead,
        }

    async def _armed(self, agent: str | None) -> tuple[list[OneShot], bool]:
        if agent is not None:
            of_agent = await self._store.armed(agent)
            return nsmallest(MOST, of_agent, key=lambda one: (one.wake_ms, one.job_id)), False
        try:
            return await self._store.upcoming(MOST), False
        except TooManyError:
            return [], True
