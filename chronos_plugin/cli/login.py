"""`chronos login`: a fixed token of NAS becomes hermes's login; for scripts.

hermes's own `hermes auth add nous` is for people, and for tokens that expire.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nas_sdk._core.loopback import is_loopback
from nas_sdk._core.tokens import Token
from nas_sdk.errors import TokenError

from . import hermes_env
from .problems import Problem

TOKEN_LIMIT = 16_384
LASTS = "2099-01-01T00:00:00+00:00"
"""hermes would renew a token that does not say how long it is good, and cannot renew this one."""
CLIENT_ID = "hermes-cli"


def login(args: argparse.Namespace) -> int:
    """Write the login; other providers, and whatever else is in auth.json, stay as they are."""
    hermes_env.load_environment()
    home = hermes_env.host().home()
    portal_url = _portal_url(args.portal_url)
    token = _token(args.token_file)
    file = (home / "auth.json").resolve()
    with _locked(file):
        state = _read(file)
        providers = state.setdefault("providers", {})
        if not isinstance(providers, dict):
            raise _unusable(file, "its providers are no object")
        providers["nous"] = _state(token, portal_url)
        _write(file, state)
    print(f"logged {home} in at {portal_url}; `chronos doctor` tries it")
    _set_shared_aside(hermes_env.shared_login())
    return 0


def _state(token: str, portal_url: str) -> dict[str, Any]:
    return {
        "access_token": token,
        "refresh_token": "",  # a made-up one would be tried, and the login then thrown away
        "token_type": "Bearer",
        "obtained_at": datetime.now(UTC).isoformat(),
        "expires_at": LASTS,
        "portal_base_url": portal_url,
        "client_id": CLIENT_ID,
    }


def _portal_url(given: str | None) -> str:
    written = str(hermes_env.written().get("portal_url") or "").rstrip("/")
    url = (given or written).rstrip("/")
    if not url:
        raise Problem("say --portal-url URL, or set cron.chronos.portal_url in config.yaml")
    if written and written != url:
        raise Problem(f"cron.chronos.portal_url is {written}: the token would be sent there")
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise Problem(f"{url} is no absolute URL, such as https://nas.example.com")
    if "@" in parts.netloc:
        raise Problem("user info has no place in the URL of NAS: leave out all to the @")
    plain_http = parts.scheme == "http" and not is_loopback(parts.hostname)
    if plain_http and hermes_env.written().get("allow_http") is not True:
        raise Problem(f"{url} is plain http: anyone on the way could read the token")
    return url


def _token(name: str) -> str:
    try:
        with open(0 if name == "-" else name, "rb", closefd=name != "-") as file:
            text = file.read(TOKEN_LIMIT + 1).decode("ascii").strip()
            is_open = name != "-" and os.fstat(file.fileno()).st_mode & 0o077
    except OSError as error:
        raise Problem(f"cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Problem(f"{name} holds no token: it is no ASCII text") from None
    if len(text) > TOKEN_LIMIT:
        raise Problem(f"{name} holds no token: it is longer than {TOKEN_LIMIT} characters")
    try:
        Token(text)
    except TokenError as error:
        raise Problem(f"{name} holds no token: {error}") from None
    if is_open:
        print(f"others on this machine may read {name}: chmod 600 {name}", file=sys.stderr)
    return text


def _read(file: Path) -> dict[str, Any]:
    try:
        state = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {"version": 1}
    except OSError as error:
        raise Problem(f"cannot read {file}: {error.strerror}") from None
    except ValueError:
        raise _unusable(file, "it is no JSON") from None
    if not isinstance(state, dict):
        raise _unusable(file, "it is no JSON object")
    return state


def _unusable(file: Path, why: str) -> Problem:
    return Problem(f"{file} was left as it is, for {why}: correct it, or move it away")


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Keep hermes's processes from renewing a login meanwhile; they lock the same file."""
    import fcntl

    lock = file.with_suffix(".lock")
    try:
        opened = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Problem(f"cannot write {lock}: {error.strerror}") from None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _write(file: Path, state: dict[str, Any]) -> None:
    """Put a file that only its owner may read in place of the old one, whole or not at all."""
    text = json.dumps(state, indent=2) + "\n"
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f"{file.name}.tmp.", dir=file.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as made:
            made.write(text)
            made.flush()
            os.fsync(made.fileno())
        Path(name).replace(file)
        name = ""
        directory = os.open(file.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    except OSError as error:
        raise Problem(f"cannot write {file}: {error.strerror}") from None
    finally:
        if name:
            Path(name).unlink(missing_ok=True)


def _set_shared_aside(shared: Path) -> None:
    """Move away the login that profiles share: hermes would put it before this one."""
    if not shared.exists():
        return
    kept = shared.with_name(f"{shared.name}.before-chronos-login")
    try:
        shared.replace(kept)
    except OSError as error:
        raise Problem(
            f"hermes would put the login in {shared} before this one, and it cannot be moved "
            f"away: {error.strerror}"
        ) from None
    print(f"the login that profiles shared is now {kept}; hermes would have put it before this one")
