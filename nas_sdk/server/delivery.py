"""One delivery attempt: mint the token, call the agent, say how it ended."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
import attrs

from nas_sdk._version import __version__
from nas_sdk.retries import parse_retry_after
from nas_sdk.server import callbacks
from nas_sdk.server.accounts import Accounts, Agent
from nas_sdk.server.clock import Clock
from nas_sdk.server.keys import KeyRing
from nas_sdk.server.rules import OneShot, Outcome

TIMEOUT_S: Final = 30
ANSWER_LIMIT: Final = 16_384
_ENDS: Final = frozenset({*range(200, 300), 410})


@attrs.frozen
class Exchange:
    """A request to an agent and its answer, for whoever observes them."""

    url: str
    request_headers: Mapping[str, str]
    request_body: bytes
    status: int
    response_headers: Mapping[str, str]
    response_body: bytes


Observer = Callable[[Exchange], object]


def open_session(*, allow_private: bool) -> aiohttp.ClientSession:
    """Return a session for calls to agents. Must be closed by the caller."""
    connector = aiohttp.TCPConnector(
        limit=0,  # the relay has limits of its own, per agent
        # An agent's machine stops when it is idle: only a burst may reuse its connections.
        keepalive_timeout=2.0,
        socket_factory=None if allow_private else callbacks.public_socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        headers={"User-Agent": f"nas-server/{__version__}", "Accept": "application/json"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,  # the status decides; nothing an agent sends is unpacked
    )


class Caller:
    """Calls agents."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        accounts: Accounts,
        keys: KeyRing,
        *,
        issuer: str,
        clock: Clock,
        on_exchange: Observer | None = None,
    ) -> None:
        """Call through ``session``, in the name of ``issuer``; ``on_exchange`` sees each call."""
        self._session = session
        self._accounts = accounts
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._on_exchange = on_exchange

    async def call(self, one: OneShot) -> Outcome:
        """Deliver ``one`` once and return how that ended; whatever the agent does, no error."""
        agent = await self._accounts.find(one.agent)
        if agent is None or agent.revoked:
            return Outcome(ended=True, note="revoked: the agent is not provisioned any more")
        token = await self._token(agent)
        try:
            return await self._post(one, token)
        except TimeoutError:
            return Outcome(ended=False, note=f"timeout: no answer within {TIMEOUT_S} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(ended=False, note=f"unreachable: {_reason(error)}")

    async def _token(self, agent: Agent) -> str:
        now = self._clock()
        await self._keys.refresh(now)
        claims = {"iss": self._issuer, "aud": agent.audience, "purpose": "cron_fire"}
        return self._keys.sign(claims, now)

    async def _post(self, one: OneShot, token: str) -> Outcome:
        url = callbacks.fire_url(one.callback_url)
        body = json.dumps({"job_id": one.job_id, "fire_at": one.fire_at}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as response:
            answer = await _start_of(response)
        if self._on_exchange is not None:
            sent = response.request_info.headers
            self._on_exchange(Exchange(url, sent, body, response.status, response.headers, answer))
        return self._judge(response)

    def _judge(self, response: aiohttp.ClientResponse) -> Outcome:
        if response.status in _ENDS:
            return Outcome(ended=True, note=str(response.status))
        wait = parse_retry_after(response.headers, self._clock() / 1_000)
        retry_after_ms = None if wait is None else int(wait * 1_000)
        return Outcome(ended=False, note=str(response.status), retry_after_ms=retry_after_ms)


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    """Return the body as far as it is of use; the status has decided, so no failure matters."""
    answer = b""
    with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError, OSError):
        while len(answer) < ANSWER_LIMIT and (part := await response.content.readany()):
            answer += part
    return answer[:ANSWER_LIMIT]


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error) or "cannot connect"
    return type(error).__name__
