"""What goes wrong, and when: a seed enables some kinds of fault and draws how often each is."""

from __future__ import annotations

import random
from collections import Counter
from typing import Final

import attrs

REQUEST_FAULTS: Final[tuple[str, ...]] = (
    "lost before",
    "lost after",
    "slow",
    "5xx before",
    "5xx after",
    "expired token",
    "429",
    "malformed",
)
"""What may befall one request of the agent to NAS."""
FIRE_FAULTS: Final[tuple[str, ...]] = (
    "fire lost",
    "answer lost",
    "fire late",
    "fire doubled",
    "down after a fire",
    "killed by a fire",
)
"""What may befall one fire of NAS."""
LOGIN_FAULTS: Final[tuple[str, ...]] = ("no token",)
"""What may happen when a token is asked for."""
CRASHES: Final[tuple[str, ...]] = ("process crash", "machine crash")
SUDDEN: Final = ("NAS forgets", "NAS down", "clock jump")
OFTEN: Final = {
    REQUEST_FAULTS: (0.02, 0.05, 0.15),
    FIRE_FAULTS: (0.1, 0.3, 0.6),
    LOGIN_FAULTS: (0.1, 0.3, 0.6),
    CRASHES: (0.003, 0.01, 0.03),
}
"""How often each of them happens: per request, per fire, per token, per step of I/O."""
OUTAGE_SECONDS: Final = (5.0, 30.0, 120.0, 300.0)
KINDS: Final = (*REQUEST_FAULTS, *FIRE_FAULTS, *LOGIN_FAULTS, *CRASHES, *SUDDEN)


@attrs.frozen
class Plan:
    """The faults of one seed: the chance of each kind, and when the last may begin."""

    chances: dict[str, float]
    until: float
    outages: tuple[tuple[float, float], ...] = ()
    """From and to; NAS answers 503."""
    is_mute: bool = False
    """Whether it fires nothing either then."""
    forgets: tuple[float, ...] = ()
    jumps: tuple[tuple[float, float], ...] = ()
    """When the agent's clock changes, and how far it is off from then on."""


def draw(chance: random.Random, start: float, until: float) -> Plan:
    """Some kinds of fault, from none at all to everything at once."""
    share = chance.choice((0.0, 0.2, 0.5, 0.5, 0.9))
    enabled = {kind for kind in KINDS if chance.random() < share}
    chances = {
        kind: chance.choice(often)
        for kinds, often in OFTEN.items()
        for kind in kinds
        if kind in enabled
    }

    def moments(kind: str, most: int) -> list[float]:
        count = chance.randint(1, most) if kind in enabled else 0
        return sorted(chance.uniform(start, until) for _ in range(count))

    starts = moments("NAS down", 1)
    outages = [(at, min(until, at + chance.choice(OUTAGE_SECONDS))) for at in starts]
    forgets = moments("NAS forgets", 2)
    jumps = [(at, chance.uniform(-20, 20)) for at in moments("clock jump", 2)]
    is_mute = chance.random() < 0.5
    return Plan(chances, until, tuple(outages), is_mute, tuple(forgets), tuple(jumps))


class Chaos:
    """The faults of one world while it runs."""

    def __init__(self, plan: Plan, chance: random.Random) -> None:
        self.plan = plan
        self.counts: Counter[str] = Counter()
        self.last = 0.0
        """When the last fault was over."""
        self._chance = chance
        self._outages = list(plan.outages)

    def strikes(self, kind: str, now: float) -> bool:
        """Whether a fault of this kind happens now."""
        often = self.plan.chances.get(kind)
        if often is None or now >= self.plan.until or self._chance.random() >= often:
            return False
        self.note(kind, now)
        return True

    def request_fault(self, now: float, operation: str) -> str | None:
        """What befalls a request, if anything."""
        if self.is_down(now):
            self.note("NAS down", now)
            return "down"
        for kind in REQUEST_FAULTS:
            if kind in self.plan.chances and self.strikes(kind, now):
                return kind
        return None

    def is_down(self, now: float) -> bool:
        return any(start <= now < end for start, end in self._outages)

    def go_down(self, now: float) -> None:
        """NAS answers nothing from now on, for a while."""
        end = now + self._chance.choice(OUTAGE_SECONDS)
        self._outages.append((now, end))
        self.note("NAS down", end)

    def is_mute(self, now: float) -> bool:
        return self.plan.is_mute and self.is_down(now)

    def note(self, kind: str, until: float) -> None:
        """Count a fault whose effect lasts until then."""
        self.counts[kind] += 1
        self.last = max(self.last, until)
