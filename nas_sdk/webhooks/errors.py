"""Why a fire is not accepted, and what to answer then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from .._typing import override
from ..errors import NasError

TOKEN_MAX: Final = 8 * 1024
"""Longest token that is read, in characters; real ones have fewer than 1,000."""
LIFETIME_MAX: Final = 600
"""Longest `exp` - `iat`, in seconds. The contract mints 60 to 120: five times as much is no
fire token of any NAS, and a stolen one must not be good for hours."""

Reason = Literal[
    "missing",
    "oversized",
    "malformed",
    "header",
    "algorithm",
    "key",
    "keys_unavailable",
    "signature",
    "claims",
    "audience",
    "issuer",
    "purpose",
    "expired",
    "not_yet_valid",
    "issued_in_future",
    "lifetime",
]

_SAID: Final[Mapping[Reason, str]] = {
    "missing": "there is no 'Authorization: Bearer …' header, or more than one",
    "oversized": f"the token is longer than {TOKEN_MAX} characters",
    "malformed": "the token is no JWT",
    "header": "the token's header brings a key of its own, or asks for an extension",
    "algorithm": "the token's algorithm is none of ours, or not its key's",
    "key": "the token names none of NAS's keys",
    "keys_unavailable": "NAS's keys could not be fetched yet",
    "signature": "the token's signature is wrong",
    "claims": "a claim is missing, twice there or of the wrong type",
    "audience": "the token is for another audience",
    "issuer": "the token is of another issuer",
    "purpose": "the token is for another purpose",
    "expired": "the token has expired; is this machine's clock right?",
    "not_yet_valid": "the token is not valid yet (nbf); is this machine's clock right?",
    "issued_in_future": "the token was issued in the future; is this machine's clock right?",
    "lifetime": f"the token lives longer than {LIFETIME_MAX} s, or ends before it begins",
}


class FireError(NasError):
    """A fire was not accepted. Answer with `status` and `answer`; NAS sends it again."""

    status = 400

    @property
    def answer(self) -> dict[str, str]:
        """The body to answer with, as the contract has it."""
        return {"error": self.message[:256]}


class FireRefused(FireError):  # noqa: N818 - a verdict, not a failure
    """The token was refused. `reason` is for programs and logs; it holds nothing of the token.

    Never tell the caller the reason: `answer` is the same for all.
    """

    status = 401

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"fire refused: {_SAID[reason]}")
        self.reason: Reason = reason

    @property
    @override
    def answer(self) -> dict[str, str]:
        """The same body for every refusal."""
        return {"error": "invalid fire token"}


class BadFireError(FireError):
    """The token is good but the body breaks the contract; `field` names the member, if one."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field
