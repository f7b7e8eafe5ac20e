"""Which agents NAS may call: the callback URL, and the address it leads to.

A NAS that calls whatever it is told could be sent after services of its own network. So
an address that is not public is refused, unless private callbacks are allowed: when the
URL is armed as far as it can be seen there, and again when the connection is made.
"""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from nas_sdk._core.validation import check_callback_url
from nas_sdk.errors import InvalidRequestError
from nas_server.delivery.connecting import Address

_FIELD = "agent_callback_url"
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out. NAT64, v4-compatible and site-local addresses lie outside."""
_NOT_PUBLIC: Final = tuple(
    ipaddress.IPv4Network(each) for each in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
)
"""What Pythons of 2023 take for public, and where clouds keep their metadata."""
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_6TO4: Final = ipaddress.IPv6Network("2002::/16")
"""Leads, like NAT64, to any IPv4 address. Teredo does too, but counts as not global."""


def fire_url(callback_url: str) -> str:
    """Return where the fires of an agent go."""
    return f"{callback_url.rstrip('/')}/api/cron/fire"


def check(callback_url: object, *, allow_private: bool) -> str:
    """Return the URL when NAS may arm it; InvalidRequestError in words when not."""
    if not isinstance(callback_url, str):
        raise _refused("is not a text")
    return _checked(callback_url, allow_private)


@lru_cache(4_096)  # an agent arms all its jobs under one URL
def _checked(callback_url: str, allow_private: bool) -> str:
    try:
        parts = urlsplit(check_callback_url(callback_url))
        host, port = parts.hostname, parts.port
    except InvalidRequestError:
        raise
    except ValueError:  # a port that is none, or brackets around no address
        raise _refused("has no usable host and port") from None
    if not host or port == 0:
        raise _refused("has no usable host and port")
    if "@" in parts.netloc:
        raise _refused("must not hold credentials")
    if (why := _why_unreachable(host)) is not None:
        raise _refused(why)
    if not allow_private and _is_private_host(host):
        raise _refused("is a private address; this NAS calls public ones only")
    return callback_url


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{_FIELD}: {why}", field=_FIELD)


def _why_unreachable(host: str) -> str | None:
    """Return why no connection to a host can ever be made; None when one may be."""
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        labels = host.removesuffix(".").split(".")
        if _NUMBER.fullmatch(labels[-1]):  # no name ends so, and no short form is an address here
            return "has a host that is no IPv4 address in its four-part form, and no name"
        if not all(map(_LABEL.fullmatch, labels)) or len(host) > 253 + host.endswith("."):
            return "has a host that is no name and no address"
        return None
    if ip.is_multicast or ip == _BROADCAST:
        return "is an address of many hosts"
    return None


def _is_private_host(host: str) -> bool:
    if host.rstrip(".").rpartition(".")[2] == "localhost":
        return True
    try:
        return is_private(host)
    except ValueError:
        return False  # a name: what it stands for is seen when the connection is made


def is_private(address: str) -> bool:
    """Tell whether an IP address is anything but a public unicast one; ValueError if none."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if isinstance(ip, ipaddress.IPv6Address) and (ip not in _GLOBAL_UNICAST or ip in _6TO4):
        return True
    if isinstance(ip, ipaddress.IPv4Address) and any(ip in each for each in _NOT_PUBLIC):
        return True
    return not ip.is_global or ip.is_multicast


class PrivateAddressError(OSError):
    """A callback URL led to an address that is not public."""


def public(found: Sequence[Address]) -> list[Address]:
    """Return those of the addresses found for a host that are public; an error for none.

    Asked once names were resolved, no answer of a name server can get around it: what is left
    is connected to, and nothing is resolved again.
    """
    left = [each for each in found if not is_private(each[4][0])]
    if not left:
        raise PrivateAddressError("the callback URL leads to a private address")
    return left
