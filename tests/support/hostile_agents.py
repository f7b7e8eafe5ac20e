"""Agents that answer a fire as no agent should, on real sockets of the loopback.

A shape is what becomes of one connection once the request is in: it sends, holds or ends.
"""

import asyncio
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from itertools import cycle

import attrs

PIECE = 65_536


class Wire:
    """The hostile end of one connection."""

    def __init__(self, sock: socket.socket, agent: "HostileAgent") -> None:
        self._sock = sock
        self._agent = agent
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Send; what is taken counts as taken from the agent."""
        view = memoryview(data)
        while view:
            piece = view[:PIECE]
            await self._loop.sock_sendall(self._sock, piece)
            self._agent.taken += len(piece)
            view = view[PIECE:]

    async def send_urgent(self, data: bytes) -> None:
        """Send a byte out of band, and the rest after it."""
        self._sock.send(data[:1], socket.MSG_OOB)
        await self.send(data[1:])

    async def flood(self, pieces: Iterator[bytes] | bytes) -> None:
        """Send without end; returns when the other side will have no more."""
        for piece in cycle([pieces]) if isinstance(pieces, bytes) else pieces:
            await self.send(piece)

    async def drip(self, data: bytes) -> None:
        """Send byte for byte, as slowly as the other side takes it, and then hold."""
        for at in range(len(data)):
            await self.send(data[at : at + 1])
            await asyncio.sleep(0.001)
        await self.hold()

    async def read(self) -> bytes:
        """What has come."""
        return await self._loop.sock_recv(self._sock, PIECE)

    async def hold(self) -> None:
        """Keep the connection until the other side ends it, or the test is over."""
        while await self.read():
            pass

    def end_sending(self) -> None:
        """Close one half."""
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End it with a reset in place of an end."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


Shape = Callable[[Wire], Awaitable[None]]


@attrs.define(eq=False)
class HostileAgent:
    """Where it listens, and what was done to it."""

    url: str = ""
    connections: int = 0
    open: int = 0
    taken: int = 0
    """Bytes of its answers that the other side's kernel took."""
    held: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set when a connection has had its request."""


@contextmanager
def deaf_agent() -> Iterator[str]:
    """Have an agent whose kernel takes no connection, for nobody accepts any; yield its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as stack:
        for _ in range(4):  # more than wait to be accepted
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def hostile_agent(shape: Shape, *, reads: bool = True) -> AsyncIterator[HostileAgent]:
    """Run an agent of a shape while the block runs; unless it ``reads``, not even the request."""
    agent = HostileAgent()
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(sock: socket.socket) -> None:
        wire = Wire(sock, agent)
        agent.open += 1
        try:
            with suppress(OSError):
                if reads:
                    await wire.read()
                agent.held.set()
                await shape(wire)
        finally:
            agent.open -= 1
            sock.close()

    async def accept(listener: socket.socket) -> None:
        while True:
            sock, _ = await loop.sock_accept(listener)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE)
            agent.connections += 1
            tasks.add(asyncio.create_task(serve(sock)))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        agent.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        accepting = asyncio.create_task(accept(listener))
        try:
            yield agent
        finally:
            for task in (accepting, *tasks):
                task.cancel()
            await asyncio.gather(accepting, *tasks, return_exceptions=True)


HEAD = b"HTTP/1.1 503 Busy\r\n"
SHAPES: dict[str, Shape] = {}


def _shape(name: str) -> Callable[[Shape], Shape]:
    def add(shape: Shape) -> Shape:
        SHAPES[name] = shape
        return shape

    return add


