"""Answers that nobody thought of: each seed puts another one together from odd parts."""

import gzip
import json
from random import Random
from typing import Final

from tests.support.hostile_agents import Shape, Wire

_LONG: Final = 15_000
"""Just within what is read of a head or a body."""
_ASKED: Final = ("0", "-1", "1", "9" * 5_000, "1e9", "NaN", "0x10", "1.5", "", " ", "1, 2", "٣")
_DATES: Final = (
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Thu, 01 Jan 1970 00:00:00 -9999",
    "Mon, 00 Foo 99999999999 99:99:99 GMT",
    "Sun Nov  6 08:49:37 1994",
)
_LENGTHS: Final = ("0", "2", "00000002", "+2", "-2", "2, 2", "2,3", "0x2", "9" * 15, "9" * 5_000)
_CODINGS: Final = ("chunked", "gzip", "gzip, chunked", "chunked, chunked", "Chunked", "identity")
_STATUSES: Final = (
    *([b"200"] * 20),
    *(b"%d" % each for each in (100, 101, 199, 200, 202, 204, 205, 206, 299, 300, 304, 399)),
    *(b"%d" % each for each in (400, 401, 407, 408, 410, 417, 421, 425, 426, 429, 431, 451, 499)),
    *(b"%d" % each for each in (500, 502, 503, 504, 511, 599, 600, 999)),
    *(b"", b"0", b"20", b"2000", b"-200", b"+20", b"2 0", b"0x1", "٢٠٢".encode()),
)
_VERSIONS: Final = (
    *([b"HTTP/1.1"] * 40),
    *(b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.10"),
    *(b"HTTP/2.0", b"http/1.1", b"ICY", b" HTTP/1.1", b"\r\nHTTP/1.1", b"\x00HTTP/1.1"),
)
_REASONS: Final = (
    b"",
    b" ",
    *([b" OK"] * 9),
    b" " + b"x" * _LONG,
    b" \xff\xfe",
    b" a\x00b",
    b" a\rb",
)
_WORDS: Final[tuple[object, ...]] = (
    "accepted",
    "gone",
    "duplicate",
    "x" * 5_000,
    "\ud800",
    "",
    1,
    1e308,
    None,
    [],
    {},
)


def _said(chance: Random) -> bytes:
    """What might be taken for the contract's JSON."""
    word = json.dumps(chance.choice(_WORDS))
    return chance.choice(
        [
            b'{"status": %s, "job_id": "x"}' % word.encode(),
            b'{"status": "gone", "status": "accepted", "job_id": "x"}',
            b'{"status": "gone", "job_id": ' + b"9" * 5_000 + b"}",
            b'{"status": "gone", "job_id": NaN, "n": 1e999}',
            b"[" * _LONG,
            b'{"a":' * 3_000,
            b'{"status": "gone"' + b" " * _LONG,
            b"\xff\xfe{}",
            b"\xed\xa0\x80",
            b"\xef\xbb\xbf{}",
            gzip.compress(bytes(10**7)),
            b"",
        ]
    )


def _framed(chance: Random, content: bytes) -> tuple[list[bytes], bytes]:
    """A body, and the headers that tell, or lie about, where it ends."""
    size = b"%d" % len(content)
    chunk = b"%x" % len(content)
    chunked = b"Transfer-Encoding: chunked"
    endless = b"f" * chance.choice([1, 6, 7, 16, 5_000])
    pieces = b"".join(b"1\r\n%c\r\n" % each for each in content[:3_000])
    extension = b";x=" + b"y" * chance.choice([1, _LONG])
    trailers = b"0\r\n" + b"A: b\r\n" * chance.choice([1, 2_000])
    odd = chance.choice(_LENGTHS).encode()
    return chance.choice(
        [
            ([b"Content-Length: " + size], content),
            ([b"Content-Length: " + odd], content),
            ([b"Content-Length: " + size, b"Content-Length: " + odd], content),
            ([b"Transfer-Encoding: " + chance.choice(_CODINGS).encode()], content),
            ([chunked], chunk + b"\r\n" + content + b"\r\n0\r\n\r\n"),
            ([chunked], chunk + extension + b"\r\n" + content + b"\r\n0" + extension + b"\r\n\r\n"),
            ([chunked], pieces + b"0\r\n\r\n"),
            ([chunked], chunk + b"\r\n" + content + b"\r\n" + trailers + b"\r\n"),
            ([chunked], endless + b"\r\n" + content),
            ([chunked], b"-1\r\n" + content),
            ([chunked, b"Content-Length: " + size], content),
            ([], content),
        ]
    )


def _header(chance: Random, elsewhere: str) -> bytes:
    return chance.choice(
        [
            b"Retry-After: " + chance.choice(_ASKED + _DATES).encode(),
            b"Date: " + chance.choice(_DATES).encode(),
            b"Location: "
            + chance.choice([elsewhere, "http://169.254.169.254/", "//", ""]).encode(),
            b"Connection: " + chance.choice([b"close", b"keep-alive", b"Upgrade", b"x" * 5_000]),
            b"Content-Encoding: " + chance.choice([b"gzip", b"br", b"deflate, gzip", b"x"]),
            b"Content-Type: " + chance.choice([b"application/json", b"x" * 5_000, b"\xff"]),
            b"Set-Cookie: a=b; Domain=localhost; Path=/",
            b"Upgrade: h2c",
            b"Keep-Alive: timeout=999999999",
            b'Alt-Svc: h3=":443"',
            b"no colon",
            b": no name",
            b"A" * 5_000 + b": b",
            b"X: \x00\x01",
            b"X : space",
            b" folded",
            b"X: a\rY: b",
            b"\r\n".join([b"a:"] * chance.choice([1, 3_500])),
            b"\n".join([b"X: a", b"Y: b"]),
        ]
    )


def answer(chance: Random, elsewhere: str) -> bytes:
    """Return one answer, most often almost right."""
    end = chance.choice([b"\r\n"] * 9 + [b"\n"])
    told, body = _framed(chance, _said(chance))
    headers = told + [_header(chance, elsewhere) for _ in range(chance.randrange(4))]
    chance.shuffle(headers)
    status = chance.choice(_STATUSES)
    line = chance.choice(_VERSIONS) + b" " + status + chance.choice(_REASONS)
    return end.join([line, *headers, b"", b""]) + body


def generated(seed: int, elsewhere: str) -> tuple[Shape, bool]:
    """Return a shape, and whether it reads the request first.

    Its redirects and the like lead to the URL ``elsewhere``.
    """
    chance = Random(seed)
    wire = answer(chance, elsewhere)
    if chance.random() < 0.2:
        wire = b"HTTP/1.1 1%02d X\r\nLink: </a>\r\n\r\n" % chance.randrange(100) + wire
    if chance.random() < 0.2:  # another that nobody asked for
        wire += answer(chance, elsewhere)
    if chance.random() < 0.2:
        wire = wire[: chance.randrange(len(wire) + 1)]
    pace, end = chance.choice(_PACES), chance.choice(_ENDS)

    async def shape(connection: Wire) -> None:
        await pace(connection, wire)
        await end(connection)

    return shape, chance.random() < 0.9


async def _at_once(connection: Wire, wire: bytes) -> None:
    await connection.send(wire)


async def _dripping(connection: Wire, wire: bytes) -> None:
    await connection.drip(wire[:2_000])


async def _in_pieces(connection: Wire, wire: bytes) -> None:
    for at in range(0, len(wire), 997):
        await connection.send(wire[at : at + 997])


async def _urgent(connection: Wire, wire: bytes) -> None:
    await connection.send_urgent(wire)


async def _hold(connection: Wire) -> None:
    await connection.hold()


async def _half(connection: Wire) -> None:
    connection.end_sending()
    await connection.hold()


async def _reset(connection: Wire) -> None:
    connection.reset()


async def _end(_: Wire) -> None:
    pass


async def _flood(connection: Wire) -> None:
    await connection.flood(b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n" * 1_000)


_PACES: Final = (_at_once, _at_once, _in_pieces, _dripping, _urgent)
_ENDS: Final[tuple[Shape, ...]] = (_hold, _half, _reset, _end, _flood)
