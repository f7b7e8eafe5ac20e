"""What agents have armed: how many they may have, and what it costs them to look.

A long list takes the time of all. So the lists of an agent are read one after the other, and
each counts as more calls the longer it is.
"""

import asyncio
import math
from collections import OrderedDict
from typing import TypeVar
from weakref import WeakValueDictionary

import attrs

from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.http.throttle import Throttle
from nas_server.policy import QuotaPolicy
from nas_server.store.base import Store

T = TypeVar("T")


@attrs.frozen
class _Almost:
    """What an agent has that has all it may have, or almost."""

    until_ms: int
    """How long it is taken to be so."""
    jobs: set[str]


class Quota:
    """Holds agents to a number of one-shots.

    An agent is not counted at every arm: a count grants it so many arms, and the next comes when
    they are used up. Of several servers on one store, each grants as many.
    """

    def __init__(
        self, store: Store, throttle: Throttle | None, most: int, policy: QuotaPolicy
    ) -> None:
        """Let the agents in ``store`` have ``most`` each, 0 being any number."""
        self._store = store
        self._throttle = throttle
        self._most = most
        self._policy = policy
        self._granted: OrderedDict[str, int] = OrderedDict()
        self._almost: OrderedDict[str, _Almost] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def armed(self, agent: str, now: int) -> list[StoredOneShot]:
        """Return what an agent has armed, when it is its turn."""
        async with self._turn(agent):
            return await self._read(agent, now)

    async def wait_s(self, agent: str, job_id: str, now: int) -> int:
        """Count an arm and return 0; or return in how many seconds to try it again."""
        if not self._most or self._is_granted(agent):
            return 0
        async with self._turn(agent):
            if self._is_granted(agent):  # to another arm, while this one waited
                return 0
            found = self._almost.get(agent)
            if found is None or not 0 < found.until_ms - now <= self._policy.again_ms:
                jobs = {each.job_id for each in await self._read(agent, now)}
                room = self._most - len(jobs)
                if room * self._policy.part >= self._most:
                    self._almost.pop(agent, None)
                    _keep(
                        self._granted,
                        agent,
                        min(room, self._policy.granted) - 1,
                        self._policy.agents,
                    )
                    return 0
                found = _Almost(now + self._policy.again_ms, jobs)
                _keep(self._almost, agent, found, self._policy.almost)
            if job_id not in found.jobs and len(found.jobs) >= self._most:
                return math.ceil((found.until_ms - now) / 1_000)
            found.jobs.add(job_id)
            return 0

    def _turn(self, agent: str) -> asyncio.Lock:
        return self._turns.setdefault(agent, asyncio.Lock())

    async def _read(self, agent: str, now: int) -> list[StoredOneShot]:
        armed = await self._store.armed(agent)
        if self._throttle is not None:
            self._throttle.use_up(agent, len(armed) // self._policy.per_call, now)
        return armed

    def _is_granted(self, agent: str) -> bool:
        granted = self._granted.get(agent, 0)
        if granted:
            self._granted[agent] = granted - 1
        return granted > 0


def _keep(kept: OrderedDict[str, T], agent: str, value: T, most: int) -> None:
    kept[agent] = value
    if len(kept) > most:
        kept.popitem(last=False)
