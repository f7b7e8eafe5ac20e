"""How a client behaves where no option says it; seconds, unless a name says otherwise."""

from __future__ import annotations

from typing import Final, NamedTuple


class ClientPolicy(NamedTuple):
    """Part of the settings of a client, and shared with its views."""

    first_step: float = 0.5
    """Upper bound of the wait after the first attempt; it doubles each time."""
    last_step: float = 8.0
    """Where the doubling ends."""
    retry_after_max: float = 60.0
    """The longest `Retry-After` that is waited for. A longer one ends the call: it is for the
    caller to come back then, and to come back sooner is what NAS asked not to do."""
    body_max: int = 64 * 1024 * 1024
    """The longest answer that is read, in bytes; a whole list of the contract fits."""
    stop: float = 0.5
    """How long an interrupted batch waits for the calls under way; the rest ends by itself."""


DEFAULT: Final = ClientPolicy()
