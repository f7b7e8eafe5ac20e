"""Small records in a NATS cluster, such as agents and keys."""

import json

from nas_server.store.base import Record
from nas_server.store.jetstream.job_record import text_of, token
from nas_server.store.jetstream.link import JetStreamClient


class NatsKeyValue:
    """The records of one NAS."""

    def __init__(self, link: JetStreamClient) -> None:
        """Keep records through ``link``."""
        self._link = link

    async def read(self, kind: str, key: str) -> Record | None:
        """Return a record."""
        revision, data = await self._link.get(self._subject(kind, key))
        return _record(data) if revision else None

    async def write(self, kind: str, key: str, record: Record | None) -> None:
        """Keep a record in place of the one under its key; None removes it."""
        if record is None:
            await self._link.remove(self._link.names.state, self._subject(kind, key))
        else:
            await self._link.put(self._subject(kind, key), json.dumps(record).encode())

    async def scan(self, kind: str) -> dict[str, Record]:
        """Return all records of a kind by key, in order of their keys."""
        found = await self._link.all_of(self._link.names.subject("kept", token(kind), "*"))
        records = {
            text_of(subject.rpartition(".")[2]): _record(data)
            for subject, (_, data) in found.items()
        }
        return dict(sorted(records.items()))

    def _subject(self, kind: str, key: str) -> str:
        return self._link.names.subject("kept", token(kind), token(key))


def _record(data: bytes) -> Record:
    record: Record = json.loads(data)
    return record
