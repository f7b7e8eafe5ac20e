"""Alarms set in a NATS cluster, and those delivered to this process and not acknowledged yet.

The cluster keeps the time of every alarm and delivers each one that is due to one process. A
process that does not acknowledge it within the hold time is taken for dead, and another gets it.
"""

import asyncio
import contextlib
import heapq
import logging
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs
from nats.aio.msg import Msg

from nas_server.logs import log_event
from nas_server.policy import JetStreamPolicy
from nas_server.store.base import StoreError
from nas_server.store.jetstream.job_record import Alarm
from nas_server.store.jetstream.link import NATS_ERRORS, JetStreamClient
from nas_server.store.jetstream.pull import Pull

DEFER_AT_ONCE: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = 7_258_118_400_000
"""The year 2200: the cluster counts nanoseconds in 64 bits, which end in 2262."""


@attrs.define(eq=False)
class PendingAlarm:
    """An alarm that was delivered to this process."""

    alarm: Alarm
    message: Msg
    wake_ms: int
    in_progress: bool = False
    """Being looked after right now."""

    @property
    def order(self) -> tuple[int, str, str, str]:
        """What comes first is looked after first."""
        return self.wake_ms, self.alarm.agent, self.alarm.job_id, self.alarm.id

    def is_due(self, now: int) -> bool:
        """Tell whether it is to be worked on."""
        return self.wake_ms <= now and not self.in_progress


