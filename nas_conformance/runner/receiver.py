"""An agent to be woken: takes fires on 127.0.0.1 and answers them as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import attrs

from nas_sdk._typing import override

PATH: Final = "/api/cron/fire"
_BODY_MAX: Final = 65_536
_HOLD_MAX: Final = 25.0
"""Longest that an answer is held back; the contract gives 30 seconds."""


@attrs.frozen
class Delivery:
    """One request as it came. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes
    at: float
    """When its head had been read, in seconds since the epoch."""
    answered: int = 404
    """The status it was answered with; 0 when the connection was dropped."""

    @property
    def is_fire(self) -> bool:
        """Whether it is a fire at all: the method, the path and a JSON object."""
        return self.method == "POST" and self.path.endswith(PATH) and isinstance(self.json(), dict)

    @property
    def job_id(self) -> str:
        """The job a fire names."""
        return str(self.json().get("job_id")) if self.is_fire else ""

    @property
    def token(self) -> str:
        """The bearer token; empty when there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def json(self) -> Any:
        """The body; None when it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@attrs.frozen
class Answer:
    """How to answer one delivery. A status of 0 drops the connection."""

    status: int
    status_word: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    hold: threading.Event | None = None
    """Answer only once this is set."""


class Receiver:
    """Listens while open. Jobs are told apart by the body's job_id."""

    def __init__(self, port: int = 0) -> None:
        """Listen on a port of 127.0.0.1, 0 for any. Raises OSError when it is taken."""
        self._script: dict[str, list[Answer]] = {}
        self._came: list[Delivery] = []
        self._news = threading.Condition()
        self._server = _Server(self, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, job_id: str, *answers: Answer) -> None:
        """Answer a job's deliveries in this order, and all further ones as the last."""
        with self._news:
            self._script[job_id] = list(answers)

    def deliveries(self, job_id: str) -> list[Delivery]:
        """What came for a job, oldest first."""
        with self._news:
            return [each for each in self._came if each.job_id == job_id]

    def strays(self) -> list[Delivery]:
        """What came and was no fire: another path, method or body."""
        with self._news:
            return [each for each in self._came if not each.is_fire]

    def wait(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until something that depends on deliveries is so; False when time is up."""
        with self._news:
            return self._news.wait_for(done, seconds)

    def count(self, job_id: str) -> int:
        """How many deliveries came for a job; also inside `wait`."""
        return len(self.deliveries(job_id))

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, delivery: Delivery) -> Answer:
        """Keep a delivery; how to answer it."""
        with self._news:
            answer = self._choose(delivery)
            self._came.append(attrs.evolve(delivery, answered=answer.status))
            self._news.notify_all()
            return answer

    def _choose(self, delivery: Delivery) -> Answer:
        if not delivery.is_fire:
            return Answer(404)
        answers = self._script.get(delivery.job_id, [Answer(410)])
        return answers[min(self.count(delivery.job_id), len(answers) - 1)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, receiver: Receiver, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.receiver = receiver

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the NAS hung up, and what came is kept."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _take(self) -> None:
        at = time.time()
        headers = {name.lower(): value for name, value in self.headers.items()}
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        size = min(int(headers.get("content-length") or 0), _BODY_MAX)
        body = self._chunks() if chunked else self.rfile.read(size)
        delivery = Delivery(self.command, self.path, headers, body, at)
        answer = self.server.receiver.take(delivery)
        if answer.hold is not None:
            answer.hold.wait(_HOLD_MAX)
        if answer.status:
            self._send(answer, delivery)
        self.close_connection = not answer.status

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(_BODY_MAX).partition(b";")[0], 16):
            body += self.rfile.read(min(size, _BODY_MAX))
            self.rfile.readline(_BODY_MAX)
            if len(body) > _BODY_MAX:
                raise ValueError("a body without an end")
        while self.rfile.readline(_BODY_MAX).strip():
            pass  # what follows the last one
        return body

    do_GET = do_POST = do_PUT = do_HEAD = _take  # noqa: N815 - the base's names

    def _send(self, answer: Answer, delivery: Delivery) -> None:
        body = _body(answer, delivery.job_id)
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", "application/json")
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the report says what came."""


def _body(answer: Answer, job_id: str) -> bytes:
    if answer.status_word:
        return json.dumps({"status": answer.status_word, "job_id": job_id}).encode()
    if answer.status >= 400:
        return json.dumps({"error": "the conformance kit answers so on purpose"}).encode()
    return b""
