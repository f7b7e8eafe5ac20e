"""Where one-shots and accounts are kept: the stores, by their URL."""

from pathlib import Path

from nas_server.store.base import Counts, Record, Store, StoreError, TooManyError, Which
from nas_server.store.memory import MemoryStore
from nas_server.store.sqlite.store import SqliteStore

__all__ = [
    "Counts",
    "MemoryStore",
    "Record",
    "SqliteStore",
    "Store",
    "StoreError",
    "TooManyError",
    "Which",
    "open_store",
]


async def open_store(url: str, *, serving: bool, create: bool = True) -> Store:
    """Open the store a URL names: ``sqlite:PATH``, or ``nats://HOST:PORT,HOST:PORT,…``.

    ``serving`` is for the process that delivers; without it only agents and keys are read
    and changed. Without ``create``, the store must be there. Raises StoreError with a message
    for a person.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        return await SqliteStore.open(Path(rest), serving=serving, create=create)
    if scheme in ("nats", "tls"):
        return await _open_jetstream(url, serving=serving, create=create)
    raise StoreError(f"unknown store {scheme!r}: write sqlite:PATH or nats://HOST:PORT,…")


async def _open_jetstream(url: str, *, serving: bool, create: bool) -> Store:
    try:
        from nas_server.store.jetstream.store import JetStreamStore
    except ModuleNotFoundError as error:
        raise StoreError(
            f"no {error.name} here: install nas-sdk with its extra 'jetstream'"
        ) from None
    return await JetStreamStore.open(url, serving=serving, create=create)
