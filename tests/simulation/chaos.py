"""What goes wrong, and when: a seed enables some kinds of fault and draws how often each is."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import attrs

CRASHES: Final[tuple[str, ...]] = ("process crash", "machine crash")
REFUSALS: Final[tuple[str, ...]] = ("403 for a while", "400 for a while")
"""NAS does not know the agent; a gateway in front of NAS takes no request."""
FAULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "step": CRASHES,
    "read": ("store gone", "store emptied", "record unreadable"),
    "login": ("no token",),
    "request": (
        "lost before",
        "lost after",
        "slow",
        "5xx before",
        "5xx after",
        "expired token",
        "429",
        "malformed",
        *REFUSALS,
    ),
    "fire": ("fire lost", "fire late"),
    "delivery": ("down after a fire",),
    "handling": ("killed by a fire",),
    "forward": ("gateway stopped",),
    "claim": ("claims refused",),
    "claimed": ("claim rolled back",),
    "answer": ("answer lost", "fire doubled"),
}
"""What may happen at each kind of I/O: a step of a process, its look at the job store, a token,
a request, and the stations of a fire."""
PLACED: Final[Mapping[str, tuple[str, ...]]] = {
    **FAULTS,
    "step": (*CRASHES, *(f"{kind} after" for kind in CRASHES)),
    "request": (*FAULTS["request"], "NAS forgets", "NAS down"),
}
"""The same where faults are placed: a crash may come before a step's effect or right after."""
SUDDEN: Final = ("NAS forgets", "NAS down", "clock jump", "hermes paused")
OFTEN: Final[Mapping[str, tuple[float, ...]]] = {
    "step": (0.003, 0.01, 0.03),
    "read": (0.002, 0.005, 0.02),
    "request": (0.02, 0.05, 0.15),
}
"""How often each of them happens, where it is not as often as of a fire."""
OFTEN_AT_A_FIRE: Final = (0.1, 0.3, 0.6)
OUTAGE_SECONDS: Final = (5.0, 30.0, 120.0, 300.0)
LASTS: Final[Mapping[str, tuple[float, ...]]] = {
    "NAS down": OUTAGE_SECONDS,
    "403 for a while": (100.0, 5.0, 900.0),
    "400 for a while": (100.0, 5.0, 900.0),
    "store gone": (100.0, 5.0, 900.0, 3600.0),
    "store emptied": (100.0, 20.0, 900.0),
    "record unreadable": (100.0, 5.0, 900.0),
    "gateway stopped": (100.0, 20.0, 1800.0),
    "claims refused": (700.0, 20.0, 200.0, 21600.0),
    "hermes paused": (100.0, 600.0, 3600.0),
}
"""How long those last that do not pass at once, in seconds; the first is the usual one."""
KINDS: Final = (*(kind for kinds in FAULTS.values() for kind in kinds), *SUDDEN)


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
    pauses: tuple[float, ...] = ()
    """When somebody has hermes pause."""


def draw(chance: random.Random, start: float, until: float) -> Plan:
    """Some kinds of fault, from none at all to everything at once."""
    share = chance.choice((0.0, 0.2, 0.5, 0.5, 0.9))
    enabled = {kind for kind in KINDS if chance.random() < share}
    chances = {
        kind: chance.choice(OFTEN.get(site, OFTEN_AT_A_FIRE))
        for site, kinds in FAULTS.items()
        for kind in kinds
        if kind in enabled
    }

    def moments(kind: str, most: int) -> tuple[float, ...]:
        count = chance.randint(1, most) if kind in enabled else 0
        return tuple(sorted(chance.uniform(start, until) for _ in range(count)))

    starts = moments("NAS down", 1)
    outages = tuple((at, min(until, at + chance.choice(OUTAGE_SECONDS))) for at in starts)
    jumps = tuple((at, chance.uniform(-20, 20)) for at in moments("clock jump", 2))
    return Plan(
        chances,
        until,
        outages,
        chance.random() < 0.5,
        moments("NAS forgets", 2),
        jumps,
        moments("hermes paused", 1),
    )


class Chaos:
    """The faults of one world while it runs."""

    def __init__(self, plan: Plan, chance: random.Random) -> None:
        self.plan = plan
        self.counts: Counter[str] = Counter()
        self.last = 0.0
        """When the last fault was over."""
        self._chance = chance
        self._outages = list(plan.outages)
        self._refused_until: dict[str, float] = {}

    def fault(self, site: str, now: float) -> str | None:
        """What goes wrong at this I/O, if anything."""
        if now < self.plan.until:
            for kind in FAULTS[site]:
                often = self.plan.chances.get(kind)
                if often is not None and self._chance.random() < often:
                    self.note(kind, now)
                    return kind
        return None

    def request_fault(self, now: float) -> str | None:
        """What befalls a request, if anything."""
        if self.is_down(now):
            self.note("NAS down", now)
            return "down"
        return self.refusal(now) or self.fault("request", now)

    def seconds(self, kind: str) -> float:
        """How long such a fault lasts this time."""
        return self._chance.choice(LASTS[kind])

    def is_down(self, now: float) -> bool:
        return any(start <= now < end for start, end in self._outages)

    def go_down(self, now: float, seconds: float | None = None) -> None:
        """NAS answers nothing from now on, for a while."""
        end = now + (self.seconds("NAS down") if seconds is None else seconds)
        self._outages.append((now, end))
        self.note("NAS down", end)

    def refuse(self, kind: str, now: float) -> None:
        """NAS refuses every request from now on, for a while."""
        if self.refusal(now) is None:
            self._refused_until[kind] = now + self.seconds(kind)
            self.note(kind, self._refused_until[kind])

    def refusal(self, now: float) -> str | None:
        """Why NAS refuses every request now, if it does."""
        return next((kind for kind, end in self._refused_until.items() if now < end), None)

    def is_mute(self, now: float) -> bool:
        return self.plan.is_mute and self.is_down(now)

    def close(self) -> None:
        """Let nothing go wrong any more."""

    def note(self, kind: str, until: float) -> None:
        """Count a fault whose effect lasts until then."""
        self.counts[kind] += 1
        self.last = max(self.last, until)


@attrs.frozen
class Point:
    """One I/O that a fault may be placed at."""

    site: str
    moment: tuple[str, int, int]
    """Whose I/O, what the world outside of processes is then (a count of its changes), and the
    second. Two crashes of one process at the same moment leave the same world behind."""


class PlacedChaos(Chaos):
    """Faults at chosen points of I/O, counted from 0 in the order in which they are met."""

    def __init__(self, placed: Mapping[int, str], start: float, chance: random.Random) -> None:
        """`start`: the first I/O that may go wrong comes then."""
        super().__init__(Plan({}, float("inf")), chance)
        self._start = start
        self.placed = placed
        self.points: list[Point] = []
        """Each point met so far."""
        self.moment: Callable[[], tuple[str, int, int]] = lambda: ("", 0, 0)

    def fault(self, site: str, now: float) -> str | None:
        if now < self._start:
            return None
        kind = self.placed.get(len(self.points))
        self.points.append(Point(site, self.moment()))
        if kind is not None:
            self.note(kind, now)
        return kind

    def close(self) -> None:
        self._start = float("inf")

    def seconds(self, kind: str) -> float:
        return LASTS[kind][0]
