"""Attempts in a NATS cluster: a stream that forgets, written to beside the deliveries."""

import asyncio
import json
import logging
import secrets
from typing import Final

from nas_server import history
from nas_server.history import Attempt
from nas_server.logs import log_event
from nas_server.store.base import StoreError, Which
from nas_server.store.jetstream.direct import AWAY, direct, words
from nas_server.store.jetstream.job_record import token
from nas_server.store.jetstream.link import NATS_ERRORS, JetStreamClient

_FOUND: Final = {"204", "404"}


class NatsHistory:
    """The attempts of one NAS."""

    def __init__(self, link: JetStreamClient) -> None:
        """Keep attempts through ``link``."""
        self._link = link
        self._kept = link.policy.history
        self._most = link.policy.attempts
        self._turns = asyncio.Semaphore(link.policy.attempts_at_once)
        self._writing: set[asyncio.Task[None]] = set()
        self._full = False

    def add(self, attempt: Attempt) -> None:
        """Have an attempt kept soon. No delivery waits for it, or fails because of it."""
        was_full, self._full = self._full, len(self._writing) >= self._most
        if self._full:
            if not was_full:
                log_event(
                    "attempts_not_kept", level=logging.WARNING, reason=f"{self._most} wait already"
                )
            return
        task = asyncio.create_task(self._write(attempt))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, attempt: Attempt) -> None:
        data = json.dumps(attempt.to_record(), separators=(",", ":")).encode()
        headers = {"Nats-Msg-Id": secrets.token_hex(10)}  # so that a repetition adds nothing
        try:
            async with self._turns:
                await self._link.ask(self._subject(token(attempt.agent)), data, headers)
        except (*NATS_ERRORS, StoreError) as error:
            log_event("attempt_not_kept", level=logging.WARNING, reason=str(error))

    async def written(self) -> None:
        """Wait until what was added so far is kept, or is not going to be; a while at most."""
        if self._writing:
            await asyncio.wait(list(self._writing), timeout=self._link.policy.attempts_s)

    async def newest(self, now: int, limit: int, which: Which, offset: int) -> list[Attempt]:
        """Return up to ``limit`` attempts, the newest first, without the first ``offset``."""
        await self.written()
        agent, enough = which.agent, offset + limit
        subject = self._subject(">" if agent is None else token(agent))
        patience = self._link.patience()
        while newest := await self._link.newest(self._link.names.history, subject):
            # Among the newest of all none is missing: an agent's oldest go first. Those of one
            # agent may be anywhere.
            most = self._link.policy.attempts_read
            some = most if which.text else min(enough, most)
            first = max(1, newest - some + 1) if agent is None else 1
            try:
                found = await self._from(first, newest, subject)
            except AWAY as error:
                await patience.wait(words(error))
                continue
            fits = (attempt for attempt in found if which.fits(attempt.agent, attempt.job_id))
            recent = [attempt for attempt in fits if history.is_kept(attempt, now, self._kept)]
            return recent[::-1][offset:enough]
        return []

    async def _from(self, first: int, newest: int, subject: str) -> list[Attempt]:
        """Return the attempts from one revision to another, as any replica has them."""
        found: list[Attempt] = []
        while first <= newest:
            question = {"seq": first, "next_by_subj": subject, "batch": self._kept.per_agent}
            messages, status, _ = await direct(
                self._link.client, self._link.names.history, question, self._link.policy.try_s
            )
            if status not in _FOUND or not messages:
                raise TimeoutError  # this replica is behind
            found += [Attempt.from_record(json.loads(data)) for _, _, data in messages]
            first = messages[-1][1] + 1
        return found

    def _subject(self, agent: str) -> str:
        return self._link.names.subject("tried", agent)
