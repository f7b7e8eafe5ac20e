"""How often somebody may try to log in with what is not the token."""

import math
from collections import OrderedDict
from typing import Final

TRIES: Final = 5
EVERY_MS: Final = 10_000
"""A try that was used up comes back after so long."""
ADDRESSES: Final = 1_000
"""How many addresses are known apart; whoever is forgotten starts anew."""


class Throttle:
    """A few tries at once for each address, then one at a time. Pure."""

    def __init__(self) -> None:
        """Know of nobody."""
        self._free_at: OrderedDict[str, int] = OrderedDict()

    def wait_s(self, address: str, now: int) -> int:
        """Take a try and return 0; or return how many seconds to wait for the next."""
        free_at = max(self._free_at.pop(address, now), now)
        self._free_at[address] = free_at
        if len(self._free_at) > ADDRESSES:
            self._free_at.popitem(last=False)
        wait = free_at - now - (TRIES - 1) * EVERY_MS
        if wait > 0:
            return math.ceil(wait / 1_000)
        self._free_at[address] = free_at + EVERY_MS
        return 0
