"""One HTTP exchange, as seen from any side. Standard library only: subprocesses use it too."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what came back. A `status` of None: nothing came back.

    A body of None is one that was not seen whole (a stream that was closed early), which
    is not the same as an empty one. Header names are in lower case.
    """

    method: str
    url: str
    request_headers: Mapping[str, str] = field(default_factory=dict)
    request_body: bytes | None = b""
    status: int | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: bytes | None = b""
    faulty: bool = False
    """The response is broken on purpose, by a fault that a test asked for."""
    seen_by: str = "a test"


Record = Callable[[Exchange], None]


def to_line(exchange: Exchange) -> str:
    """One line of JSON, for a file that another process reads."""
    plain = asdict(exchange)
    for name in ("request_body", "response_body"):
        body = plain[name]
        plain[name] = None if body is None else base64.b64encode(body).decode()
    return json.dumps(plain)


def from_line(line: str) -> Exchange:
    """What `to_line` wrote."""
    plain = json.loads(line)
    for name in ("request_body", "response_body"):
        body = plain[name]
        plain[name] = None if body is None else base64.b64decode(body)
    return Exchange(**plain)
