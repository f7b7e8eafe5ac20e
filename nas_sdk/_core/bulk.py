"""Many calls at once: bounded, in order, one outcome per item."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import attrs

from ..errors import IdentityRejectedError, NasError, TokenError, UnauthorizedError
from . import operations
from .config import ClientSettings
from .deadlines import Deadline
from .operations import Call
from .retry import is_put_off

if TYPE_CHECKING:
    from .._generated.models import ProvisionResult
    from .._generated.options import ProvisionOptions
    from .events import ResponseEvent

Progress = Callable[[int, int], object]
"""Called as `(done, total)` after each item."""

_FATAL = (TokenError, UnauthorizedError, IdentityRejectedError)


@attrs.frozen
class Arm:
    """One item of `provision_many`, with the arguments of `provision`."""

    job_id: str
    fire_at: str | datetime
    agent_callback_url: str
    dedup_key: str | None = None
    options: ProvisionOptions = attrs.field(factory=dict, hash=False)  # type: ignore[assignment]  # an empty one


@attrs.frozen
class BulkResult:
    """What became of one item: `error` is None on success.

    `request` is the item as it was given, `result` what the single call returns (None for a
    cancel); `attempts` requests were sent for it in `elapsed` seconds.
    """

    request: Arm | str
    result: ProvisionResult | None = None
    error: NasError | None = None
    attempts: int = 0
    elapsed: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the call succeeded."""
        return self.error is None

    @property
    def job_id(self) -> str:
        """The job the item was about."""
        return self.request if isinstance(self.request, str) else self.request.job_id


class Item:
    """One item while it is worked on."""

    def __init__(self, batch: Batch, index: int) -> None:
        self._batch = batch
        self._index = index
        self.deadline = batch.deadline

    def call(self) -> Call[Any]:
        """What to send. Raises the error that stopped the batch, or InvalidRequestError."""
        if self._batch.fatal is not None:
            raise self._batch.fatal
        return self._batch.encode(self._batch.requests[self._index])

    def done(self, result: Any, cost: ResponseEvent | None) -> None:
        """Note a success, and what it has cost."""
        assert cost is not None
        self._settle(result=result, attempts=cost.attempts, elapsed=cost.elapsed)

    def failed(self, error: NasError) -> None:
        """Note a failure; one that affects every item stops the batch."""
        if error is self._batch.fatal:
            self._settle(error=error)
            return
        if isinstance(error, _FATAL) or self._batch.is_put_off(error):
            self._batch.fatal = error
        self._settle(error=error, attempts=error.attempts, elapsed=error.elapsed)

    def _settle(self, **what: Any) -> None:
        request = self._batch.requests[self._index]
        self._batch.results[self._index] = BulkResult(request, **what)


class Batch:
    """The items that are left, shared by all workers: each iterates over it."""

    def __init__(
        self, requests: list[Any], encode: Callable[[Any], Call[Any]], settings: ClientSettings
    ) -> None:
        self.requests = requests
        self.encode = encode
        self.results: list[BulkResult | None] = [None] * len(requests)
        self.fatal: NasError | None = None
        self.deadline = Deadline(settings.clock, settings.options.deadline)
        self.policy = settings.policy
        self._left = iter(range(len(requests)))

    @classmethod
    def of_arms(cls, arms: Iterable[Arm], settings: ClientSettings) -> Batch:
        """The calls of `provision_many`. Raises TypeError for an item that is no `Arm`."""
        requests = list(arms)
        for request in requests:
            if not isinstance(request, Arm):
                raise TypeError(f"provision_many takes Arm items, not {type(request).__name__}")
        return cls(requests, _encode_arm, settings)

    @classmethod
    def of_cancels(cls, job_ids: Iterable[str], settings: ClientSettings) -> Batch:
        """The calls of `cancel_many`."""
        if isinstance(job_ids, str):
            raise TypeError("cancel_many takes many job ids, not one text")
        return cls(list(job_ids), operations.cancel, settings)

    def __len__(self) -> int:
        return len(self.requests)

    def __iter__(self) -> Iterator[Item]:
        for index in self._left:  # shared: a range's iterator gives each number once
            yield Item(self, index)

    def is_put_off(self, error: NasError) -> bool:
        """Whether NAS asks to be left alone for longer than this batch waits."""
        return is_put_off(error, self.deadline.left(), self.policy)

    def stop(self) -> None:
        """Hand out no more items, and let those under way end soon."""
        self.deadline.end()
        for _ in self._left:  # by taking them, as every worker has this iterator by now
            pass

    def outcomes(self) -> list[BulkResult]:
        """One per item, in their order, once all are settled."""
        return [outcome for outcome in self.results if outcome is not None]


def _encode_arm(arm: Arm) -> Call[ProvisionResult]:
    fire = arm.job_id, arm.fire_at, arm.agent_callback_url, arm.dedup_key
    return operations.provision(*fire, **arm.options)


def run_threads(
    batch: Batch, one: Callable[[Item], None], width: int, on_progress: Progress | None
) -> list[BulkResult]:
    """Work off the batch in up to `width` threads; progress is told in this one.

    A single item needs no other thread, and while the interpreter ends there may be none.
    Whatever ends this early, such as Ctrl-C, comes through within a second.
    """
    # Each entry wakes this thread, which then contends with the workers: there is one an item
    # where progress is told, and otherwise one a worker.
    finished: SimpleQueue[BaseException | None] = SimpleQueue()
    work_off = partial(_work, batch, one, finished, on_progress is not None)
    workers: list[threading.Thread] = []
    count = min(width, len(batch)) if len(batch) > 1 else 0
    try:
        for _ in range(count):
            # A copy of the context each, so that traces of the calls have their parent.
            work = partial(copy_context().run, work_off)
            workers.append(threading.Thread(target=work, name="nas-sdk", daemon=True))
            try:
                workers[-1].start()
            except RuntimeError:  # no more threads: those there are do it all, or this one
                workers.pop()
                break
        if not workers:
            copy_context().run(work_off)
        entries = len(batch) if on_progress else len(workers) or 1
        for done in range(1, entries + 1):
            crash = finished.get()
            if crash is not None:
                raise crash
            if on_progress is not None:
                on_progress(done, len(batch))
    finally:
        batch.stop()
        give_up = time.monotonic() + batch.policy.stop
        for worker in workers:
            with suppress(RuntimeError):  # it was interrupted before this one began
                worker.join(max(0.0, give_up - time.monotonic()))
    return batch.outcomes()


def _work(
    batch: Batch,
    one: Callable[[Item], None],
    finished: SimpleQueue[BaseException | None],
    each: bool,
) -> None:
    try:
        for item in batch:
            one(item)
            if each:
                finished.put(None)
        if not each:
            finished.put(None)
    except BaseException as crash:
        finished.put(crash)


async def run_tasks(
    batch: Batch, one: Callable[[Item], Awaitable[None]], width: int, on_progress: Progress | None
) -> list[BulkResult]:
    """The same in up to `width` tasks of the running event loop."""
    import anyio

    done = 0

    async def work() -> None:
        nonlocal done
        for item in batch:
            await one(item)
            done += 1
            if on_progress is not None:
                on_progress(done, len(batch))

    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(min(width, len(batch))):
                tasks.start_soon(work)
    except BaseExceptionGroup as crashes:
        raise crashes.exceptions[0] from None
    return batch.outcomes()
