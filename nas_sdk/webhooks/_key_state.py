"""When a set of keys is good, and when to fetch it anew. No I/O; time is an argument.

`jwks.py` says what the rules are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ._keys import VerifyKey

_MOMENT: Final = 2.0
_FETCHES_MAX: Final = 2
"""A fetch that counts as lost may be replaced once; it still has a thread and a connection."""


class KeySetState:
    """Which keys are good at `now`, and whether to fetch them anew. Pure; seconds everywhere.

    `now` may jump: a time that lies ahead counts as long ago, so that a clock that is set
    back costs a fetch and keeps no key alive. Only a moment ahead is no jump: threads that
    read the clock may arrive in another order.
    """

    def __init__(self, lifespan: float, stale_for: float, cooldown: float, patience: float) -> None:
        """patience: after this long a fetch that has not ended counts as lost."""
        self._lifespan = lifespan
        self._usable_for = lifespan + stale_for
        self._cooldown = cooldown
        self._patience = patience
        # One attribute, replaced as a whole: it is read without a lock.
        self._kept: tuple[Mapping[str, VerifyKey], float | None] = ({}, None)
        self._began: float | None = None
        self._fetches = 0
        self._failed: float | None = None
        self._failures = 0
        self._probed: float | None = None

    def find(self, kid: str, now: float) -> tuple[VerifyKey | None, bool]:
        """The key, None when there is none that is good; and whether the keys are fresh."""
        keys, fetched = self._kept
        age = _since(fetched, now)
        return (keys.get(kid) if age < self._usable_for else None), age < self._lifespan

    def is_warm(self, now: float) -> bool:
        """Whether there are keys that are good, fresh or stale."""
        return _since(self._kept[1], now) < self._usable_for

    def is_fetching(self, now: float) -> bool:
        """Whether a fetch is under way."""
        return _since(self._began, now) < self._patience

    def begin(self, kid: str | None, now: float) -> bool:
        """Whether to fetch now, for the sake of `kid` or of no key in particular.

        If so, the fetch has begun: `succeeded` or `failed` must follow.
        """
        if self.is_fetching(now) or self._fetches >= _FETCHES_MAX:
            return False
        if _since(self._failed, now) < self._pause():
            return False
        if _since(self._kept[1], now) < self._lifespan and not self._may_probe(kid, now):
            return False
        self._began = now
        self._fetches += 1
        return True

    def _may_probe(self, kid: str | None, now: float) -> bool:
        if kid is None or kid in self._kept[0] or _since(self._probed, now) < self._cooldown:
            return False
        self._probed = now
        return True

    def _pause(self) -> float:
        return min(self._cooldown, 2.0 ** (self._failures - 1)) if self._failures else 0.0

    def abandon(self) -> None:
        """Whoever fetched is gone: nobody does."""
        self._began = None
        self._fetches = 0

    def succeeded(self, keys: Mapping[str, VerifyKey], began: float) -> None:
        """The fetch that began then brought these keys."""
        self._kept = (keys, began)
        self._began = self._failed = None
        self._fetches -= 1
        self._failures = 0

    def failed(self, now: float) -> int:
        """The fetch has failed; returns how many have, one after the other."""
        self._began, self._failed = None, now
        self._fetches -= 1
        self._failures += 1
        return self._failures


def _since(moment: float | None, now: float) -> float:
    if moment is None or moment - now > _MOMENT:
        return float("inf")
    return max(0.0, now - moment)
