"""The two ends of a server under load: requests sent as fast as they are answered, and a
sink for fires that does next to nothing. Both are bare asyncio, so that they cost little."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import attrs

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: "


def post(path: str, token: str, body: object) -> bytes:
    """Return an HTTP request ready to be written."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: nas\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def get(path: str, token: str) -> bytes:
    """Return an HTTP request ready to be written."""
    return f"GET {path} HTTP/1.1\r\nHost: nas\r\nAuthorization: Bearer {token}\r\n\r\n".encode()


async def send_all(url: str, requests: Iterable[bytes], connections: int) -> list[float]:
    """Send requests over so many connections; return how long each took, in seconds."""
    target = urlsplit(url)
    left = iter(requests)
    took: list[float] = []
    await asyncio.gather(
        *(_send(target.hostname or "", target.port or 80, left, took) for _ in range(connections))
    )
    return took


async def _send(host: str, port: int, left: Iterator[bytes], took: list[float]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for request in left:
        start = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
        await reader.readexactly(int(length))
        took.append(time.perf_counter() - start)
    writer.close()


@attrs.define
class Sink:
    """An agent that accepts every fire, or none."""

    url: str = ""
    answers: bool = True
    arrived: dict[str, list[float]] = attrs.field(factory=dict)
    """Job id to the times its fires came, in seconds since the epoch."""
    _wanted: int = 0
    _enough: asyncio.Event = attrs.field(factory=asyncio.Event)

    @property
    def again(self) -> int:
        """How many fires came for a job that had had its own."""
        return sum(len(came) - 1 for came in self.arrived.values())

    async def until(self, count: int) -> None:
        """Wait until the fires of so many jobs have come."""
        self._wanted = count
        if len(self.arrived) < count:
            self._enough.clear()
            await self._enough.wait()

    def came(self, job_id: str) -> None:
        """Note a fire."""
        self.arrived.setdefault(job_id, []).append(time.time())
        if len(self.arrived) == self._wanted:
            self._enough.set()


class _Connection(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, end, body = self._seen.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
        if not end or len(body) < int(length):
            return
        self._seen = b""
        self._sink.came(json.loads(body)["job_id"])
        if self._sink.answers:
            answer = b'{"status": "accepted", "job_id": "x"}'
            self._transport.write(ACCEPTED + str(len(answer)).encode() + b"\r\n\r\n" + answer)


@asynccontextmanager
async def sink(*, answers: bool = True) -> AsyncIterator[Sink]:
    """Run a sink while the block runs."""
    made = Sink(answers=answers)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(made), "127.0.0.1", 0, backlog=4_096)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
