"""A proxy on 127.0.0.1 between real processes: passes HTTP on and keeps what it saw."""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.patience import PATIENCE_S

_DROPPED = frozenset({"connection", "keep-alive", "transfer-encoding", "host", "content-length"})
_UPSTREAM_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One request and the answer it got; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer_headers: dict[str, str]
    answer: bytes

    def json(self) -> Any:
        return httpx.Response(200, content=self.body).json()

    def answer_json(self) -> Any:
        return httpx.Response(200, content=self.answer).json()


class Recorder:
    """Listens on a free port; where it forwards to may change while it runs."""

    def __init__(self, target: str = "", transport: httpx.BaseTransport | None = None) -> None:
        """`target`: a base URL; while it is empty every request is a 503.

        What answers may also be a `transport`; where it fails, the connection is dropped.
        """
        self.target = target
        self.drops = transport is not None
        self._seen: list[Seen] = []
        self._news = threading.Condition()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.client = httpx.Client(timeout=_UPSTREAM_LIMIT, trust_env=False, transport=transport)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.client.close()

    def seen(self, accept: Callable[[Seen], bool] = lambda _: True) -> list[Seen]:
        """The exchanges so far that `accept` takes, oldest first."""
        with self._news:
            return [seen for seen in self._seen if accept(seen)]

    def wait_for(self, accept: Callable[[Seen], bool], what: str) -> Seen:
        """The first exchange `accept` takes, also one of the past. AssertionError if none comes."""
        with self._news:
            if not self._news.wait_for(lambda: any(map(accept, self._seen)), PATIENCE_S):
                requests = [f"{s.method} {s.path} {s.body!r} {s.status}" for s in self._seen]
                raise AssertionError(f"no {what} in {PATIENCE_S:.0f} s, only {requests}")
            return next(filter(accept, self._seen))

    def keep(self, seen: Seen) -> None:
        with self._news:
            self._seen.append(seen)
            self._news.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.recorder = recorder

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that is gone, such as one that was killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self._ask(headers, body)
        if answer is None:
            self.close_connection = True
            return
        kept = {k: v for k, v in answer.headers.items() if k not in _DROPPED}
        self.server.recorder.keep(
            Seen(self.command, self.path, headers, body, answer.status_code, kept, answer.content)
        )
        self.send_response_only(answer.status_code)
        for name, value in kept.items():
            if name != "content-encoding":  # httpx has decoded it
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on

    def _ask(self, headers: dict[str, str], body: bytes) -> httpx.Response | None:
        recorder = self.server.recorder
        if not recorder.target:
            return httpx.Response(503)
        passed = {k: v for k, v in headers.items() if k not in _DROPPED}
        url = recorder.target + self.path
        try:
            return recorder.client.request(self.command, url, headers=passed, content=body)
        except httpx.TransportError as error:
            if recorder.drops:
                return None
            return httpx.Response(502, text=f"{type(error).__name__}\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a test reads `seen`."""