def _flooding(name: str, before: bytes, pieces: bytes) -> None:
    """Add a shape that sends ``before`` once and ``pieces`` without end."""

    async def shape(wire: Wire) -> None:
        await wire.send(before)
        await wire.flood(pieces * max(1, PIECE // len(pieces)))

    SHAPES[name] = shape


def _sending(name: str, data: bytes, *, then: str = "hold") -> None:
    """Add a shape that sends ``data`` and then holds the connection, or ends it."""

    async def shape(wire: Wire) -> None:
        await wire.send(data)
        if then == "hold":
            await wire.hold()
        elif then == "half":
            wire.end_sending()
            await wire.hold()

    SHAPES[name] = shape


_flooding("100 without end", b"", b"HTTP/1.1 100 Continue\r\n\r\n")
_flooding("103 without end", b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
_flooding(
    "every 1xx without end",
    b"",
    b"".join(b"HTTP/1.1 %d X\r\n\r\n" % code for code in range(100, 200) if code != 101),
)
_flooding("headers without end", HEAD, b"X-A: b\r\n")
_flooding("a header without end", HEAD + b"X-A: ", b"b" * 1_000)
_flooding("a status line without end", b"HTTP/1.1 503 ", b"b" * 1_000)
_flooding("folded headers without end", HEAD + b"X-A: b\r\n", b" b\r\n")
_flooding("line ends without end", b"", b"\r\n")
_flooding("garbage without end", b"", random.Random(7).randbytes(PIECE))
_flooding("zeros without end", b"", bytes(PIECE))
_flooding("a body without end", HEAD + b"Content-Length: 999999999999\r\n\r\n", b"b" * 1_000)
_flooding("a body of no length without end", HEAD + b"\r\n", b"b" * 1_000)
_flooding("chunks without end", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nb\r\n")
_flooding("a chunk size without end", HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0")
_flooding("a chunk extension without end", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x")
_flooding("trailers without end", HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n")
_flooding("more after a whole answer", HEAD + b"Content-Length: 0\r\n\r\n", b"HTTP/1.1 202 X\r\n")
_flooding("answers without end", b"", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
_flooding(
    "a gzip bomb",
    HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1f\r\n",
    b"\x1f\x8b\x08\x00" + bytes(1_000),
)
_flooding("a TLS alert without end", b"", b"\x15\x03\x03\x00\x02\x02\x28")

_sending("nothing", b"")
_sending("half a head", HEAD + b"X-A: b\r\n")
_sending("half a status line", b"HTTP/1.1 50")
_sending("a head without its body", HEAD + b"Content-Length: 10\r\n\r\n")
_sending("chunks that do not go on", HEAD + b"Transfer-Encoding: chunked\r\n\r\na\r\nb")
_sending("an end at once", b"", then="end")
_sending("an end in the head", HEAD + b"X-A", then="end")
_sending("an end in the body", HEAD + b"Content-Length: 10\r\n\r\nb", then="end")
_sending("a half close without an answer", b"", then="half")
_sending("a half close in the head", HEAD, then="half")
_sending("a half close in the body", HEAD + b"Content-Length: 10\r\n\r\n", then="half")
_sending("HTTP/0.9", b"<html>busy</html>\r\n", then="half")
_sending("HTTP/2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18))
_sending("another status line", b"HTTP/1.1 5O3 Busy\r\n\r\n")
_sending("a status of none", b"HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n")
_sending("a status of four digits", b"HTTP/1.1 2020 OK\r\nContent-Length: 0\r\n\r\n")
_sending("status 999", b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n")
_sending("an upgrade", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
_sending("a negative length", HEAD + b"Content-Length: -1\r\n\r\n", then="half")
_sending("two lengths", HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nb")
_sending("length and chunks", HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0")
_sending("a redirect to itself", b"HTTP/1.1 307 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
_sending("eight bits in a header", HEAD + b"X-A: \xff\xfe\r\nContent-Length: 0\r\n\r\n")


@_shape("a dripping head")
async def _dripping_head(wire: Wire) -> None:
    await wire.drip(HEAD + b"X-A: " + b"b" * 10**6)


@_shape("a dripping body")
async def _dripping_body(wire: Wire) -> None:
    await wire.drip(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"b" * 10**6)


@_shape("dripping 100s")
async def _dripping_100s(wire: Wire) -> None:
    await wire.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 10**4)


@_shape("a reset")
async def _reset(wire: Wire) -> None:
    wire.reset()


@_shape("a reset in the body")
async def _reset_in_the_body(wire: Wire) -> None:
    await wire.send(HEAD + b"Content-Length: 10\r\n\r\nb")
    wire.reset()


TLS_SHAPES: dict[str, Shape] = {name: SHAPES[name] for name in ("nothing", "an end at once")}


def _tls_flood(name: str, before: bytes, pieces: bytes) -> None:
    async def shape(wire: Wire) -> None:
        await wire.send(before)
        await wire.flood(pieces * max(1, PIECE // len(pieces)))

    TLS_SHAPES[name] = shape


_tls_flood("HTTP in place of TLS", b"", b"HTTP/1.1 100 Continue\r\n\r\n")
_tls_flood("alerts that only warn", b"", b"\x15\x03\x03\x00\x02\x01\x5a")
_tls_flood("empty records", b"", b"\x16\x03\x03\x00\x00")
_tls_flood("a handshake message without end", b"\x16\x03\x03\x40\x00\x02\xff\xff\xff", bytes(1_000))
_tls_flood("a record without end", b"\x16\x03\x03\xff\xff", bytes(1_000))


async def tls_shape(wire: Wire) -> None:
    """Over real TLS: 100s without end."""
    await wire.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000)


class TlsWire(Wire):
    """The hostile end of a connection with TLS."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: HostileAgent
    ) -> None:
        super().__init__(writer.get_extra_info("socket"), agent)
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
        self._agent.taken += len(data)

    async def send_urgent(self, data: bytes) -> None:
        await self.send(data)  # TLS has no such thing

    async def read(self) -> bytes:
        return await self._reader.read(PIECE)

    def end_sending(self) -> None:
        self._writer.transport.close()  # likewise

    def reset(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def hostile_tls_agent(
    context: ssl.SSLContext, shape: Shape = tls_shape, *, reads: bool = True
) -> AsyncIterator[HostileAgent]:
    """Run an agent that speaks TLS well and HTTP badly."""
    agent = HostileAgent()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        agent.connections += 1
        agent.open += 1
        try:
            with suppress(OSError):
                if reads:
                    await reader.read(PIECE)
                agent.held.set()
                await shape(TlsWire(reader, writer, agent))
        finally:
            agent.open -= 1
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    agent.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield agent
    finally:
        server.close()
