"""doctor: NAS, its clock and its keys, and the way back to the agent."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from nas_sdk._core.config import user_agent
from nas_sdk._core.events import ResponseEvent
from nas_sdk._core.loopback import is_loopback
from nas_sdk.client import NasClient
from nas_sdk.errors import (
    BadRequestError,
    ConfigurationError,
    ContractError,
    IdentityRejectedError,
    NasConnectionError,
    NasError,
    TokenError,
    UnauthorizedError,
    UnexpectedStatusError,
)
from nas_sdk.reconcile.planning import Armed
from nas_sdk.reconcile.reconciler import HINT
from nas_sdk.webhooks._fetch import JwksFetchError, fetch_over_http
from nas_sdk.webhooks._keys import UnusableKeyError, parse_key_set

from ..host import ChronosConfig
from ..plugin_runtime import HomeReconciler
from . import hermes_env
from .check_config import log_in, no_nas
from .findings import Finding, ok, problem, skipped, warning
from .formatting import count, length
from .status_report import PROBE

PATIENCE_SECONDS = 5.0
FIRE_SECONDS = 20.0
"""How long the test fire may take."""
SKEW_SECONDS = (5.0, 30.0)
"""A clock that is off by more is a warning, a problem: tokens are good for 30 s around."""
WAY = "start a gateway or dashboard, or fix the way to it (DNS, proxy, port)"
_MADE_UP = "made-up-by-chronos-doctor"


class NasClock:
    """NAS's clock against this machine's, from the answers that come in."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.skew: float | None = None

    def note(self, event: ResponseEvent) -> None:
        """A client's hook for answers."""
        if event.date:
            try:
                self.skew = time.time() - parsedate_to_datetime(event.date).timestamp()
            except ValueError:
                return

    def check(self) -> Finding:
        """This machine's clock."""
        if self.skew is None:
            return skipped("clock", "NAS did not say what time it is")
        off, (small, large) = abs(self.skew), SKEW_SECONDS
        if off <= small:
            return ok("clock", "agrees with NAS's")
        way = "ahead of" if self.skew > 0 else "behind"
        reason = f"this machine's clock is {length(off)} {way} NAS's"
        fix = "have the machine's time set from the network (NTP)"
        if off <= large:
            return warning("clock", reason, fix)
        return problem("clock", f"{reason}: its tokens are refused", fix)


def client(reconciler: HomeReconciler) -> NasClient:
    """The reconciler's client, less patient. Raises NasError when portal_url is unusable."""
    return reconciler.client().with_options(
        timeout=PATIENCE_SECONDS, max_attempts=2, deadline=3 * PATIENCE_SECONDS
    )


def nas(client: NasClient) -> tuple[Finding, Sequence[Armed] | None]:
    """Whether NAS is there and knows this agent; and what it has armed."""
    try:
        armed = client.list_armed()
    except NasError as error:
        return problem("nas", str(error), _remedy(error)), None
    return ok("nas", f"answers and knows this agent; {count(len(armed), 'one-shot')} armed"), armed


def _remedy(error: NasError) -> str:
    if isinstance(error, IdentityRejectedError):
        return HINT
    if isinstance(error, (TokenError, UnauthorizedError)):
        return log_in()
    if isinstance(error, (ContractError, UnexpectedStatusError)):
        return no_nas()
    if isinstance(error, (NasConnectionError, ConfigurationError)):
        return "check cron.chronos.portal_url, and the way from this machine to it"
    return "if it lasts, ask whoever runs NAS; jobs are armed again once it answers"


def keys(settings: ChronosConfig) -> Finding:
    """NAS's keys, with which fires are verified."""
    fix = "check cron.chronos.nas_jwks_url, and the way from this machine to it"
    try:
        fetch = fetch_over_http(
            settings.jwks_url,
            timeout=PATIENCE_SECONDS,
            allow_http=settings.allow_http,
            http_client=None,
        )
        found = len(parse_key_set(json.loads(fetch())))
    except (JwksFetchError, ConfigurationError, UnusableKeyError) as error:
        return problem("keys", f"NAS's keys cannot be had from {settings.jwks_url}: {error}", fix)
    except ValueError:
        return problem("keys", f"{settings.jwks_url} is no key set", fix)
    return ok("keys", f"{count(found, 'key')} from {settings.jwks_url}")


