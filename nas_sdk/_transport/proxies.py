"""Which proxy a URL is reached through, by what was passed or by the environment."""

from __future__ import annotations

import ipaddress
from importlib.util import find_spec
from urllib.request import getproxies

import httpx

from .._core.loopback import is_loopback
from ..errors import ConfigurationError


def proxy_for(url: httpx.URL, given: str | httpx.Proxy | None) -> httpx.Proxy | None:
    """The proxy for this URL, None to connect directly.

    Without one that is given, `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` decide;
    nothing on this machine is reached through one of those. ConfigurationError for a proxy
    that cannot be used.
    """
    if given is not None:
        return _checked(given, "proxy")
    named = {} if is_loopback(url.host) else getproxies()
    text = named.get(url.scheme) or named.get("all")
    port = url.port or (443 if url.scheme == "https" else 80)
    if not text or is_excepted(url.host, port, named.get("no", "")):
        return None
    return _checked(
        text if "://" in text else f"http://{text}",
        f"{url.scheme.upper() if named.get(url.scheme) else 'ALL'}_PROXY",
    )


def _checked(given: str | httpx.Proxy, name: str) -> httpx.Proxy:
    try:
        proxy = given if isinstance(given, httpx.Proxy) else httpx.Proxy(given)
    except (ValueError, TypeError, AttributeError, httpx.InvalidURL):
        raise ConfigurationError(
            f"{name}: not the URL of a proxy: http://, https:// or socks5:// with a host is needed"
        ) from None
    if not proxy.url.host:
        raise ConfigurationError(f"{name}: it names no host")
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError(
            f"{name}: a SOCKS proxy needs the package socksio: pip install 'httpx[socks]'"
        )
    return proxy


def is_excepted(host: str, port: int, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names the host: itself, a domain it is in, its network, or `*`.

    What cannot be read in the list names nothing.
    """
    return any(_names(entry.strip().lower(), host.lower(), port) for entry in no_proxy.split(","))


def _names(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name = entry.partition("://")[2] or entry
    bracketed, _, rest = name.rpartition("]")
    name, _, its_port = name.partition(":") if name.count(":") == 1 else (name, "", "")
    if bracketed:
        name, its_port = bracketed.lstrip("["), rest.lstrip(":")
    if its_port and its_port != str(port):
        return False
    address = _address(host)
    if address is None:
        name = name.lstrip("*.")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
