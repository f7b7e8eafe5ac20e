"""What a store is: a place that keeps one-shots by the rules, and a few small records.

A store decides nothing; it applies `nas_sdk.protocol.one_shot` atomically to what it keeps. It
reads no clock: ``now`` is always an argument, in milliseconds since the epoch.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.history import Attempt

Record = dict[str, Any]
"""A small JSON object, such as an agent or a signing key."""

AGENT: Final = "agent"
"""The kind of a record that every call and every fire reads. None is ever removed."""
PROBE: Final = "probe"
"""The kind of a record that has no more room than an arm. The others are written to a full
storage, too: without a credential there is no cancel."""


class StoreError(Exception):
    """A store cannot be opened or used; the text tells a person what to do."""

    told = "the store cannot be used at the moment"
    """What callers are told; they need not know where things are."""


class StorageFullError(StoreError):
    """There is no room for more; what makes room, such as a cancel, is still done."""

    told = "storage full: nothing more is armed until there is room; cancels and fires go on"

    def __init__(self) -> None:
        super().__init__(self.told)


class GoneError(StoreError):
    """The medium is gone for good as far as this process can tell; another may have it again."""


class TooManyError(StoreError):
    """The store does not put so many one-shots in order; those of one agent can be had."""


class TooOftenError(StoreError):
    """A job was delivered so often of late that it is not armed again before some time."""

    told = "this job fired too often within 10 minutes"

    def __init__(self, wait_s: int) -> None:
        """Have it armed again in ``wait_s`` seconds."""
        super().__init__(self.told)
        self.wait_s = wait_s


@attrs.frozen
class Counts:
    """How much a store holds."""

    armed: int
    due: int
    """Of the armed ones: those that wait for a delivery to begin and could have it now."""
    dead: int
    oldest_due_ms: int | None = None
    """Since when the first of those that are due waits."""


@attrs.frozen
class Which:
    """Which one-shots, or attempts, are meant."""

    agent: str | None = None
    """Those of this agent; None: of any."""
    text: str = ""
    """Those with this in the name of the agent or the job, in the case it is written in."""

    def fits(self, agent: str, job_id: str) -> bool:
        """Tell whether a job is among them."""
        return self.agent in (None, agent) and (self.text in agent or self.text in job_id)


ALL: Final = Which()


@attrs.frozen
class AgentHistogram:
    """When one agent's one-shots fire, within a span of time."""

    agent: str
    next_ms: int
    bins: Mapping[int, int]
    """How many fire in which of the span's equal parts; what is due already is in the first."""


@attrs.frozen
class Histogram:
    """When one-shots fire, within a span of time."""

    agents: Sequence[AgentHistogram]
    """Of the agents that are next."""
    others: int
    """How many there are of other agents."""


class Store(Protocol):
    """Keeps one-shots and records. Every write has been kept for good when it returns.

    Every method may raise StoreError when the medium fails; nothing was written then.
    """

    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        """Arm ``wanted`` by the rules and return the schedule id to answer.

        A store may refuse with TooOftenError rather than forget a delivered key too soon.
        """

    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        """Remove the job's one-shot, if it has one."""

    async def withdraw(self, agent: str, job_id: str, schedule_id: str, now: int) -> bool:
        """Remove that one-shot; return whether the job had it."""

    async def drop(self, agent: str, before: int) -> None:
        """Remove the agent's one-shots of a `StoredOneShot.generation` before that one.

        Which of its keys were delivered is forgotten as well.
        """

    async def fire_now(
        self, agent: str, job_id: str, schedule_id: str, now: int
    ) -> StoredOneShot | None:
        """Make that one-shot due at once by the rules; None when the job does not have it."""

    async def armed(self, agent: str) -> list[StoredOneShot]:
        """Return the agent's one-shots, those being delivered among them, dead ones not."""

    async def due(
        self,
        now: int,
        limit: int,
        *,
        under_way: Mapping[str, int] | None = None,
        per_agent: int | None = None,
    ) -> list[StoredOneShot]:
        """Lease and return what is due, earliest first, at most ``limit``.

        An agent that has ``per_agent`` deliveries ``under_way`` gets no more.
        """

    async def next_due(self, busy: Collection[str] = ()) -> int | None:
        """Return when to look again, None for never.

        That is when the first one-shot needs attention, those of ``busy`` agents aside. It
        may be sooner, but is then not before the last time that `due` was asked about.
        """

    def listen(self, expect: Callable[[int], object]) -> None:
        """Have ``expect`` called when `next_due` may be sooner because of another process.

        Its argument is the time at which something needs attention.
        """

    async def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int
    ) -> StoredOneShot | None:
        """Note how the delivery of ``tried`` ended; return what the job has now.

        The attempt is kept for `attempts`.
        """

    async def release(self, held: Sequence[StoredOneShot]) -> None:
        """Hand back deliveries that were leased and not made."""

    async def dead(
        self, now: int, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[StoredOneShot]:
        """Return up to ``limit`` given up, the newest first, without the first ``offset``.

        They are shown for a week, by `rules.is_kept`.
        """

    async def upcoming(
        self, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[StoredOneShot]:
        """Return up to ``limit`` in order of when they fire, without the first ``offset``.

        Those being delivered are where they were before; dead ones are not among them. Raises
        TooManyError.
        """

    async def histogram(
        self, start: int, end: int, bins: int, most: int, which: Which = ALL
    ) -> Histogram:
        """Count in ``bins`` parts what fires before ``end``, of ``most`` agents at the most.

        Raises TooManyError.
        """

    async def attempts(
        self, now: int, limit: int, which: Which = ALL, offset: int = 0
    ) -> list[Attempt]:
        """Return up to ``limit`` ended deliveries, the newest first, without the first ``offset``.

        They are kept as long, and as many, as `nas_server.history` says.
        """

    async def counts(self, now: int, which: Which = ALL) -> Counts:
        """Count what is held. Raises TooManyError, of `ALL` never."""

    async def arm_error(self) -> StoreError | None:
        """Return why nothing more can be armed; None: it can be."""

    async def read(self, kind: str, key: str) -> Record | None:
        """Return a record."""

    async def write(self, kind: str, key: str, record: Record | None) -> None:
        """Keep a record in place of the one under its key; None removes it."""

    async def swap(self, kind: str, key: str, old: Record | None, record: Record | None) -> bool:
        """Keep a record in place of ``old``, None being none; return whether that was there."""

    async def scan(self, kind: str) -> dict[str, Record]:
        """Return all records of a kind by key, in order of their keys."""

    async def stop_accepting(self) -> None:
        """Leave what falls due from now on to other processes; what is leased stays so."""

    async def close(self) -> None:
        """Let go of the medium."""