def callback(settings: ChronosConfig) -> Finding:
    """Whether the agent's own public URL leads to a hermes.

    It is asked with a method that hermes has no use for: a fire with a made-up token would be
    a warning in its log. Only what does not answer as hermes does is sent one.
    """
    url = f"{settings.callback_url}/api/cron/fire"
    trust = not is_loopback(urlsplit(url).hostname or "")
    agent = {"User-Agent": user_agent("chronos-doctor")}
    try:
        with httpx.Client(trust_env=trust, timeout=PATIENCE_SECONDS, headers=agent) as client:
            answer = client.put(url)
            allowed = answer.headers.get("allow", "").upper().replace(",", " ").split()
            if answer.status_code == httpx.codes.METHOD_NOT_ALLOWED and "POST" in allowed:
                return ok("callback", f"{url} takes fires")
            return _made_up(client, url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return _unreachable(settings, f"{url} does not answer: {type(error).__name__}")


def _unreachable(settings: ChronosConfig, reason: str) -> Finding:
    gateway = hermes_env.gateway_pid()
    if gateway is None or hermes_env.gateway_has_server(settings.home):
        return problem("callback", reason, WAY)
    reason = f"{reason}; the gateway (process {gateway}) runs without its HTTP server"
    fix = (
        f"set API_SERVER_KEY to 16 random characters or more in {settings.home / '.env'}, and "
        "restart the gateway: `hermes gateway restart`"
    )
    return problem("callback", reason, fix)


def _made_up(client: httpx.Client, url: str) -> Finding:
    """What answers a fire with a made-up token, and no hermes as we know them."""
    body = {"job_id": _MADE_UP, "fire_at": datetime.now(UTC).isoformat()}
    answer = client.post(url, json=body, headers={"Authorization": f"Bearer {_MADE_UP}"})
    if answer.status_code == httpx.codes.UNAUTHORIZED and "fire token" in answer.text:
        return ok("callback", f"{url} refuses a made-up token, as it should")
    if answer.is_success:
        reason = f"{url} takes a made-up token: anyone could run the jobs"
        return problem("callback", reason, "take that away from the net; it is no hermes of ours")
    if answer.is_server_error:
        return problem("callback", f"{url} answers {answer.status_code}: nothing serves there", WAY)
    reason = f"{url} answers {answer.status_code}, not hermes's refusal of a made-up token"
    return problem("callback", reason, "check cron.chronos.callback_url: host, port and path")


def fire(client: NasClient, settings: ChronosConfig, logs: Sequence[Path]) -> Finding:
    """Have NAS fire a one-shot of no job, and see whether the agent takes its token."""
    # An id like a watchdog's: no reconcile cancels it, and hermes answers that it is gone.
    probe = f"{PROBE}{secrets.token_hex(4)}"
    seen = {log: log.stat().st_size if log.exists() else 0 for log in logs}
    give_up = time.monotonic() + FIRE_SECONDS
    is_fired = False
    try:
        client.provision(probe, datetime.now(UTC), settings.callback_url)
        while probe in {one.job_id for one in client.list_armed()}:
            why = next(filter(None, (_refusal(log, size) for log, size in seen.items())), "")
            if why or time.monotonic() > give_up:
                return _untaken(why)
            time.sleep(0.5)
        is_fired = True
    except BadRequestError as error:
        return problem(
            "fire", f"NAS does not take the callback URL: {error}", "correct callback_url"
        )
    except NasError as error:
        return problem("fire", f"NAS could not be asked for a test fire: {error}", _remedy(error))
    finally:  # also when a person has lost patience
        if not is_fired:
            with contextlib.suppress(NasError):
                client.with_options(max_attempts=1).cancel(probe)
    return ok("fire", "NAS's test fire came through, and its token was good")


def _refusal(log: Path, seen: int) -> str:
    """Why the agent refused a fire since its log was that long; empty if it did not."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(seen)
        news = file.read().decode("utf-8", "replace").splitlines()
    whys = [line.partition("fire refused: ")[2] for line in news if "fire refused: " in line]
    return whys[-1] if whys else ""


def _untaken(why: str) -> Finding:
    if not why:
        reason = f"NAS's test fire did not come through in {FIRE_SECONDS:.0f} s"
        return problem("fire", reason, "see that NAS can reach callback_url from where it is")
    fixes = {
        "another audience": "set cron.chronos.expected_audience as the portal shows it",
        "another issuer": "set cron.chronos.portal_url to NAS's public URL",
        "none of NAS's keys": "set cron.chronos.nas_jwks_url to this NAS's key set",
    }
    fix = next((fix for part, fix in fixes.items() if part in why), "see the checks above")
    return problem("fire", f"the agent refuses NAS's fires: {why}", fix)
