"""The access token that hermes's login has for NAS; imported when NAS is called."""

from __future__ import annotations

import re
from typing import Any

from nas_sdk._core.operations import quotable
from nas_sdk.errors import TokenError

_SECRET = re.compile(r"(?=\S*\d)[\w.~+=-]{24,}")  # what may be a token in a reason of hermes's


def access_token(renew: bool) -> str:
    """A Nous access token that is good now, or a new one. Raises TokenError with the reason."""
    from hermes_cli.auth import AuthError, resolve_nous_access_token

    # What ends sooner than that is renewed. The empty bundle, which is none, makes hermes
    # leave its memo of the last seconds aside: it has the token that NAS refuses (0.22).
    options: dict[str, Any] = {"refresh_skew_seconds": 10**10, "ca_bundle": ""}
    try:
        return str(resolve_nous_access_token(**options if renew else {}))
    except AuthError as error:
        raise TokenError(_SECRET.sub("…", quotable(str(error)) or "no reason")) from None
