"""Whatever arrives on a socket, an error answer is JSON as the contract has it, or none."""

import asyncio
import json
from itertools import product

import pytest

from nas_server.store import MemoryStore
from tests.support.nas_in_process import Hosted, hosted
from tests.support.patience import PATIENCE_S

PATHS = [
    "/api/agent-cron/provision",
    "/api/agent-cron/list",
    "/admin/state",
    "/admin/login",
    "/healthz",
    "/oauth/token",
    "/nothing",
]
METHODS = ["GET", "POST", "HEAD", "DELETE", "BREW"]
JSON = "Content-Type: application/json"
CHUNKED = f"{JSON}\r\nTransfer-Encoding: chunked"
HEADERS = {
    "plain": ("", ""),
    "a body": (f"{JSON}\r\nContent-Length: 2", "{}"),
    "unknown expectation": ("Expect: x", ""),
    "known expectation": (f"{JSON}\r\nContent-Length: 2\r\nExpect: 100-continue", "{}"),
    "no number": (f"{JSON}\r\nContent-Length: x", "{}"),
    "two lengths": (f"{JSON}\r\nContent-Length: 2\r\nContent-Length: 3", "{}"),
    "length and chunks": (f"{CHUNKED}\r\nContent-Length: 2", "2\r\n{}\r\n0\r\n\r\n"),
    "no chunks": (CHUNKED, "no number\r\n{}\r\n0\r\n\r\n"),
    "unknown coding": (f"{JSON}\r\nTransfer-Encoding: x", "{}"),
    "compressed": (f"{JSON}\r\nContent-Encoding: gzip\r\nContent-Length: 2", "{}"),
    "too large": (f"{JSON}\r\nContent-Length: 70000", "x" * 70_000),
    "other type": ("Content-Type: text/x\r\nContent-Length: 2", "{}"),
    "long header": (f"X: {'x' * 9_000}", ""),
    "many headers": ("\r\n".join(f"X{n}: {'x' * 80}" for n in range(2_000)), ""),
    "no name": (": x", ""),
    "no colon": ("x", ""),
    "a NUL": ("X: \0", ""),
    "a fold": ("X: x\r\n x", ""),
    "upgrade": ("Connection: upgrade\r\nUpgrade: websocket", ""),
    "bad cookie": ('Cookie: "\x01=;;=', ""),
    "bad token": ("Authorization: Bearer \xff", ""),
    "bad host": ("Host: [::", ""),
    "bad range": ("Range: x", ""),
}
LINES = {
    "no line": "\r\n\r\n",
    "words": "hello\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": "GET /healthz\r\n\r\n",
    "HTTP/1.0": "GET /nothing HTTP/1.0\r\n\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9": "GET /nothing HTTP/9.9\r\n\r\n",
    "lone LF": "GET /nothing HTTP/1.1\nHost: x\n\n",
    "lone CR": "GET /nothing HTTP/1.1\rHost: x\r\r",
    "long line": f"GET /{'x' * 70_000} HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": "GET /nothing HTTP/1.1\r\n\r\n",
    "absolute": "GET http://x/nothing HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad absolute": "GET http://[/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "asterisk": "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad escape": "GET /%zz%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad method": "G@T\0 / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space": "GET /no thing HTTP/1.1\r\nHost: x\r\n\r\n",
    "letters": "GET /\xe4 HTTP/1.1\r\nHost: x\r\n\r\n",
}


def requests(path: str) -> dict[str, str]:
    """Every method with every kind of headers."""
    return {
        f"{method} {name}": f"{method} {path} HTTP/1.1\r\nHost: x\r\n"
        f"{more}{more and chr(13) + chr(10)}"
        f"Connection: close\r\n\r\n{body}"
        for method, (name, (more, body)) in product(METHODS, HEADERS.items())
    }


async def said(nas: Hosted, request: str) -> bytes:
    """All that is answered until the connection ends."""
    host, port = nas.url.removeprefix("http://").split(":")
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(request.encode("latin-1"))
            writer.write_eof()
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


def check(answer: bytes, *, has_body: bool) -> int:
    """Check an answer, and return its status; 0: there is none."""
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    if not answer:
        return 0
    head, _, body = answer.decode().partition("\r\n\r\n")
    line, *headers = head.split("\r\n")
    status = int(line.split()[1])
    named = {name.lower(): value for name, _, value in (each.partition(": ") for each in headers)}
    if status >= 400:
        assert named["content-type"].startswith("application/json"), (head, body)
        if has_body:
            told = json.loads(body)
            assert set(told) == {"error", "error_description"}
            assert len(told["error_description"]) <= 1_024
        assert (status == 405) == ("allow" in named)
    assert status < 500, (head, body)
    return status


# What listens within the server sees what aiohttp would have answered; here it is judged below.
@pytest.mark.off_contract("request", "response")
@pytest.mark.parametrize("path", PATHS)
async def test_every_error_is_one_of_the_contract(path: str) -> None:
    async with hosted(MemoryStore()) as nas:
        statuses = set()
        for name, request in requests(path).items():
            answer = await said(nas, request)
            try:
                statuses.add(check(answer, has_body=not name.startswith("HEAD")))
            except (AssertionError, ValueError) as error:
                raise AssertionError(name) from error
        assert statuses <= {0, 200, 303, 400, 401, 403, 404, 405}


@pytest.mark.parametrize("name", LINES)
async def test_what_is_no_request_is_told_so_or_hung_up_on(name: str) -> None:
    async with hosted(MemoryStore()) as nas:
        assert check(await said(nas, LINES[name]), has_body=True) in (0, 400, 404, 405, 505)
