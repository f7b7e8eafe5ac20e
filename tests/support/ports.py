"""Ports for programs that have to be told theirs, or that keep one over restarts."""

import random
import socket
from contextlib import suppress

_POOL = range(20_000, 32_000)
"""Below those that systems give to whoever asks for any: none is taken in the meantime."""


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    while True:
        port = random.SystemRandom().choice(_POOL)
        with suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def free_ports(count: int) -> list[int]:
    """So many of them, each once."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)
