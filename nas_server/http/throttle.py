"""How often somebody may do something. Pure."""

import ipaddress
import math
from collections import OrderedDict


def host_of(address: str | None) -> str:
    """Return what tells whoever has an address from others: of IPv6 that is its network, /64.

    A host has all of that, and one address of IPv4.
    """
    try:
        ip = ipaddress.ip_address(address or "")
    except ValueError:
        return address or ""
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))


class Throttle:
    """Token bucket per key."""

    def __init__(self, at_once: int, every_ms: float, known: int, beyond: int = 0) -> None:
        """Give back a time that was used up after ``every_ms``.

        So many are ``known`` apart; whoever is forgotten starts anew. No more times than
        ``beyond`` are used up that are not there yet.
        """
        self._full_ms = at_once * every_ms
        self._most_ms = self._full_ms + beyond * every_ms
        self._every_ms = every_ms
        self._known = known
        self._free_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, who: str, now: int) -> int:
        """Use up a time and return 0; or return how many seconds to wait for the next."""
        free_at = max(self._free_at.pop(who, now), now)
        if free_at > now + self._most_ms:  # the clock was set back
            free_at = now + self._full_ms
        self._free_at[who] = free_at
        if len(self._free_at) > self._known:
            self._free_at.popitem(last=False)
        wait = free_at + self._every_ms - self._full_ms - now
        if wait > 0:
            return math.ceil(wait / 1_000)
        self._free_at[who] = free_at + self._every_ms
        return 0

    def use_up(self, who: str, times: int, now: int) -> None:
        """Use up so many times more, for somebody who has just not had to wait."""
        if who in self._free_at:
            used = max(self._free_at[who], now) + times * self._every_ms
            self._free_at[who] = min(used, now + self._most_ms)
