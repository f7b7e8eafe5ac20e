"""Questions to a NATS cluster: records that change by compare-and-set, and messages.

Every question goes to the leader of a stream, is asked again while there is none, and is
safe to ask twice.
"""

import asyncio
import base64
import contextlib
import json
import secrets
from typing import Any, Final

import attrs
import nats.errors
from nats.aio.client import Client

from nas_server.policy import JETSTREAM, JetStreamPolicy
from nas_server.store.base import GoneError, StorageFullError, StoreError
from nas_server.store.jetstream.direct import AWAY, direct, words

PAUSE_S: Final = 0.05
PAGE: Final = 1_000
"""The server answers with the last messages of at most 1 024 subjects at once."""

NO_MESSAGE: Final = 10037
_CHANGED: Final = frozenset({10071, 10164})
"""Not at the revision expected; being changed right now."""
_STORING: Final = 10158
"""The same message is being stored right now."""
_FULL: Final = frozenset({10002, 10023, 10047})
"""The limits of the account, of the server, or what others reserved, leave no room."""
_NOT_STORED: Final = 10077
_BEYOND_LIMITS: Final = ("maximum bytes exceeded", "maximum messages exceeded")
_AWAY_CODE: Final = 503
NATS_ERRORS: Final = (nats.errors.Error, OSError)
"""What the client raises when the connection does not do."""


Found = tuple[int, bytes]
"""A record's revision and content."""


class ConflictError(Exception):
    """The record is not at the revision that was expected."""


class _TooManyError(Exception):
    """More records match than a server gives at once."""


class AnswerError(StoreError):
    """The cluster refused."""

    def __init__(self, error: dict[str, Any], *, repeated: bool) -> None:
        """Keep the ``error`` of an answer; ``repeated`` when it was not asked the first time."""
        super().__init__(f"NATS refused: {error.get('description', 'for no reason given')}")
        self.code = int(error.get("err_code", 0))
        self.repeated = repeated


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
        """The stream of alarms: those set, and those that are due and not acknowledged."""
        return f"{self.name}_ALARMS"

    @property
    def history(self) -> str:
        """The stream of attempts."""
        return f"{self.name}_HISTORY"

    def subject(self, *tokens: str) -> str:
        """Return a subject of this NAS."""
        return ".".join((self.name, *tokens))


