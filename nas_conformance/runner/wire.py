"""Raw requests to a NAS, each kept with its answer. Nothing is retried but a 429."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import attrs
import httpx

from nas_sdk._core.retry import parse_retry_after

PROVISION: Final = "/api/agent-cron/provision"
CANCEL: Final = "/api/agent-cron/cancel"
LIST: Final = "/api/agent-cron/list"
KEYS: Final = "/.well-known/jwks.json"
HIDDEN: Final = "[token]"
_PATIENCE_429: Final = 3
_LONGEST_WAIT: Final = 10.0


@attrs.frozen
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    authorization: str
    """What was sent as ``Authorization``, in words that hold no secret."""
    sent: bytes | None
    status: int
    headers: httpx.Headers
    body: bytes
    rests_on: str = ""
    """The check that holds this kind of request to the contract, where it is but a means."""

    @property
    def media_type(self) -> str:
        """The answer's media type, without parameters."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()


@attrs.frozen
class Credential:
    """What a request shows as ``Authorization``: the header, and words for a report."""

    header: str | None = attrs.field(repr=False)
    words: str


NOBODY: Final = Credential(None, "no token")


def bearer(token: str, words: str) -> Credential:
    """The credential of a token."""
    return Credential(f"Bearer {token}", f"Bearer ({words})")


class CheckFailed(Exception):  # noqa: N818 - a verdict, not a failure
    """A promise of the contract that was not kept."""

    def __init__(
        self,
        wrong: str,
        exchange: Exchange | None = None,
        *,
        steps: Iterable[str] = (),
        rests_on: str = "",
    ) -> None:
        """`wrong` is one sentence; `steps` led there, oldest first.

        rests_on: the check whose failure would explain this one; that of the exchange if none.
        """
        super().__init__(wrong)
        self.wrong = wrong
        self.exchange = exchange
        self.steps = list(steps)
        self.rests_on = rests_on or (exchange.rests_on if exchange else "")


class Wire:
    """Sends requests to one NAS. May be used by several threads."""

    def __init__(
        self, base_url: str, client: httpx.Client, *, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.requests = 0
        self._client = client
        self._wait = wait
        self._armed: dict[tuple[str, Credential], None] = {}
        self._lock = threading.Lock()

    def send(
        self, method: str, path: str, credential: Credential, body: bytes | None = None
    ) -> Exchange:
        """Send one request; CheckFailed when there is no answer. `path` may be a whole URL."""
        refused = False
        try:
            for left in reversed(range(_PATIENCE_429)):
                exchange = self._send(method, path, credential, body)
                wait = _wait_of(exchange)
                if wait is None or not left:
                    break
                self._wait(wait)
            refused = 400 <= exchange.status < 500
            return exchange
        finally:
            if path == PROVISION and not refused:
                self._remember(body, credential)

    def armed(self) -> list[tuple[str, Credential]]:
        """The jobs for which a provision was ever sent and not refused, and whose they are."""
        with self._lock:
            return list(self._armed)

    def _send(self, method: str, path: str, credential: Credential, body: bytes | None) -> Exchange:
        headers = {} if body is None else {"Content-Type": "application/json"}
        if credential.header is not None:
            headers["Authorization"] = credential.header
        with self._lock:
            self.requests += 1
        try:
            answer = self._client.request(method, self._url(path), headers=headers, content=body)
        except httpx.HTTPError as error:
            raise CheckFailed(f"no answer to {method} {path}: {_words(error)}") from None
        return Exchange(
            method, path, credential.words, body, answer.status_code, answer.headers, answer.content
        )

    def _url(self, path: str) -> str:
        return path if path.startswith(("http://", "https://")) else self.base_url + path

    def _remember(self, body: bytes | None, credential: Credential) -> None:
        try:
            job_id = json.loads(body or b"")["job_id"]
        except (ValueError, TypeError, KeyError):
            return
        if isinstance(job_id, str):
            with self._lock:
                self._armed[job_id, credential] = None


def _wait_of(exchange: Exchange) -> float | None:
    """How long a 429 asks to wait, in seconds; None for any other answer."""
    if exchange.status != 429:
        return None
    asked = parse_retry_after(exchange.headers, time.time())
    return 1.0 if asked is None else min(asked, _LONGEST_WAIT)


def _words(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
