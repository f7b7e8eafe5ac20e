"""The relay: wakes when a one-shot is due, has it delivered, and keeps agents apart."""

import asyncio
import contextlib
import logging
import math
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server import budget
from nas_server.clock import NowMs
from nas_server.delivery.caller import Caller
from nas_server.logs import log_event
from nas_server.metrics import Metrics
from nas_server.policy import ServerConfig
from nas_server.store.base import GoneError, Store, StoreError, Which

T = TypeVar("T")


class Relay:
    """Delivers what is due from a store, each agent's fires beside those of the others."""

    def __init__(
        self,
        store: Store,
        caller: Caller,
        metrics: Metrics,
        *,
        clock: NowMs,
        settings: ServerConfig,
    ) -> None:
        """Call agents through ``caller`` as ``settings`` say."""
        self._policy = settings.delivery
        self._budget = settings.budget
        self._answer_ms = settings.answer_timeout_s * 1_000
        self._store = store
        self._caller = caller
        self._metrics = metrics
        self._clock = clock
        self._per_agent = settings.per_agent
        self._wake = asyncio.Event()
        self._asleep_until: float = math.inf
        self._stopping = False
        self._forced = False
        self._over = asyncio.Event()  # nothing is left that a stop is to wait for
        self._load: Counter[str] = Counter()
        self._tasks: dict[asyncio.Task[None], StoredOneShot] = {}
        self._running: asyncio.Task[None]

    def expect(self, wake_ms: int) -> None:
        """Wake by `wake_ms`, when a one-shot needs attention."""
        if wake_ms < self._asleep_until:
            self._wake.set()

    def look(self) -> None:
        """Look at the clock and the store at once; for clocks that are set by hand."""
        self._wake.set()

    @property
    def under_way(self) -> int:
        """How many deliveries are under way."""
        return len(self._tasks)

    def delivering(self, which: Which) -> int:
        """How many of the deliveries under way are of those."""
        return sum(which.fits(one.agent, one.job_id) for one in self._tasks.values())

    def start(self) -> None:
        """Deliver from now on until `stop`."""
        self._store.listen(self.expect)
        self._running = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            self._asleep_until = math.inf
            try:
                if self._room() <= 0:
                    await self._sleep(None)  # until a delivery ends
                elif not await self._begin_due():
                    await self._sleep(await self._store.next_due(self._full()))
            except GoneError:
                raise
            except Exception as error:  # a relay that stands still loses every fire
                log_event("relay_failed", level=logging.ERROR, error=True, reason=str(error))
                await asyncio.sleep(self._policy.look_s)

    async def until(self, stop: asyncio.Event) -> None:
        """Wait for ``stop``. Raises GoneError when the store is gone before."""
        told = asyncio.create_task(stop.wait())
        await asyncio.wait([told, self._running], return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            told.cancel()
            self._running.result()

    async def stop(self, grace_s: float) -> None:
        """Begin nothing more, let deliveries end for ``grace_s`` seconds, hand back the rest.

        After `force_stop` it waits for none of them.
        """
        self._stopping = True
        self._wake.set()
        await asyncio.wait([self._running])
        await self._store.stop_accepting()
        if self._tasks and not self._forced:
            self._over.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), grace_s)
        held, handed_back = dict(self._tasks), 0
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        try:
            await self._store.release(list(held.values()))
            handed_back = sum(task.cancelled() for task in held)
        except StoreError as error:  # their leases end them
            log_event("not_handed_back", level=logging.WARNING, reason=str(error))
        log_event("relay_stopped", handed_back=handed_back)

    def force_stop(self) -> None:
        """Have a `stop` that has begun wait no longer for deliveries."""
        self._forced = True
        self._over.set()

    async def _begin_due(self) -> bool:
        """Begin what is due; return whether there may be more."""
        most = min(self._policy.batch, self._room())
        due = await self._store.due(
            self._clock(),
            most,
            under_way=self._load,
            per_agent=budget.of_one(self._per_agent, self._budget),
        )
        for one in due:
            self._load[one.agent] += 1
            task = asyncio.create_task(self._deliver(one))
            self._tasks[task] = one
            task.add_done_callback(self._done)
        return len(due) == most

    def _room(self) -> int:
        """How many more deliveries there may be."""
        return budget.share(self._budget) - len(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._room() <= 0:
            self._wake.set()  # others wait for their turn
        agent = self._tasks.pop(task).agent
        if not self._tasks:
            self._over.set()
        if self._load[agent] >= budget.of_one(self._per_agent, self._budget):
            self._wake.set()  # more of this agent's may be due
        self._load[agent] -= 1
        if not self._load[agent]:
            del self._load[agent]

    def _full(self) -> list[str]:
        most = budget.of_one(self._per_agent, self._budget)
        return [agent for agent, load in self._load.items() if load >= most]

    async def _sleep(self, until_ms: int | None) -> None:
        self._asleep_until = math.inf if until_ms is None else until_ms
        share = budget.share(self._budget)  # with another, there may be room
        while not self._wake.is_set() and (left := self._asleep_until - self._clock()) > 0:
            if budget.share(self._budget) != share:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), min(left / 1_000, self._policy.look_s))

    async def _deliver(self, one: StoredOneShot) -> None:
        started = self._clock()
        self._metrics.began(started - one.not_before_ms if one.attempt == 1 else None)
        word = "handed_back"
        try:
            if self._is_stale(one, started):
                await self._store.release([one])
                self.expect(one.not_before_ms)
            elif (outcome := await self._called(one)) is None:
                word = "revoked"
                await self._drop(one)
            else:
                word = outcome.note.partition(":")[0]
                await self._settle(one, outcome, started)
        except Exception as error:  # what was not handed back comes again after its lease
            log_event("delivery_failed", level=logging.ERROR, error=True, reason=str(error))
        finally:
            self._metrics.ended(word)

    def _is_stale(self, one: StoredOneShot, now: int) -> bool:
        """Tell whether a lease came too late, or was slept over: its delivery could outlast it."""
        return one.lease_until_ms is not None and now > one.lease_until_ms - self._answer_ms

    async def _called(self, one: StoredOneShot) -> DeliveryResult | None:
        try:
            return await self._caller.call(one)
        except Exception:  # it never began: its turn comes again, and not a lease later
            await asyncio.sleep(self._policy.look_s)
            await self._store.release([one])
            self.expect(one.not_before_ms)
            raise

    async def _drop(self, one: StoredOneShot) -> None:
        # Nobody had it, so its key is not remembered: the agent may be back, and arm it again.
        await self._store.withdraw(one.agent, one.job_id, one.schedule_id, self._clock())
        reason = "the agent is revoked, or what armed it is no longer its credential"
        log_event("fire_dropped", agent=one.agent, job_id=one.job_id, reason=reason)

    async def _settle(self, one: StoredOneShot, outcome: DeliveryResult, started: int) -> None:
        now = self._clock()
        left = await self._settled(one, outcome)
        if left is not None and not left.dead:
            self.expect(left.wake_ms)
        log_event(
            "fire" if outcome.ended else "fire_failed",
            level=logging.INFO if outcome.ended else logging.WARNING,
            agent=one.agent,
            job_id=one.job_id,
            schedule_id=one.schedule_id,
            fire_at=one.fire_at,
            attempt=one.attempt,
            outcome=outcome.note,
            late_ms=started - one.not_before_ms,
            took_ms=now - started,
            dead=left is not None and left.dead,
        )

    async def _settled(self, one: StoredOneShot, outcome: DeliveryResult) -> StoredOneShot | None:
        """Note an outcome; a store that fails is tried again until the lease is over."""
        while True:
            now = self._clock()
            try:
                return await _whole(self._store.settle(one, outcome, now))
            except StoreError as error:
                if one.lease_until_ms is None or now >= one.lease_until_ms or _is_cancelled():
                    raise
                log_event("not_settled_yet", level=logging.WARNING, reason=str(error))
            try:
                await asyncio.sleep(self._policy.look_s)
            except asyncio.CancelledError:  # the end, and the last chance
                await self._store.settle(one, outcome, now)
                raise


def _is_cancelled() -> bool:
    """Tell whether this delivery is to end, though its cancellation was put off."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Do ``work`` to its end, whoever is cancelled: what an agent said is said only once."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if task.cancelled() or task.exception() is not None:
            raise
        return task.result()
