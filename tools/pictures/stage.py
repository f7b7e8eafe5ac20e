"""A NAS with something to see: agents that answer well and badly, and a clock set by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.page.access import Access
from nas_server.store import MemoryStore, Store
from tests.support.nas_in_process import Hosted, hosted

NOON: Final = 1_800_014_400_000
"""2027-01-15 12:00 UTC."""
MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
JOBS: Final = {
    "brewery-assistant": ("mash-reminder", 17, 3),
    "night-librarian": ("overdue-notices", 41, 6),
    "garden-watch": ("soil-check", 8, 12),
    "weekly-digest": ("collect-and-send", 133, 2),
    "orchard": ("frost-warning", 75, 4),
}
"""Agents: a job's name, minutes to its next fire and how many more follow."""
STAGED: Final = 28
"""How many are armed on the stage."""


@asynccontextmanager
async def stage() -> AsyncIterator[tuple[Hosted, str]]:
    """A NAS at noon, and the admin token of its page."""
    store = MemoryStore(chance=lambda: 0.5)
    async with hosted(store, issuer="https://nas.example.com") as nas:
        nas.clock.now = NOON
        await _arm(store)
        await _fire(store)
        yield nas, await Access(store).new_token()


@asynccontextmanager
async def many(count: int) -> AsyncIterator[tuple[Hosted, str]]:
    """A NAS with so many armed and nothing else, and the admin token of its page."""
    store = MemoryStore()
    async with hosted(store) as nas:
        await arm_many(store, nas.clock.now, count)
        yield nas, await Access(store).new_token()


async def arm_many(store: Store, now: int, count: int) -> None:
    """Arm so many for 40 agents, the first in a minute."""
    for n in range(count):
        at = format_instant(now + MINUTE + n * 1_711)
        agent, job = f"agent-{n % 40:02}", f"job-{n:05}"
        url, name = f"https://{agent}.agents.example.com", one_shot.new_schedule_id()
        await store.provision(one_shot.fresh(agent, job, at, url, job, name, now), now)


async def _arm(store: Store) -> None:
    for agent, (job, minutes, count) in JOBS.items():
        for n in range(count):
            due = NOON + (minutes + n * (minutes + 11)) * MINUTE
            await store.provision(_shot(agent, f"{job}-{n + 1}", due), NOON)


async def _fire(store: Store) -> None:
    accepted = DeliveryResult(ended=True, note="202")
    for n in range(90):  # a day of one agent: every now and then it, or NAS, was slow
        due = NOON - (1_400 - 15 * n) * MINUTE
        late = 40_000 if n % 31 == 9 else 900 if n % 7 == 3 else 2 + n % 5
        await _deliver(store, _shot("weekly-digest", f"check-{n}", due), accepted, due + late)
    lost = _shot("old-laptop", "backup", NOON - 25 * HOUR)
    for at in (NOON - 25 * HOUR, NOON - HOUR):
        timeout = DeliveryResult(
            ended=False, note="timeout: no answer in time", retry_after_ms=30 * HOUR
        )
        await _deliver(store, lost, timeout, at)
    for n, agent in enumerate(JOBS):
        due = NOON - (41 - 9 * n) * MINUTE
        await _deliver(store, _shot(agent, f"{JOBS[agent][0]}-0", due), accepted, due + 3 + n)
    asleep = DeliveryResult(ended=False, note="unreachable: Connection refused")
    waking = DeliveryResult(ended=False, note="503", retry_after_ms=240_000)
    await _deliver(store, _shot("garden-watch", "pump", NOON - MINUTE), asleep, NOON - MINUTE + 4)
    again = await store.next_due()
    (held,) = await store.due(again or 0, 1)
    await store.settle(held, waking, (again or 0) + 180)


async def _deliver(store: Store, one: StoredOneShot, outcome: DeliveryResult, at: int) -> None:
    await store.provision(one, one.due_ms)
    (held,) = await store.due(at, 1)
    await store.settle(held, outcome, at + 412)


def _shot(agent: str, job: str, due: int) -> StoredOneShot:
    at = format_instant(due)
    url = f"https://{agent}.agents.example.com"
    name = one_shot.new_schedule_id()
    return one_shot.fresh(agent, job, at, url, f"{job}:{at}", name, min(due, NOON))
