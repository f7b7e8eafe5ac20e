"""Headers of the caller's: checked before anything is sent. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x20-\x7e\t]*")
OURS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
"""What the client sets itself; `user_agent` and `token` change two of them."""


def checked_headers(headers: object) -> dict[str, str]:
    """The same headers, or ValueError that says what is wrong, without their values."""
    if not isinstance(headers, Mapping):
        raise ValueError(f"a mapping of names to values is needed, not {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError("a name is not one of a header")
        if name.lower() in OURS:
            raise ValueError(f"{name} is set by the client itself")
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} is not printable ASCII on one line")
    return dict(headers)