class Alarms:
    """The alarms of one cluster, as one process sees them."""

    def __init__(self, link: JetStreamClient) -> None:
        """Set alarms through ``link``; after `start`, take those that are due, too."""
        self._link = link
        self._policy = link.policy
        self._pending: dict[str, PendingAlarm] = {}
        self._leased: set[str] = set()
        """Those whose fires are being delivered, here or elsewhere: an agent that hangs would
        fill the room with them."""
        self._expect: Callable[[int], object] = lambda _: None
        self._pull: Pull | None = None

    def listen(self, expect: Callable[[int], object]) -> None:
        """Have ``expect`` called with the time at which an alarm that came in needs attention."""
        self._expect = expect

    async def start(self) -> None:
        """Take alarms from now on until `close`."""
        self._pull = Pull(
            self._link,
            lambda: self._policy.room - self._waiting(),
            self.receive,
            gone=lambda: self._expect(0),  # whoever looks is told then
        )
        await self._pull.start()

    async def stop_accepting(self) -> None:
        """Take no more, and hand back what waits here; not what is being delivered."""
        if self._pull is not None:
            await self._pull.close()
            self._pull = None
        waiting = self._pending.keys() - self._leased
        with contextlib.suppress(*NATS_ERRORS):
            for name in waiting:
                if (pending := self._pending.pop(name, None)) is not None:
                    await pending.message.nak()

    async def close(self) -> None:
        """Take no more, and hand back all that is here."""
        self._leased.clear()
        await self.stop_accepting()

    def _waiting(self) -> int:
        return len(self._pending) - len(self._leased)

    async def set(self, alarm: Alarm, now: int) -> None:
        """Have ``alarm`` delivered shortly before its time; at once when that is near."""
        target = self._link.names.subject("due", alarm.name)
        at = min(alarm.wake_ms - self._policy.lead_ms, _LAST_MS)
        if at <= now:
            await self._link.ask(target, alarm.encode())
        else:
            headers = {"Nats-Schedule": f"@at {_instant(at)}", "Nats-Schedule-Target": target}
            await self._link.ask(self._subject(alarm.name), alarm.encode(), headers)

    async def drop(self, alarm_id: str) -> None:
        """Remove an alarm if that is easy; one that is delivered all the same is harmless."""
        if await self.acknowledge_here(alarm_id):
            return
        with contextlib.suppress(StoreError):
            await self._link.remove(self._link.names.alarms, self._subject(f"{alarm_id}-0"))

    def _subject(self, name: str) -> str:
        return self._link.names.subject("at", name)

    async def acknowledge(self, pending: PendingAlarm) -> None:
        """Acknowledge an alarm. Should the cluster not hear of it, it is delivered again."""
        self._pending.pop(pending.alarm.id, None)
        self._leased.discard(pending.alarm.id)
        self._look()
        with contextlib.suppress(*NATS_ERRORS):
            await pending.message.ack()

    async def acknowledge_here(self, alarm_id: str) -> bool:
        """Acknowledge an alarm if it is here; return whether it was."""
        if (pending := self._pending.get(alarm_id)) is None:
            return False
        await self.acknowledge(pending)
        return True

    def reschedule_here(self, alarm_id: str | None, wake_ms: int) -> None:
        """Work on an alarm again at that time, if it is here."""
        if alarm_id is not None and (pending := self._pending.get(alarm_id)) is not None:
            self.reschedule(pending, wake_ms)

    def reschedule(self, pending: PendingAlarm, wake_ms: int, *, leased: bool = False) -> None:
        """Work on an alarm again at that time; until then it may be ``leased``."""
        pending.in_progress, pending.wake_ms = False, wake_ms
        if leased and pending.alarm.id in self._pending:
            self._leased.add(pending.alarm.id)
            self._look()
        else:
            self._leased.discard(pending.alarm.id)

    def _look(self) -> None:
        if self._pull is not None:
            self._pull.look()

    async def receive(self, message: Msg) -> None:
        """Take what the cluster hands out."""
        try:
            alarm = Alarm.decode(message.data)
        except (ValueError, TypeError) as error:  # perhaps for a newer server: it comes again
            log_event("alarm_unreadable", level=logging.ERROR, reason=type(error).__name__)
            return
        known = self._pending.setdefault(alarm.id, PendingAlarm(alarm, message, alarm.wake_ms))
        known.message = message
        if not known.in_progress:  # whoever had a lease may have handed it back
            known.wake_ms = min(known.wake_ms, alarm.wake_ms)
            self._expect(known.wake_ms)

    def take(
        self, now: int, limit: int, under_way: Mapping[str, int] | None, most: int | None
    ) -> list[PendingAlarm]:
        """Take what is due, earliest first, at most ``limit``.

        An agent that has ``most`` deliveries ``under_way`` gets no more.
        """
        load = Counter(under_way)
        taken: list[PendingAlarm] = []
        due = [(each.order, each) for each in self._pending.values() if each.is_due(now)]
        heapq.heapify(due)
        while due and len(taken) < limit:
            _, pending = heapq.heappop(due)
            if most is None or load[pending.alarm.agent] < most:
                load[pending.alarm.agent] += 1
                pending.in_progress = True
                taken.append(pending)
        return taken

    async def make_room(self, now: int, busy: Collection[str]) -> None:
        """Have some that are due for ``busy`` agents come again later, if they fill the room."""
        if not busy or 2 * self._waiting() < self._policy.room:
            return
        waiting = [
            pending
            for name, pending in self._pending.items()
            if pending.is_due(now) and pending.alarm.agent in busy and name not in self._leased
        ]
        if 2 * len(waiting) < self._policy.room:
            return
        await asyncio.gather(*(self.defer(pending, now) for pending in waiting[-DEFER_AT_ONCE:]))

    async def defer(self, pending: PendingAlarm, now: int) -> None:
        """Have an alarm delivered again later; each time it is of no use, twice as late."""
        try:
            await self.set(_deferred(pending.alarm, now, self._policy), now)
        except StoreError as error:
            log_event("alarm_not_deferred", level=logging.WARNING, reason=str(error))
        else:
            await self.acknowledge(pending)

    def next_due(self, busy: Collection[str] = ()) -> int | None:
        """Return when an alarm next needs attention, those of ``busy`` agents aside."""
        wakes = (
            pending.wake_ms
            for pending in self._pending.values()
            if not pending.in_progress and pending.alarm.agent not in busy
        )
        return min(wakes, default=None)

    def first_due(self, now: int) -> int | None:
        """Return when the first of those that wait here for attention needed it."""
        wakes = (each.wake_ms for name, each in self._pending.items() if name not in self._leased)
        return min((wake for wake in wakes if wake <= now), default=None)

    def __len__(self) -> int:
        """How many are here."""
        return len(self._pending)

    def not_due(self, now: int) -> int:
        """Count the alarms that need no attention yet."""
        return sum(r.wake_ms > now or n in self._leased for n, r in self._pending.items())


def _deferred(alarm: Alarm, now: int, policy: JetStreamPolicy) -> Alarm:
    wait = min(policy.defer_ms << min(alarm.deferred, 10), policy.defer_max_ms)
    spread = int(wait * (0.5 + random.random() / 2))  # noqa: S311 - not for secrets
    return attrs.evolve(alarm, wake_ms=now + spread, deferred=alarm.deferred + 1)


def _instant(ms: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
