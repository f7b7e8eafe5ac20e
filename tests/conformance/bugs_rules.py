"""Bugs of the rules: what provision, cancel and list do."""

import asyncio
from collections import defaultdict

import attrs

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.clock import system_clock
from nas_server.http.answers import RefusedError
from nas_server.store.memory import MemoryStore
from tests.conformance.planting import Bug

DAY_MS = 86_400_000


class Rules(MemoryStore):
    """A store that the bugs change; what is armed is at hand."""

    def __init__(self) -> None:
        super().__init__(chance=lambda: 0.1)

    async def current(self, agent: str, job_id: str) -> StoredOneShot | None:
        return next((one for one in await super().armed(agent) if one.job_id == job_id), None)


class Appends(Rules):
    def __init__(self) -> None:
        super().__init__()
        self.earlier: defaultdict[str, list[StoredOneShot]] = defaultdict(list)

    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        current = await self.current(wanted.agent, wanted.job_id)
        if current is not None and current.dedup_key != wanted.dedup_key:
            self.earlier[wanted.agent].append(current)
        return await super().provision(wanted, now)

    async def armed(self, agent: str) -> list[StoredOneShot]:
        return [*self.earlier[agent], *await super().armed(agent)]


class KeyIgnored(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        await self.cancel(wanted.agent, wanted.job_id, now)
        return await super().provision(wanted, now)


class FirstWins(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        current = await self.current(wanted.agent, wanted.job_id)
        return current.schedule_id if current else await super().provision(wanted, now)


class NamedByJob(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        name = f"{wanted.agent}-{wanted.job_id}"
        return await super().provision(attrs.evolve(wanted, schedule_id=name), now)


class ByInstant(Rules):
    """The same instant in another spelling keeps the old entry, and answers a new name."""

    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        current = await self.current(wanted.agent, wanted.job_id)
        if current is not None and current.due_ms == wanted.due_ms:
            return current.schedule_id if current.dedup_key == wanted.dedup_key else "os_other"
        return await super().provision(wanted, now)


class Racing(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        current = await self.current(wanted.agent, wanted.job_id)
        await asyncio.sleep(0.05)
        if current is not None and current.dedup_key == wanted.dedup_key:
            return current.schedule_id
        await self.cancel(wanted.agent, wanted.job_id, now)
        return await super().provision(wanted, now)


class RemembersReplaced(Rules):
    """A key that was replaced counts as delivered: back to an earlier time arms nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[tuple[str, str], str] = {}

    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        current = await self.current(wanted.agent, wanted.job_id)
        key = (wanted.agent, wanted.dedup_key)
        if current is not None and key in self.seen:
            return self.seen[key]
        self.seen[key] = await super().provision(wanted, now)
        return self.seen[key]


def _evolved(wanted: StoredOneShot, fire_at: str) -> StoredOneShot:
    return attrs.evolve(wanted, fire_at=fire_at)


class Seconds(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        whole = format_instant(wanted.due_ms // 1000 * 1000)
        return await super().provision(_evolved(wanted, whole), now)


class Minutes(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        whole = format_instant(wanted.due_ms // 60_000 * 60_000)
        return await super().provision(_evolved(wanted, whole), now)


class NoOffset(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        local = wanted.fire_at.removesuffix("Z").rsplit("+", 1)[0]
        return await super().provision(_evolved(wanted, f"{local}Z"), now)


class NoPast(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        if wanted.due_ms < now:
            raise RefusedError(400, "invalid_request", "fire_at: is in the past")
        return await super().provision(wanted, now)


class NotFar(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        if wanted.due_ms > now + 90 * DAY_MS:
            raise RefusedError(400, "invalid_request", "fire_at: is more than 90 days ahead")
        return await super().provision(wanted, now)


class FoldsCase(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        return await super().provision(attrs.evolve(wanted, job_id=wanted.job_id.lower()), now)


class ShortColumn(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        return await super().provision(attrs.evolve(wanted, job_id=wanted.job_id[:64]), now)


class CancelsNothing(Rules):
    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        return None


class CancelsPrefix(Rules):
    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        for one in await self.armed(agent):
            if one.job_id.startswith(job_id):
                await super().cancel(agent, one.job_id, now)


class UnknownIs404(Rules):
    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        if await self.current(agent, job_id) is None:
            raise RefusedError(404, "not_found", "job_id: has no one-shot")
        await super().cancel(agent, job_id, now)


class RemembersCancelled(Rules):
    def __init__(self) -> None:
        super().__init__()
        self.cancelled: dict[tuple[str, str], str] = {}

    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        current = await self.current(agent, job_id)
        if current is not None:
            self.cancelled[agent, current.dedup_key] = current.schedule_id
        await super().cancel(agent, job_id, now)

    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        name = self.cancelled.get((wanted.agent, wanted.dedup_key))
        return name or await super().provision(wanted, now)


class Pages(Rules):
    async def armed(self, agent: str) -> list[StoredOneShot]:
        return (await super().armed(agent))[:100]


class Consumes(Rules):
    async def armed(self, agent: str) -> list[StoredOneShot]:
        listed = await super().armed(agent)
        for one in listed:
            await self.cancel(agent, one.job_id, system_clock())
        return listed


class ListsAll(Rules):
    async def armed(self, agent: str) -> list[StoredOneShot]:
        return [*await super().armed("one"), *await super().armed("two")]


class SharesJobs(Rules):
    """One row per job, whoever's it is."""

    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        for agent in {"one", "two"} - {wanted.agent}:
            await self.cancel(agent, wanted.job_id, now)
        return await super().provision(wanted, now)


class CancelsAnyones(Rules):
    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        for each in ("one", "two"):
            await super().cancel(each, job_id, now)


RULE_BUGS = [
    Bug("key-ignored", "the same key armed anew", "arm.same-key", KeyIgnored),
    Bug("appends", "an upsert that appends", "arm.replace", Appends),
    Bug("first-wins", "a new fire_at ignored", "arm.replace", FirstWins),
    Bug("named-by-job", "one schedule_id for ever", "arm.replace", NamedByJob),
    Bug("by-instant", "keys compared as instants", "arm.respelled", ByInstant),
    Bug("to-the-second", "fire_at cut to seconds", "arm.instant", Seconds),
    Bug("to-the-minute", "fire_at cut to minutes", "arm.instant", Minutes),
    Bug("no-offset", "the offset dropped", "arm.instant", NoOffset),
    Bug("no-past", "a past fire_at refused", "arm.past", NoPast),
    Bug("not-far", "90 days at most", "arm.far", NotFar),
    Bug("folds-case", "job ids in lower case", "arm.job-ids", FoldsCase),
    Bug("short-column", "job ids cut to 64", "arm.job-ids", ShortColumn),
    Bug("racing", "look first, write later", "arm.race", Racing),
    Bug("cancels-nothing", "a cancel that does nothing", "cancel.armed", CancelsNothing),
    Bug("cancels-prefix", "a cancel by prefix", "cancel.armed", CancelsPrefix),
    Bug("unknown-404", "404 to cancel an unknown job", "cancel.unknown", UnknownIs404),
    Bug("remembers-cancelled", "a cancelled key is spent", "cancel.then-arm", RemembersCancelled),
    Bug("pages", "100 entries at most", "list.whole", Pages),
    Bug("consumes", "a list that forgets", "list.stable", Consumes),
    Bug("lists-all", "everybody's one-shots listed", "isolation.list", ListsAll),
    Bug("shares-jobs", "one row for two agents", "isolation.arm", SharesJobs),
    Bug("cancels-anyones", "a cancel of others' jobs", "isolation.cancel", CancelsAnyones),
    Bug("remembers-replaced", "a replaced key is spent", "model.story", RemembersReplaced),
]
