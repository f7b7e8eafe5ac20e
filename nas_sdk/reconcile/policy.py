"""How patient a reconciler is; seconds, unless a name says otherwise."""

from __future__ import annotations

from typing import Final

import attrs


@attrs.frozen(kw_only=True)
class ReconcilePolicy:
    """Passed to a `Reconciler`, which hands it on to its worker."""

    delay: float = 2.0
    """How long a request leaves it to the event behind it to reconcile by itself."""
    backoff_first: float = 1.0
    """The first wait after a failure; it doubles each time."""
    backoff_longest: float = 60.0
    """Where the doubling ends."""
    login_wait: float = 30.0
    """The least wait after the token was refused or could not be had."""
    refused_wait: float = 900.0
    """How long NAS is left alone with what it refuses for good, as far as it tells."""
    retry_after_max: float = 3600.0
    """The longest wait that NAS may ask for: a mistaken date must not disarm an agent for good."""
    arm: float = 15.0
    """The patience of one arm ahead of the reconcile, which has more."""
    rounds: int = 3
    """How often one starts over because what is desired changed meanwhile."""


DEFAULT: Final = ReconcilePolicy()
