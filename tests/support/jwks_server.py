"""A JWKS endpoint on loopback that counts, fails and stalls as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.patience import PATIENCE_S


class JwksServer:
    """What the endpoint answers, and what it has been asked."""

    def __init__(self, keys: dict[str, Any]) -> None:
        self.keys = keys
        self.status = 200
        self.headers_sent: dict[str, str] = {}
        self.user_agents: list[str] = []
        self.arrived = threading.Semaphore(0)
        """Released once for every request, when it has arrived."""
        self.gate = threading.Event()
        """Requests are answered only while it is set."""
        self.gate.set()
        self.url = ""

    @property
    def fetches(self) -> int:
        """How many requests there were."""
        return len(self.user_agents)

    def close(self) -> None:
        """Stall every request from now on."""
        self.gate.clear()

    def open(self) -> None:
        """Answer what is stalled, and what comes."""
        self.gate.set()


@contextmanager
def jwks_server(keys: dict[str, Any]) -> Iterator[JwksServer]:
    """A running endpoint; its requests are let go at the end."""
    state = JwksServer(keys)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    state.url = f"http://127.0.0.1:{server.server_address[1]}/.well-known/jwks.json"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state
    finally:
        state.open()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(state: JwksServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.user_agents.append(self.headers["User-Agent"])
            state.arrived.release()
            state.gate.wait()
            body = json.dumps(state.keys).encode()
            self.send_response(state.status)
            for name, value in state.headers_sent.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    return Handler


@contextmanager
def rescue(gate: threading.Event, seconds: float = PATIENCE_S) -> Iterator[threading.Event]:
    """Open the gate after so long, for code that would wait for it for ever.

    Yields an event that says whether that was needed, so that a test fails and does not hang.
    """
    needed = threading.Event()

    def open_it() -> None:
        needed.set()
        gate.set()

    timer = threading.Timer(seconds, open_it)
    timer.start()
    try:
        yield needed
    finally:
        timer.cancel()
        timer.join()
