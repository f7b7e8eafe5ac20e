"""What the page shows, gathered from the store at a bounded cost however many look."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import attrs

from nas_sdk._version import __version__
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.accounts import Accounts
from nas_server.clock import NowMs
from nas_server.history import Attempt
from nas_server.page import facts
from nas_server.page.chart import lateness_chart
from nas_server.page.timeline import AGENTS, BINS, HOUR_MS, timeline
from nas_server.policy import ServerConfig
from nas_server.store.base import ALL, Counts, Histogram, Store, TooManyError, Which

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Wanted:
    """What a viewer asks to see."""

    which: Which = ALL
    hours: int = 6
    offsets: Mapping[str, int] = attrs.field(factory=dict)
    """Where in ``armed``, ``attempts`` and ``dead`` to begin; 0 where nothing is said."""


@attrs.frozen
class Figures:
    """What is counted. None: more than the store counts without the name of an agent."""

    counts: Counts | None
    histogram: Histogram | None
    from_ms: int
    attempts: list[Attempt]
    agent_known: bool


class Watch:
    """Gathers from a store."""

    def __init__(self, store: Store, clock: NowMs, settings: ServerConfig) -> None:
        """Look at ``store`` by the time of ``clock``."""
        self._policy = settings.page
        self._most = settings.history.per_agent
        self._store = store
        self._accounts = Accounts(store)
        self._clock = clock
        self._gathered: dict[Any, tuple[float, Any]] = {}
        self._one_at_a_time = asyncio.Lock()

    def forget(self) -> None:
        """Gather anew for whoever looks next."""
        self._gathered.clear()

    async def see(self, wanted: Wanted, firing: int) -> dict[str, Any]:
        """Return what is to be shown, for JSON; ``firing`` of them are being delivered."""
        which, hours = wanted.which, wanted.hours
        # In this order, so that a fire that ends meanwhile is not shown as armed beside its end.
        attempts = await self._rows(wanted, "attempts", self._attempts, facts.attempt)
        now = self._clock()
        armed = await self._rows(wanted, "armed", self._armed, lambda one: facts.one_shot(one, now))
        dead = await self._rows(wanted, "dead", self._dead, lambda one: facts.one_shot(one, now))
        figures = await self._recent((which, hours), lambda: self._figures(which, hours))
        counts, error = figures.counts, await self._store.arm_error()
        await self._add_credentials([*armed["rows"], *dead["rows"]])
        known = ("armed", "due", "dead")
        counted = {each: None if counts is None else getattr(counts, each) for each in known}
        return {
            "now_ms": now,
            "version": __version__,
            "agent_known": figures.agent_known,
            "counts": {**counted, "firing": firing},
            "arm_error": None if error is None else str(error),
            "lateness": attrs.asdict(facts.lateness(figures.attempts)),
            "chart": lateness_chart(figures.attempts, now) if which.agent else None,
            "timeline": timeline(
                figures.histogram or Histogram([], 0),
                figures.from_ms,
                hours,
                counted["armed"] or 0,
            ),
            "too_many": figures.histogram is None,
            "armed": armed | {"of": counted["armed"]},
            "attempts": attempts | {"of": None},
            "dead": dead | {"of": counted["dead"]},
        }

    async def _add_credentials(self, rows: list[dict[str, Any]]) -> None:
        """Say of each one-shot shown which credential its agent has now."""
        names = {row["agent"] for row in rows}
        agents = {name: await self._accounts.find(name) for name in names}
        for row in rows:
            agent = agents[row["agent"]]
            row["credential_now"] = None if agent is None else agent.generation

    async def _rows(
        self,
        wanted: Wanted,
        name: str,
        read: Callable[[Which, int], Awaitable[list[T]]],
        shown: Callable[[T], dict[str, Any]],
    ) -> dict[str, Any]:
        """Return a table's rows, and whether more follow: one more than is shown is read."""
        which, offset = wanted.which, wanted.offsets.get(name, 0)
        found = await self._recent((name, which, offset), lambda: read(which, offset))
        most = self._policy.rows
        rows = [shown(each) for each in found[:most]]
        return {"offset": offset, "page": most, "more": len(found) > most, "rows": rows}

    async def _attempts(self, which: Which, offset: int) -> list[Attempt]:
        return await self._store.attempts(self._clock(), self._policy.rows + 1, which, offset)

    async def _dead(self, which: Which, offset: int) -> list[StoredOneShot]:
        return await self._store.dead(self._clock(), self._policy.rows + 1, which, offset)

    async def _armed(self, which: Which, offset: int) -> list[StoredOneShot]:
        try:
            return await self._store.upcoming(self._policy.rows + 1, which, offset)
        except TooManyError:
            return []

    async def _figures(self, which: Which, hours: int) -> Figures:
        now = self._clock()
        counts = histogram = None
        try:
            counts = await self._store.counts(now, which)
            histogram = await self._store.histogram(now, now + hours * HOUR_MS, BINS, AGENTS, which)
        except TooManyError:
            pass
        attempts = await self._store.attempts(now, self._most, which)
        known = which.agent is None or await self._accounts.find(which.agent) is not None
        return Figures(counts, histogram, now, attempts, known)

    async def _recent(self, what: Any, gather: Callable[[], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            until, gathered = self._gathered.get(what, (0.0, None))
            if loop.time() >= until:
                began = loop.time()
                gathered = await gather()
                took = loop.time() - began
                if len(self._gathered) >= self._policy.views:
                    self.forget()
                lasts = max(self._policy.fresh_s, self._policy.share * took)
                self._gathered[what] = loop.time() + lasts, gathered
            found: T = gathered
            return found
