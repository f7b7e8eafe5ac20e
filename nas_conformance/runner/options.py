"""What the one who runs the kit gives it."""

from __future__ import annotations

import secrets

import attrs

_SECRET_MIN = 8


@attrs.frozen
class Patience:
    """How long the checks of fires wait. Seconds."""

    soon: float = 1.5
    """How far ahead a one-shot is armed that should fire."""
    retry_after: int = 2
    """What a busy agent asks for."""
    quiet: float = 3.0
    """How long nothing may come once everything has ended."""
    most: float = 60.0
    """How long to wait for a fire or a retry before it counts as missing."""
    skew: float = 0.0
    """How far the clocks of the NAS and of this machine may differ."""


@attrs.frozen
class Options:
    """What the one who runs the kit gave. Tokens are never shown."""

    base_url: str
    token: str = attrs.field(repr=False)
    second: str | None = attrs.field(default=None, repr=False)
    expired: str | None = attrs.field(default=None, repr=False)
    unprovisioned: str | None = attrs.field(default=None, repr=False)
    receive: bool = False
    receive_port: int = 0
    callback_url: str | None = None
    jwks: str | None = None
    issuer: str | None = None
    audience: str | None = None
    patience: Patience = attrs.field(factory=Patience)
    examples: int = 30
    """How many random requests of each kind, and how many random stories."""
    seed: int = attrs.field(factory=lambda: secrets.randbelow(1_000_000))
    deadline: float = 300.0
    """Seconds after which no further check is begun."""

    def has(self, need: str) -> bool:
        """Whether a need of a check is met."""
        return bool(getattr(self, need))

    @property
    def secrets(self) -> list[str]:
        """Every token, to be kept out of reports, the longest first: it may hold another.

        One of a few letters is no secret.
        """
        tokens = (self.token, self.second, self.expired, self.unprovisioned)
        secret = [token for token in tokens if token and len(token) >= _SECRET_MIN]
        return sorted(secret, key=len, reverse=True)