class JetStreamClient:
    """Asks one cluster."""

    def __init__(self, client: Client, names: Names, policy: JetStreamPolicy = JETSTREAM) -> None:
        """Ask through ``client``, which is connected and is somebody else's to close."""
        self.client = client
        self.names = names
        self.policy = policy

    def patience(self) -> "Patience":
        """Return how long a question that begins now is repeated."""
        return Patience(self.policy.patience_s)

    def is_connected(self) -> bool:
        """Tell whether there is a connection now. GoneError when there will be none any more."""
        if self.client.is_closed:
            why = words(self.client.last_error or ConnectionError("closed"))
            raise GoneError(
                f"NATS ended the connection for good, as when its users change ({why}): see that "
                "the store's URL still holds, and start nas-server again"
            )
        return bool(self.client.is_connected)

    async def close(self) -> None:
        """Hang up. When the connection was lost, what waited to be sent is lost, too."""
        # From Python 3.12 on, asyncio answers such a write with a TypeError.
        with contextlib.suppress(TypeError, *NATS_ERRORS):
            await self.client.close()

    async def get(self, subject: str) -> Found:
        """Return a record, or the newest of those that match; 0 and nothing without any."""
        message = await self._newest(subject)
        return int(message.get("seq", 0)), base64.b64decode(message.get("data", ""))

    async def newest(self, stream: str, subject: str) -> int:
        """Return the revision of the newest message of a stream that matches; 0 without any."""
        return int((await self._newest(subject, stream)).get("seq", 0))

    async def _newest(self, subject: str, stream: str = "") -> dict[str, Any]:
        question = {"last_by_subj": subject}
        try:
            found = await self.api(f"STREAM.MSG.GET.{stream or self.names.state}", question)
        except AnswerError as error:
            if error.code == NO_MESSAGE:
                return {}
            raise
        message: dict[str, Any] = found["message"]
        return message

    async def put(
        self, subject: str, data: bytes, *, revision: int | None = None, ttl_s: int | None = None
    ) -> int:
        """Write a record and return its new revision.

        With ``revision``, only in place of that one (0: of none), else ConflictError. With
        ``ttl_s``, the record is gone again after that time.
        """
        # By the id, a write that is repeated because its answer was lost is known to be done.
        name = secrets.token_hex(10)
        headers = {"Nats-Msg-Id": name}
        if revision is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(revision)
        if ttl_s is not None:
            headers["Nats-TTL"] = f"{ttl_s}s"
        try:
            return int((await self.ask(subject, data, headers))["seq"])
        except AnswerError as error:
            if error.code not in _CHANGED:
                raise
            # A server on its own looks at the revision before it looks at the id.
            message = await self._newest(subject) if error.repeated else {}
            if name.encode() in base64.b64decode(message.get("hdrs", "")):
                return int(message["seq"])
            raise ConflictError from None

    async def remove(self, stream: str, subject: str, revision: int | None = None) -> None:
        """Remove what a stream keeps under a subject, if there is anything.

        With ``revision``, nothing newer than that.
        """
        newer = {} if revision is None else {"seq": revision + 1}
        await self.api(f"STREAM.PURGE.{stream}", {"filter": subject, **newer})

    async def all_of(self, pattern: str) -> dict[str, Found]:
        """Return the records that match, by subject, no answered write left out.

        Any replica gives them; the leader says how new they have to be.
        """
        patience = self.patience()
        while True:
            newest, _ = await self.get(pattern)
            if not newest:
                return {}
            try:
                return await self._as_of(newest, pattern)
            except AWAY as error:
                await patience.wait(words(error))

    async def _as_of(self, newest: int, pattern: str) -> dict[str, Found]:
        try:
            return await self.last(newest, [pattern])
        except _TooManyError:
            subjects = await self._subjects(newest, pattern)
        found: dict[str, Found] = {}
        for start in range(0, len(subjects), PAGE):
            found |= await self.last(newest, subjects[start : start + PAGE])
        return found

    async def count(self, pattern: str) -> int:
        """Return how many records match."""
        beyond = 2**31  # a page that is empty, but comes with the total
        question = {"subjects_filter": pattern, "offset": beyond}
        answer = await self.api(f"STREAM.INFO.{self.names.state}", question)
        return int(answer.get("total", 0))

    async def _subjects(self, newest: int, pattern: str) -> list[str]:
        found: list[str] = []
        while True:
            question = {"subjects_filter": pattern, "offset": len(found)}
            answer = await self.api(f"STREAM.INFO.{self.names.state}", question)
            if int(answer["state"]["last_seq"]) < newest:
                raise nats.errors.NoRespondersError
            page = answer["state"].get("subjects") or {}
            found += page
            if not page or len(found) >= int(answer["total"]):
                return found

    async def last(self, newest: int, patterns: list[str]) -> dict[str, Found]:
        """Return the records that match, as any replica has them, by subject.

        Raises NoRespondersError when that replica does not have revision ``newest`` yet, or
        not all went into its answer.
        """
        messages, status, end = await direct(
            self.client, self.names.state, {"multi_last": patterns}, self.policy.try_s
        )
        if status == "413":
            raise _TooManyError
        old = status != "204" or int(end["Nats-UpTo-Sequence"]) < newest
        if old or int(end["Nats-Num-Pending"]):
            raise nats.errors.NoRespondersError
        return {name: (revision, data) for name, revision, data in messages}

    async def api(self, operation: str, question: dict[str, Any]) -> dict[str, Any]:
        """Ask JetStream itself; AnswerError or StoreError."""
        return await self.ask(f"$JS.API.{operation}", json.dumps(question).encode())

    async def ask(
        self, subject: str, data: bytes, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Send a message and return the answer; AnswerError, or StoreError when none comes."""
        patience = self.patience()
        while True:
            if not self.is_connected():  # nats-py keeps what it could not send for ever
                await patience.wait("the connection is lost")
                continue
            try:
                reply = await self.client.request(
                    subject, data, timeout=self.policy.try_s, headers=headers
                )
            except (*AWAY, TypeError) as error:  # asyncio's, in the moment of a connection's end
                await patience.wait(words(error))
                continue
            answer: dict[str, Any] = json.loads(reply.data)
            if "error" not in answer:
                return answer
            refusal = AnswerError(answer["error"], repeated=patience.tested)
            if _is_full(answer["error"]):
                raise StorageFullError
            if answer["error"].get("code") != _AWAY_CODE and refusal.code != _STORING:
                raise refusal
            await patience.wait(str(refusal))


def _is_full(error: dict[str, Any]) -> bool:
    code = error.get("err_code")
    return code in _FULL or (code == _NOT_STORED and error.get("description", "") in _BEYOND_LIMITS)


class Patience:
    """Waits between tries, for so long in all."""

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + seconds
        self.tested = False
        """Whether there was anything to wait for yet."""

    async def wait(self, why: str) -> None:
        """Wait a moment; StoreError when there was enough of that."""
        if self._loop.time() >= self._deadline:
            raise StoreError(f"the NATS cluster does not answer: {why}")
        self.tested = True
        await asyncio.sleep(PAUSE_S)
