"""doctor: config.yaml and the stored login."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nas_sdk._core.loopback import is_loopback
from nas_sdk._core.validation import is_callback_url

from ..host import NEEDED
from . import hermes_env
from .findings import Finding, ok, problem, skipped, warning
from .formatting import distance

SWITCHES = ("watchdog", "allow_http")
KINDS: Mapping[str, type] = dict.fromkeys(NEEDED, str) | dict.fromkeys(SWITCHES, bool)
"""Every key of `cron.chronos`, and what its value has to be."""
CLOSE = 0.55
"""How alike a misspelt key is at least (difflib): two letters wrong, wherever they are."""
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


def no_nas() -> str:
    """What a person can do when something else than NAS answers at `portal_url`."""
    parts = urlsplit(_portal_url())
    root = f"{parts.scheme}://{parts.netloc}"
    if parts.path:
        return f"take the path out of cron.chronos.portal_url: {root}"
    return f"check cron.chronos.portal_url: it is no NAS that answers at {root}"


def _portal_url() -> str:
    return str(hermes_env.written().get("portal_url") or "").rstrip("/")


def config(home: Path) -> Iterator[Finding]:
    """config.yaml itself, the provider, and each key of `cron.chronos` as it is written."""
    file = home / "config.yaml"
    if unreadable := _unreadable(file):
        yield unreadable
        yield from _skipped(("provider", *NEEDED), "config.yaml comes first")
        return
    yield _provider(file)
    yield from keys(hermes_env.written(), file, _meant("chronos"))


def keys(written: Mapping[str, Any], file: Path, hint: str = "") -> Iterator[Finding]:
    """Each key of `cron.chronos`: those that are needed, and what is wrong with any other.

    `hint` goes with the advice to set one.
    """
    for key in NEEDED:
        yield _key(key, written, file, hint)
    for key, value in written.items():
        if key not in KINDS:
            yield _stranger(key, file)
        elif key not in NEEDED and not isinstance(value, KINDS[key]):
            yield _wrong_kind(key, value, file)


def _unreadable(file: Path) -> Finding | None:
    """What keeps hermes from reading its configuration; it then takes its defaults."""
    fix = f"correct {file}; until then hermes takes its defaults"
    try:
        document = hermes_env.parse_yaml(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        why = error.strerror or type(error).__name__
        fix = f"let the user that hermes runs as read {file}"
        return problem("config", f"config.yaml cannot be read: {why}", fix)
    except UnicodeDecodeError:
        return problem("config", "config.yaml is no YAML: it is no text in UTF-8", fix)
    except Exception as error:  # of the library that hermes has; it need not be the same everywhere
        at, said = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f", line {at.line + 1}, column {at.column + 1}" if at else ""
        return problem("config", f"config.yaml is no YAML{where}: {said or 'it is no text'}", fix)
    if document is None or isinstance(document, dict):
        return None
    return problem("config", f"config.yaml is {_kind(document)}, not a mapping", fix)


def _provider(file: Path) -> Finding:
    chosen = hermes_env.provider()
    if chosen == "chronos":
        return ok("provider", "cron.provider is chronos")
    reason = f"cron.provider is {chosen or 'empty'}, so hermes's own ticker fires the jobs"
    return problem("provider", reason, f"set it to chronos in {file}{_meant('provider')}")


def _meant(key: str) -> str:
    """What of `cron` may be `key` misspelt, as a hint."""
    sections = hermes_env.written_sections()
    near = [] if key in sections else get_close_matches(key, sections, 1, 0.7)
    return f"; is cron.{near[0]} meant to be cron.{key}?" if near else ""


def _key(key: str, written: Mapping[str, Any], file: Path, hint: str) -> Finding:
    value = written.get(key)
    fix = f"set cron.chronos.{key} in {file}"
    if value is None or value == "":
        return problem(key, "is not set", fix + hint)
    if not isinstance(value, str):
        return _wrong_kind(key, value, file)
    if key in URLS:
        return _url(key, value, fix, allow_http=written.get("allow_http") is True)
    if not value.startswith("agent:"):
        reason = f"{value} does not look like agent:{{instance_id}}"
        return warning(key, reason, f"{fix} as the portal shows it")
    return ok(key, value)


def _wrong_kind(key: str, value: object, file: Path) -> Finding:
    if KINDS[key] is str:
        return problem(key, f"is {_kind(value)}, not a text", f"set it to a text in {file}")
    reason = f"is {_kind(value)}, not true or false, and has no effect"
    return problem(key, reason, f"set cron.chronos.{key} to true or false, unquoted, in {file}")


def _stranger(key: str, file: Path) -> Finding:
    reason = f"cron.chronos.{key} is no setting, and has no effect"
    if near := get_close_matches(key.lower(), KINDS, 1, CLOSE):
        return problem("config", f"{reason}; did you mean {near[0]}?", f"rename it in {file}")
    return warning("config", reason, f"take it out of {file}")


def _kind(value: object) -> str:
    names = {str: "a text", bool: "true or false", list: "a list", dict: "a mapping"}
    names |= {int: "a number", float: "a number", type(None): "empty"}
    return names.get(type(value), f"a {type(value).__name__}")


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
    return _skipped(checks, "the configuration or the login is not usable yet")


def is_complete() -> bool:
    """Whether every key that is needed is written; hermes's default may be a foreign portal."""
    written = hermes_env.written()
    return all(isinstance(written.get(key), str) and written[key] for key in NEEDED)


def _skipped(checks: Sequence[str], why: str) -> Iterator[Finding]:
    for check in checks:
        yield skipped(check, why)
