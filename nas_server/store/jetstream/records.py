"""Small records in a NATS cluster, such as agents and keys."""

import json

from nas_server.store.base import AGENT, Record
from nas_server.store.jetstream.batched_reads import BatchedReads
from nas_server.store.jetstream.job_record import text_of, token
from nas_server.store.jetstream.link import ConflictError, JetStreamClient


class NatsKeyValue:
    """The records of one NAS."""

    def __init__(self, link: JetStreamClient, batched: BatchedReads) -> None:
        """Keep records through ``link``; those of agents are read by ``batched``."""
        self._link = link
        self._batched = batched

    async def read(self, kind: str, key: str) -> Record | None:
        """Return a record."""
        # A replica may not have heard yet of a record that was removed.
        reads = self._batched if kind == AGENT else self._link
        return _record(*await reads.get(self._subject(kind, key)))

    async def write(self, kind: str, key: str, record: Record | None) -> None:
        """Keep a record in place of the one under its key; None removes it."""
        if record is None:
            await self._link.remove(self._link.names.state, self._subject(kind, key))
        else:
            await self._link.put(self._subject(kind, key), json.dumps(record).encode())

    async def swap(self, kind: str, key: str, old: Record | None, record: Record | None) -> bool:
        """Keep a record in place of ``old``; return whether that was there."""
        subject = self._subject(kind, key)
        revision, data = await self._link.get(subject)
        if _record(revision, data) != old:
            return False
        try:
            kept = await self._link.put(subject, json.dumps(record).encode(), revision=revision)
        except ConflictError:
            return False
        if record is None:  # a put is conditional, a removal is not
            await self._link.remove(self._link.names.state, subject, kept)
        return True

    async def scan(self, kind: str) -> dict[str, Record]:
        """Return all records of a kind by key, in order of their keys."""
        found = await self._link.all_of(self._link.names.subject("kept", token(kind), "*"))
        records = {
            text_of(subject.rpartition(".")[2]): record
            for subject, kept in found.items()
            if (record := _record(*kept)) is not None
        }
        return dict(sorted(records.items()))

    def _subject(self, kind: str, key: str) -> str:
        return self._link.names.subject("kept", token(kind), token(key))


def _record(revision: int, data: bytes) -> Record | None:
    record: Record | None = json.loads(data) if revision else None
    return record
