"""A small HTTP/1.1 server on 127.0.0.1 whose every answer a test decides, byte by byte."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from tests.support.patience import PATIENCE_S


class Seen(NamedTuple):
    """A request as it came: which connection (from 0), request line, headers, body."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


class Last(bytes):
    """An answer after which the connection is closed."""


Answer = Callable[[Seen], bytes | Iterable[bytes] | None]
"""The bytes to send back, or pieces to send one by one; None closes without a word."""


def http_answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    """A whole answer that keeps the connection open."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Loopback:
    """The running server. `seen` grows with every request."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._connections: list[socket.socket] = []
        self.seen: list[Seen] = []
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many were ever opened."""
        return len(self._connections)

    def drop_connections(self) -> None:
        """Close every open connection, as a server that restarts does."""
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()
        self._thread.join(PATIENCE_S)

    def _accept(self) -> None:
        workers = []
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections.append(connection)
                number = len(self._connections) - 1
                worker = threading.Thread(target=self._serve, args=(connection, number))
                worker.start()
                workers.append(worker)
        for worker in workers:
            worker.join(PATIENCE_S)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError), connection:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._connections[number] = connection
            self._answer_all(connection, number)

    def _answer_all(self, connection: socket.socket, number: int) -> None:
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                seen = _read_request(number, line, stream.readline, stream.read)
                self.seen.append(seen)
                answer = self._answer(seen)
                if answer is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    connection.sendall(piece)
                if isinstance(answer, Last):
                    connection.shutdown(socket.SHUT_RDWR)
                    return


def _read_request(
    number: int, line: bytes, readline: Callable[[], bytes], read: Callable[[int], bytes]
) -> Seen:
    headers = {}
    while (header := readline().strip()) != b"":
        name, _, value = header.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = read(int(headers.get("content-length", "0")))
    return Seen(number, line.decode("latin-1").strip(), headers, body)


@contextmanager
def loopback(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """Serve until the end of the block."""
    server = Loopback(answer, tls)
    try:
        yield server
    finally:
        server.close()
