"""How many one-shots an agent may have, so that none fills the store of all."""

import math
from collections import OrderedDict

from nas_server.policy import QuotaPolicy
from nas_server.store.base import Store


class Quota:
    """Counts what agents arm, and now and then, what they have.

    Between two looks into the store every arm counts as one more, though most replace
    another: so an agent with few jobs is looked at once, and after thousands of arms.
    """

    def __init__(self, store: Store, most: int, policy: QuotaPolicy) -> None:
        """Let the agents in ``store`` have ``most`` each."""
        self._store = store
        self._most = most
        self._policy = policy
        self._room: OrderedDict[str, int] = OrderedDict()
        """How often an agent may arm until it is looked at."""
        self._full: OrderedDict[str, int] = OrderedDict()
        """Until when nothing more of an agent is armed: a look at so many takes time."""

    async def wait_s(self, agent: str, job_id: str, now: int) -> int:
        """Count an arm and return 0; or return in how many seconds to try it again."""
        if not (room := self._room.pop(agent, 0)):
            if (left := self._full.get(agent, now) - now) > 0:
                return math.ceil(left / 1_000)
            room = await self._look(agent, job_id, now)
        if not room:
            return math.ceil(self._policy.again_ms / 1_000)
        _keep(self._room, agent, room - 1, self._policy.agents)
        return 0

    async def _look(self, agent: str, job_id: str, now: int) -> int:
        held = {each.job_id for each in await self._store.armed(agent)}
        if len(held) < self._most:
            return max(self._most - len(held), self._policy.unseen)
        _keep(self._full, agent, now + self._policy.again_ms, self._policy.agents)
        return int(job_id in held)


def _keep(kept: OrderedDict[str, int], agent: str, value: int, most: int) -> None:
    kept[agent] = value
    if len(kept) > most:
        kept.popitem(last=False)
