"""One delivery attempt: mint the token, call the agent, say how it ended."""

import asyncio
import contextlib
import json
import os
import ssl
from typing import Final

import aiohttp

from nas_sdk._core.operations import not_run
from nas_sdk._core.retry import parse_retry_after
from nas_sdk._core.schemas import fitting
from nas_sdk._version import __version__
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.accounts import Accounts, AgentAccount
from nas_server.clock import Clock
from nas_server.delivery import callbacks
from nas_server.keys import KeyRing

TIMEOUT_S: Final = 30
DRAIN_S: Final = 1
ANSWER_LIMIT: Final = 16_384


def open_session(*, allow_private: bool, timeout_s: float = TIMEOUT_S) -> aiohttp.ClientSession:
    """Return a session for calls to agents, which must be closed by the caller."""
    connector = aiohttp.TCPConnector(
        limit=0,  # the relay has limits of its own, per agent
        # An agent's machine stops when it is idle: only a burst may reuse its connections.
        keepalive_timeout=2.0,
        socket_factory=None if allow_private else callbacks.public_socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
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
    ) -> None:
        """Call through ``session``, in the name of ``issuer``."""
        self._session = session
        self._accounts = accounts
        self._keys = keys
        self._issuer = issuer
        self._clock = clock

    async def call(self, one: StoredOneShot) -> DeliveryResult | None:
        """Deliver ``one`` once and return how that ended; whatever the agent does, no error.

        None when there is nobody to deliver it to: its agent, or the credential that armed it,
        is disowned.
        """
        agent = await self._accounts.find(one.agent)
        if agent is None or not agent.honours(one):
            return None
        token = await self._token(agent)
        try:
            return await self._post(one, token)
        except TimeoutError:
            return DeliveryResult(ended=False, note="timeout: no answer in time")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return DeliveryResult(ended=False, note=f"unreachable: {_reason(error)}")

    async def _token(self, agent: AgentAccount) -> str:
        now = self._clock()
        await self._keys.refresh(now)
        claims = {"iss": self._issuer, "aud": agent.audience, "purpose": "cron_fire"}
        return self._keys.sign(claims, now)

    async def _post(self, one: StoredOneShot, token: str) -> DeliveryResult:
        url = callbacks.fire_url(one.callback_url)
        fire = {"job_id": one.job_id, "fire_at": one.fire_at}
        body = json.dumps({**fire, **fitting("FireRequest", one.members)}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as response:
            body = await _drain(response)
        return self._judge(response, body)

    def _judge(self, response: aiohttp.ClientResponse, body: bytes) -> DeliveryResult:
        wait = parse_retry_after(response.headers, self._clock() / 1_000)
        retry_after_ms = None if wait is None else int(wait * 1_000)
        return one_shot.answered(response.status, not_run(body), retry_after_ms)


async def _drain(response: aiohttp.ClientResponse) -> bytes:
    """Read a short answer off the connection, so that a burst can use it again; return it.

    The status has decided by now, so no failure matters here, nor a stop that waits no longer.
    """
    with contextlib.suppress(Exception, asyncio.CancelledError):
        async with asyncio.timeout(DRAIN_S):
            try:
                await response.content.readexactly(ANSWER_LIMIT)
            except asyncio.IncompleteReadError as whole:
                return whole.partial
    return b""


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, ssl.SSLError):  # its numbers are not the system's
            return (
                f"TLS: {getattr(error.os_error, 'verify_message', None) or error.os_error.reason}"
            )
        code = error.os_error.errno
        # Their own words name the address; names that are not found have no number.
        known = os.strerror(code) if code is not None and code > 0 else error.os_error.strerror
        return known or str(error.os_error) or "cannot connect"
    return type(error).__name__
