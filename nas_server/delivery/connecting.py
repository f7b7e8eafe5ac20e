"""A socket that is connected to a host: names looked up, its addresses tried beside each other."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any

from aiohttp.abc import AbstractResolver

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""An entry as of `socket.getaddrinfo`: family, kind, protocol, name, address."""
MakeSocket = Callable[[Address], socket.socket]


async def addresses(host: str, port: int, resolver: AbstractResolver, most: int) -> list[Address]:
    """Return what a host stands for, ``most`` of it; OSError when it stands for nothing."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        found = await resolver.resolve(host, port, socket.AF_UNSPEC)
        return _in_turn([_address(each["family"], each["host"], port) for each in found])[:most]
    return [_address(socket.AF_INET if ip.version == 4 else socket.AF_INET6, host, port)]


def _in_turn(found: list[Address]) -> list[Address]:
    """Return IPv6 and IPv4 alternating (RFC 8305): where one leads nowhere, the other is near."""
    first = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    return [each for each in chain(*zip_longest(first, others)) if each is not None]


def _address(family: int, host: str, port: int) -> Address:
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


async def connect(
    found: Sequence[Address], make_socket: MakeSocket, next_s: float
) -> socket.socket:
    """Connect to whichever address answers first; the error of the last when none does.

    Each is tried for ``next_s`` before the next is tried beside it.
    """
    if len(found) == 1:
        return await _connect_to(found[0], make_socket)
    waiting: set[asyncio.Task[socket.socket]] = set()
    error: BaseException = OSError("the host has no address")
    try:
        for number, each in enumerate(found, 1):
            waiting.add(asyncio.create_task(_connect_to(each, make_socket)))
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


async def _connect_to(address: Address, make_socket: MakeSocket) -> socket.socket:
    sock = make_socket(address)
    try:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, address[4])
    except BaseException:
        sock.close()
        raise
    return sock


def any_socket(address: Address) -> socket.socket:
    """Make the socket for a connection to any address."""
    family, kind, protocol, _, _ = address
    return socket.socket(family, kind, protocol)
