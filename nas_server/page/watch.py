"""What the page shows, gathered from the store at a bounded cost however many look."""

import asyncio
from collections.abc import Callable, Mapping
from heapq import nsmallest
from typing import Any

import attrs

from nas_sdk._version import __version__
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.accounts import Accounts
from nas_server.clock import NowMs
from nas_server.metrics import CountsCache
from nas_server.page import facts
from nas_server.page.timeline import timeline
from nas_server.policy import ServerConfig
from nas_server.store.base import Store, TooManyError


@attrs.frozen(kw_only=True)
class Wanted:
    """What a viewer asks to see."""

    agent: str | None = None
    hours: int = 6
    offsets: Mapping[str, int] = attrs.field(factory=dict)
    """Where in ``armed``, ``attempts`` and ``dead`` to begin; 0 where nothing is said."""


class Watch:
    """Gathers from a store."""

    def __init__(
        self, store: Store, counts: CountsCache, clock: NowMs, settings: ServerConfig
    ) -> None:
        """Look at ``store`` by the time of ``clock``."""
        self._policy = settings.page
        self._attempts = settings.history.per_agent
        self._store = store
        self._accounts = Accounts(store)
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
        trouble = await self._store.trouble()
        now = self._clock()
        armed: list[StoredOneShot] = gathered["armed"]
        rows = self._policy.rows

        def part(name: str, most: int, shown: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
            found, offset = gathered[name], wanted.offsets.get(name, 0)
            return {
                "offset": offset,
                "page": rows,
                "of": len(found),
                "whole": len(found) < most,
                "rows": [shown(each) for each in found[offset : offset + rows]],
            }

        shown = {
            "now_ms": now,
            "version": __version__,
            "counts": {
                "armed": counts.armed,
                "due": counts.due,
                "dead": counts.dead,
                "firing": under_way,
            },
            "trouble": None if trouble is None else str(trouble),
            "lateness": gathered["lateness"],
            "timeline": timeline(armed, now, wanted.hours),
            "too_many": gathered["too_many"],
            "armed": part("armed", self._policy.one_shots, lambda one: facts.one_shot(one, now)),
            "attempts": part("attempts", self._attempts, facts.attempt),
            "dead": part("dead", self._policy.dead, lambda one: facts.one_shot(one, now)),
        }
        await self._add_credentials([*shown["armed"]["rows"], *shown["dead"]["rows"]])
        return shown

    async def _add_credentials(self, rows: list[dict[str, Any]]) -> None:
        """Say of each one-shot shown which credential its agent has now."""
        names = {row["agent"] for row in rows}
        agents = {name: await self._accounts.find(name) for name in names}
        for row in rows:
            agent = agents[row["agent"]]
            row["credential_now"] = None if agent is None else agent.generation

    async def _recent(self, agent: str | None) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            until, gathered = self._gathered.get(agent, (0.0, {}))
            if loop.time() < until:
                return gathered
            began = loop.time()
            gathered = await self._gather(agent)
            took = loop.time() - began
            if len(self._gathered) >= self._policy.views:
                self.forget()
            self._gathered[agent] = (
                loop.time() + max(self._policy.fresh_s, self._policy.share * took),
                gathered,
            )
            return gathered

    async def _gather(self, agent: str | None) -> dict[str, Any]:
        # In this order, so that a fire that ends meanwhile is not shown as armed beside its end.
        now = self._clock()
        attempts = await self._store.attempts(now, self._attempts, agent)
        armed, too_many = await self._armed(agent)
        dead = await self._store.dead(now, self._policy.dead, agent)
        return {
            "armed": armed,
            "too_many": too_many,
            "lateness": attrs.asdict(facts.lateness(attempts)),
            "attempts": attempts,
            "dead": dead,
        }

    async def _armed(self, agent: str | None) -> tuple[list[StoredOneShot], bool]:
        if agent is not None:
            of_agent = await self._store.armed(agent)
            return nsmallest(
                self._policy.one_shots, of_agent, key=lambda one: (one.wake_ms, one.job_id)
            ), False
        try:
            return await self._store.upcoming(self._policy.one_shots), False
        except TooManyError:
            return [], True
