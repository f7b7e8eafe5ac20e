"""One delivery attempt: mint the token, call the agent, say how it ended."""

import errno
import json
import logging
import os
import ssl
import sys
from collections.abc import Callable
from typing import Final

from nas_sdk._core.operations import not_run
from nas_sdk._core.retry import parse_retry_after
from nas_sdk._core.schemas import fitting
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.accounts import Accounts, AgentAccount
from nas_server.clock import NowMs
from nas_server.delivery import callbacks
from nas_server.delivery.agent_client import AgentClient, Answer
from nas_server.delivery.http_answer import BadAnswerError
from nas_server.keys import KeyRing
from nas_server.logs import log_event
from nas_server.policy import DELIVERY, DeliveryPolicy

_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What fails here and says nothing about an agent."""


def agent_client(
    *,
    allow_private: bool,
    timeout_s: float,
    most: Callable[[], int] = lambda: sys.maxsize,
    policy: DeliveryPolicy = DELIVERY,
) -> AgentClient:
    """Return what calls agents, at public addresses only unless ``allow_private``."""
    sift = list if allow_private else callbacks.public
    return AgentClient(timeout_s=timeout_s, sift=sift, most=most, policy=policy)


class Caller:
    """Calls agents."""

    def __init__(
        self,
        client: AgentClient,
        accounts: Accounts,
        keys: KeyRing,
        *,
        issuer: str,
        clock: NowMs,
    ) -> None:
        """Call through ``client``, in the name of ``issuer``."""
        self._client = client
        self._accounts = accounts
        self._keys = keys
        self._issuer = issuer
        self._clock = clock

    async def call(self, one: StoredOneShot) -> DeliveryResult | None:
        """Deliver ``one`` once and return how that ended; whatever the agent does, no error.

        Raises what keeps this process from calling anybody: then nothing was delivered.

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
        except OSError as error:  # first: what is wrong with a certificate is a ValueError, too
            if error.errno in _OURS:
                raise
            return DeliveryResult(ended=False, note=f"unreachable: {_reason(error)}")
        except (BadAnswerError, ValueError) as error:
            return DeliveryResult(ended=False, note=f"unreadable: {error}")
        except Exception as error:  # the agent may have it: its next turn comes after a wait
            log_event("call_failed", level=logging.ERROR, error=True, reason=str(error))
            return DeliveryResult(ended=False, note="failed: here, not at the agent; see the log")

    async def _token(self, agent: AgentAccount) -> str:
        now = self._clock()
        await self._keys.refresh(now)
        claims = {"iss": self._issuer, "aud": agent.audience, "purpose": "cron_fire"}
        return self._keys.sign(claims, now)

    async def _post(self, one: StoredOneShot, token: str) -> DeliveryResult:
        url = callbacks.fire_url(one.callback_url)
        fire = {"job_id": one.job_id, "fire_at": one.fire_at}
        body = json.dumps({**fire, **fitting("FireRequest", one.members)}).encode()
        headers = f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        return self._judge(await self._client.post(url, headers, body))

    def _judge(self, answer: Answer) -> DeliveryResult:
        wait = parse_retry_after(answer.headers, self._clock() / 1_000)
        retry_after_ms = None if wait is None else int(wait * 1_000)
        said = not_run(answer.body) if answer.status == 200 else None  # with no other it means one
        return one_shot.answered(answer.status, said, retry_after_ms)


def _reason(error: OSError) -> str:
    """Return why an agent could not be reached, in words; theirs would name its address."""
    if isinstance(error, ssl.SSLError):  # its numbers are not the system's
        words = getattr(error, "verify_message", None) or error.reason or "the handshake failed"
        return f"TLS: {words.replace('_', ' ').lower() if words.isupper() else words}"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error) or "cannot connect"
