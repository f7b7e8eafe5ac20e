"""Questions to a NATS cluster: records that change by compare-and-set, and messages.

Every question goes to the leader of a stream, is asked again while there is none, and is
safe to ask twice.
"""

import asyncio
import base64
import json
import secrets
from typing import Any, Final

import attrs
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from nas_sdk.server.store.base import StoreError

TRY_S: Final = 2.0
PAUSE_S: Final = 0.05
PATIENCE_S: Final = 10.0
"""How long a question is repeated: an election takes a few seconds."""
PAGE: Final = 1_000
"""The server answers with the last messages of at most 1 024 subjects at once."""

NO_MESSAGE: Final = 10037
_CHANGED: Final = frozenset({10071, 10164})
"""Not at the revision expected; being changed right now."""
_STORING: Final = 10158
"""The same message is being stored right now."""
_AWAY_CODE: Final = 503
_AWAY: Final = (
    nats.errors.TimeoutError,
    nats.errors.NoRespondersError,
    nats.errors.OutboundBufferLimitError,
    OSError,
)


class ConflictError(Exception):
    """The record is not at the revision that was expected."""


class AnswerError(StoreError):
    """The cluster refused."""

    def __init__(self, error: dict[str, Any]) -> None:
        """Keep the ``error`` of an answer."""
        super().__init__(f"NATS refused: {error.get('description', 'for no reason given')}")
        self.code = int(error.get("err_code", 0))


@attrs.frozen
class Names:
    """How the streams and subjects of one NAS are called; several may share a cluster."""

    name: str

    @property
    def state(self) -> str:
        """The stream of records: one message for each subject, the newest."""
        return f"{self.name}_STATE"

    @property
    def alarms(self) -> str:
        """The stream of alarms: those set, and those that rang and are not answered."""
        return f"{self.name}_ALARMS"

    def subject(self, *tokens: str) -> str:
        """Return a subject of this NAS."""
        return ".".join((self.name, *tokens))


class Link:
    """Asks one cluster."""

    def __init__(self, client: Client, names: Names) -> None:
        """Ask through ``client``, which is connected and is somebody else's to close."""
        self.client = client
        self.names = names

    async def get(self, subject: str) -> tuple[int, bytes]:
        """Return a record's revision and content; 0 and nothing when there is none."""
        try:
            found = await self.api(f"STREAM.MSG.GET.{self.names.state}", {"last_by_subj": subject})
        except AnswerError as error:
            if error.code == NO_MESSAGE:
                return 0, b""
            raise
        message = found["message"]
        return int(message["seq"]), base64.b64decode(message.get("data", ""))

    async def put(
        self, subject: str, data: bytes, *, revision: int | None = None, ttl_s: int | None = None
    ) -> int:
        """Write a record and return its new revision.

        With ``revision``, only in place of that one (0: of none), else ConflictError. With
        ``ttl_s``, the record is gone again after that time.
        """
        # The id makes a repetition, after an answer was lost, the same write.
        headers = {"Nats-Msg-Id": secrets.token_hex(10)}
        if revision is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(revision)
        if ttl_s is not None:
            headers["Nats-TTL"] = f"{ttl_s}s"
        try:
            return int((await self.ask(subject, data, headers))["seq"])
        except AnswerError as error:
            if error.code in _CHANGED:
                raise ConflictError from None
            raise

    async def remove(self, stream: str, subject: str) -> None:
        """Remove what a stream keeps under a subject, if there is anything."""
        await self.api(f"STREAM.PURGE.{stream}", {"filter": subject})

    async def subjects(self, pattern: str) -> tuple[list[str], int]:
        """Return the subjects of the records that match, and the newest revision of any."""
        found: list[str] = []
        newest = 0
        while True:
            question = {"subjects_filter": pattern, "offset": len(found)}
            answer = await self.api(f"STREAM.INFO.{self.names.state}", question)
            page = answer["state"].get("subjects") or {}
            found += page
            newest = newest or int(answer["state"]["last_seq"])
            if not page or len(found) >= int(answer["total"]):
                return found, newest

    async def all_of(self, pattern: str) -> dict[str, tuple[int, bytes]]:
        """Return the records that match, by subject, no answered write left out."""
        patience = Patience()
        while True:
            subjects, newest = await self.subjects(pattern)
            try:
                pages = [
                    await self._page(subjects[start : start + PAGE], newest)
                    for start in range(0, len(subjects), PAGE)
                ]
            except _AWAY as error:
                await patience.wait(_words(error))
            else:
                return {subject: each for page in pages for subject, each in page.items()}

    async def _page(self, subjects: list[str], newest: int) -> dict[str, tuple[int, bytes]]:
        """Ask any replica; NoRespondersError when it lags behind ``newest``."""
        found: dict[str, tuple[int, bytes]] = {}
        inbox = self.client.new_inbox()
        answers = await self.client.subscribe(inbox)
        try:
            question = json.dumps({"multi_last": subjects}).encode()
            asked = f"$JS.API.DIRECT.GET.{self.names.state}"
            await self.client.publish(asked, question, reply=inbox)
            while (status := status_of(part := await answers.next_msg(timeout=TRY_S))) is None:
                headers = part.headers or {}
                found[headers["Nats-Subject"]] = int(headers["Nats-Sequence"]), part.data
        finally:
            await answers.unsubscribe()
        if status != "204" or int((part.headers or {})["Nats-UpTo-Sequence"]) < newest:
            raise nats.errors.NoRespondersError
        return found

    async def api(self, operation: str, question: dict[str, Any]) -> dict[str, Any]:
        """Ask JetStream itself; AnswerError or StoreError."""
        return await self.ask(f"$JS.API.{operation}", json.dumps(question).encode())

    async def ask(
        self, subject: str, data: bytes, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Send a message and return the answer; AnswerError, or StoreError when none comes."""
        patience = Patience()
        while True:
            try:
                reply = await self.client.request(subject, data, timeout=TRY_S, headers=headers)
            except _AWAY as error:
                await patience.wait(_words(error))
                continue
            answer: dict[str, Any] = json.loads(reply.data)
            if "error" not in answer:
                return answer
            refusal = AnswerError(answer["error"])
            if answer["error"].get("code") != _AWAY_CODE and refusal.code != _STORING:
                raise refusal
            await patience.wait(str(refusal))


class Patience:
    """Waits between tries, for so long in all."""

    def __init__(self, seconds: float = PATIENCE_S) -> None:
        """Start now."""
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + seconds

    async def wait(self, why: str) -> None:
        """Wait a moment; StoreError when there was enough of that."""
        if self._loop.time() >= self._deadline:
            raise StoreError(f"the NATS cluster does not answer: {why}")
        await asyncio.sleep(PAUSE_S)


def status_of(message: Msg) -> str | None:
    """Return the status a message from JetStream consists of; None for one with content."""
    return None if message.headers is None else message.headers.get("Status")


def _words(error: Exception) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__
