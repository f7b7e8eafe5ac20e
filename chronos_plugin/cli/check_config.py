"""doctor: config.yaml and the stored login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nas_sdk._core.loopback import is_loopback
from nas_sdk._core.validation import is_callback_url

from ..host import NEEDED
from . import hermes_env
from .findings import Finding, ok, problem, skipped, warning
from .formatting import distance

URLS = ("portal_url", "callback_url", "nas_jwks_url")
NOUS_PORTAL = "https://portal.nousresearch.com"


def log_in() -> str:
    """What a person can do about a missing login, at the NAS that is configured."""
    command, portal = "hermes auth add nous --type oauth", _portal_url()
    if portal in ("", NOUS_PORTAL):
        return f"run `{command}`"
    return (
        f"run `{command} --portal-url {portal}`; with a fixed token in a file, "
        "`chronos login --token-file FILE`"
    )


def _renewed_elsewhere() -> str:
    """NAS, when hermes does not renew logins there: a host it does not know, and nothing said."""
    portal = _portal_url()
    try:
        host = urlsplit(portal).hostname
    except ValueError:
        host = None
    known = host in (None, "localhost", "127.0.0.1", urlsplit(NOUS_PORTAL).hostname)
    return "" if known or hermes_env.portal_override() == portal else portal


def _portal_url() -> str:
    return str(hermes_env.written().get("portal_url") or "").rstrip("/")


def config(home: Path) -> Iterator[Finding]:
    """The provider and each key of `cron.chronos`."""
    file, written = home / "config.yaml", hermes_env.written()
    chosen = hermes_env.provider()
    if chosen == "chronos":
        yield ok("provider", "cron.provider is chronos")
    else:
        reason = f"cron.provider is {chosen or 'empty'}, so hermes's own ticker fires the jobs"
        yield problem("provider", reason, f"set it to chronos in {file}")
    for key in NEEDED:
        yield _key(key, written, file)


def _key(key: str, written: Mapping[str, Any], file: Path) -> Finding:
    text = str(written.get(key) or "")
    fix = f"set cron.chronos.{key} in {file}"
    if not text:
        return problem(key, "is not set", fix)
    if key in URLS:
        return _url(key, text, fix, allow_http=written.get("allow_http") is True)
    if not text.startswith("agent:"):
        reason = f"{text} does not look like agent:{{instance_id}}"
        return warning(key, reason, f"{fix} as the portal shows it")
    return ok(key, text)


def _url(key: str, text: str, fix: str, *, allow_http: bool) -> Finding:
    try:
        parts = urlsplit(text)
    except ValueError:  # such as half an IPv6 address
        parts = urlsplit("")
    usable = is_callback_url(text) if key == "callback_url" else parts.hostname
    if not (usable and parts.scheme in ("http", "https")):
        return problem(key, f"{text} is no absolute URL", f"{fix}, such as https://…")
    if parts.scheme == "http" and not (is_loopback(parts.hostname or "") or allow_http):
        if key == "callback_url":
            return warning(key, f"{text} is plain http: fires can be read on the way", fix)
        reason = f"{text} is plain http: anyone on the way could read the token or forge a fire"
        return problem(key, reason, f"{fix} to https, or allow_http to true if that net is yours")
    if text.endswith("/") and key != "nas_jwks_url":
        return warning(key, f"{text} ends in a slash, which is ignored", f"{fix} without it")
    return ok(key, text)


def login(now: float) -> Iterator[Finding]:
    """Whether there is a login, and whether it is fresh. Asks nobody."""
    stored = hermes_env.login()
    if not stored["there"]:
        yield problem("login", "no login is stored", log_in())
        return
    try:
        until = datetime.fromisoformat(str(stored["expires_at"]))
    except ValueError:
        reason = "the login does not say until when it is good, so it is refreshed at every use"
        yield warning("login", reason, log_in())
        return
    if (elsewhere := _renewed_elsewhere()) and stored["renewable"]:
        reason = f"hermes would renew this login at {NOUS_PORTAL}, and lose it there"
        fix = f"set HERMES_PORTAL_BASE_URL={elsewhere} in .env of the agent home"
        yield problem("login", reason, fix)
        return
    left = (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - now
    if left <= 0:
        reason = f"expired {distance(left)}; hermes refreshes it when it is used"
        yield warning("login", reason, f"if NAS refuses it, {log_in()}")
    else:
        yield ok("login", f"stored, good for now; it expires {distance(left)}")


def without_config(*checks: str) -> Iterator[Finding]:
    """The checks that make no sense yet."""
    for check in checks:
        yield skipped(check, "the configuration or the login is not usable yet")
