"""A socket that is connected to a host: names looked up, its addresses tried beside each other."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice, zip_longest
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from nas_server.policy import DeliveryPolicy

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""An entry as of `socket.getaddrinfo`: family, kind, protocol, name, address."""
Sift = Callable[[Sequence[Address]], Sequence[Address]]
"""Leaves those that may be called, one at least; OSError when it is none of them."""


async def addresses(
    host: str, port: int, resolver: AbstractResolver, sift: Sift, policy: DeliveryPolicy
) -> list[Address]:
    """Return a few of what a host stands for and ``sift`` leaves; OSError for nothing."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        answers = await resolver.resolve(host, port, socket.AF_UNSPEC)
        found = [
            _address(family, each["host"], port)
            for family in dict.fromkeys(each["family"] for each in answers)
            for each in _first(policy.looked_at, answers, family)
        ]
    else:
        found = [_address(socket.AF_INET if ip.version == 4 else socket.AF_INET6, host, port)]
    return _in_turn(sift(found))[: policy.addresses]


def _first(count: int, answers: Sequence[ResolveResult], family: int) -> Iterator[ResolveResult]:
    return islice((each for each in answers if each["family"] == family), count)


def _in_turn(found: Sequence[Address]) -> list[Address]:
    """Return IPv6 and IPv4 alternating (RFC 8305): where one leads nowhere, the other is near."""
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return [each for each in chain(*zip_longest(first, others)) if each is not None]


def _address(family: int, host: str, port: int) -> Address:
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


async def connect(found: Sequence[Address], next_s: float) -> socket.socket:
    """Connect to whichever address answers first; the error of the last when none does.

    Each is tried for ``next_s`` before the next is tried beside it.
    """
    if len(found) == 1:
        return await _connect_to(found[0])
    waiting: set[asyncio.Task[socket.socket]] = set()
    error: BaseException = OSError("the host has no address")
    try:
        for number, each in enumerate(found, 1):
            waiting.add(asyncio.create_task(_connect_to(each)))
            last = number == len(found)
            while waiting:
                done, waiting = await asyncio.wait(
                    waiting,
                    timeout=None if last else next_s,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not done:
                    break
                won = [task.result() for task in done if task.exception() is None]
                for spare in won[1:]:
                    spare.close()
                if won:
                    return won[0]
                error = next(iter(done)).exception() or error
        raise error
    finally:
        await _end(waiting)


async def _end(waiting: set["asyncio.Task[socket.socket]"]) -> None:
    for task in waiting:
        task.cancel()
    for done in await asyncio.gather(*waiting, return_exceptions=True):
        if isinstance(done, socket.socket):
            done.close()


async def _connect_to(address: Address) -> socket.socket:
    family, kind, protocol, _, target = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock
