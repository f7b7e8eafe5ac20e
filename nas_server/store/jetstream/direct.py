"""Messages of a stream as any replica has them, which may be a little behind."""

import asyncio
import contextlib
import json
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

AWAY: Final = (
    nats.errors.TimeoutError,
    nats.errors.NoRespondersError,
    nats.errors.OutboundBufferLimitError,
    OSError,
)
"""What says that a server is away: ask again. A replica that is behind counts as that, too."""

_ENDED: Final = (nats.errors.ConnectionClosedError, TypeError)
"""What the client raises as a connection ends; the latter is asyncio's, from Python 3.12 on."""


async def direct(
    client: Client, stream: str, question: dict[str, Any], try_s: float
) -> tuple[list[tuple[str, int, bytes]], str, dict[str, str]]:
    """Ask any replica for messages: subject, revision and content of each, a status, headers.

    Raises nats-py's TimeoutError after ``try_s`` of silence.
    """
    parts: list[Msg] = []
    more = asyncio.Event()

    async def take(part: Msg) -> None:
        parts.append(part)
        more.set()

    inbox = client.new_inbox()
    try:
        answers = await client.subscribe(inbox, cb=take)
        try:
            data = json.dumps(question).encode()
            await client.publish(f"$JS.API.DIRECT.GET.{stream}", data, reply=inbox)
            while not parts or (status := status_of(parts[-1])) is None:
                more.clear()
                async with asyncio.timeout(try_s):  # what is on a disk comes slowly
                    await more.wait()
        finally:
            with contextlib.suppress(*_ENDED):
                await answers.unsubscribe()
    except (TimeoutError, *_ENDED):
        raise nats.errors.TimeoutError from None  # which has words
    end = parts.pop().headers or {}
    found = [_record(part) for part in parts]
    told = [(part.headers or {})["Nats-Last-Sequence"] for part in parts]
    if status == "204":
        told.append(end["Nats-Last-Sequence"])
    if [*map(int, told)] != [0, *(revision for _, revision, _ in found)][: len(told)]:
        raise nats.errors.TimeoutError  # some went with a connection that was lost meanwhile
    return found, status, end


def _record(part: Msg) -> tuple[str, int, bytes]:
    headers = part.headers or {}
    return headers["Nats-Subject"], int(headers["Nats-Sequence"]), part.data


def status_of(message: Msg) -> str | None:
    """Return the status a message from JetStream consists of; None for one with content."""
    return None if message.headers is None else message.headers.get("Status")


def words(error: Exception) -> str:
    """Return what an error of the client says."""
    return str(error).removeprefix("nats: ") or type(error).__name__
