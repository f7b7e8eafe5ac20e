"""One fire token: what it must look like, and what it must say. No I/O; time is an argument.

PyJWT verifies the signature, with an algorithm and a key that we chose. Everything around
it is checked here, because a fire token is narrower than what a JWT library accepts: one
audience, no keys or extensions brought along, nothing said twice.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import attrs

from .errors import NasError
from .keys import ALGORITHMS, VerifyKey, require_pyjwt

if TYPE_CHECKING:
    from jwt import PyJWS

PURPOSE: Final = "cron_fire"
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

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# By length modulo 4: the characters a base64url text may end with if no stray bits are set.
_ENDINGS = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
_UNWANTED = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
_YEAR_10000 = 253402300800


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
        self.reason = reason

    @property
    def answer(self) -> dict[str, str]:
        """The same body for every refusal."""
        return {"error": "invalid fire token"}


@attrs.frozen
class FireClaims:
    """What a verified fire token says. Times are seconds since the epoch."""

    issuer: str
    audience: str
    purpose: str
    issued_at: float
    expires_at: float
    key_id: str | None
    raw: Mapping[str, Any] = attrs.field(repr=False, eq=False)
    """Every claim as it was sent, those unknown to us included."""


class Rules(NamedTuple):
    """What a token must say; `issuer` without slashes at its end, None for any issuer."""

    audience: str
    issuer: str | None
    leeway: float


class Header(NamedTuple):
    """What an unverified token says about its key."""

    alg: str
    kid: str | None


def read_header(token: str) -> Header:
    """The header of a well-formed token. Nothing is verified; raises FireRefused."""
    if len(token) > TOKEN_MAX:
        raise FireRefused("oversized")
    match = _COMPACT.fullmatch(token)
    if match is None or not all(map(_is_canonical, match.groups())):
        raise FireRefused("malformed")
    members = _read_object(_decode(match[1]), "malformed")
    if not _UNWANTED.isdisjoint(members):
        raise FireRefused("header")
    alg, kid = members.get("alg"), members.get("kid")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise FireRefused("algorithm")
    if kid is not None and not isinstance(kid, str):
        raise FireRefused("malformed")
    return Header(alg, kid)


def check_token(token: str, header: Header, key: VerifyKey, rules: Rules, now: float) -> FireClaims:
    """The claims of a token that holds in every way; raises FireRefused for any other."""
    if header.alg not in key.algorithms:
        raise FireRefused("algorithm")
    claims = _read_object(_verified_payload(token, header.alg, key), "claims")
    if claims.get("aud") != rules.audience:
        raise FireRefused("audience")
    if claims.get("purpose") != PURPOSE:
        raise FireRefused("purpose")
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        raise FireRefused("claims")
    if rules.issuer is not None and issuer.rstrip("/") != rules.issuer:
        raise FireRefused("issuer")
    issued_at, expires_at = _check_times(claims, rules.leeway, now)
    return FireClaims(issuer, rules.audience, PURPOSE, issued_at, expires_at, header.kid, claims)


def _check_times(claims: Mapping[str, Any], leeway: float, now: float) -> tuple[float, float]:
    issued_at, expires_at = _seconds(claims, "iat"), _seconds(claims, "exp")
    if now >= expires_at + leeway:
        raise FireRefused("expired")
    if issued_at > now + leeway:
        raise FireRefused("issued_in_future")
    if "nbf" in claims and _seconds(claims, "nbf") > now + leeway:
        raise FireRefused("not_yet_valid")
    if not 0 < expires_at - issued_at <= LIFETIME_MAX:
        raise FireRefused("lifetime")
    return issued_at, expires_at


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name, "")
    # The exact types, as True is an int; the range also keeps NaN and infinity out.
    if type(value) not in (int, float) or not 0 <= value < _YEAR_10000:
        raise FireRefused("claims")
    return float(value)


def _verified_payload(token: str, alg: str, key: VerifyKey) -> bytes:
    from jwt import InvalidSignatureError

    try:
        payload: bytes = _jws().decode(token, key.key, algorithms=[alg])
    except InvalidSignatureError:
        raise FireRefused("signature") from None
    except Exception:  # whatever a hostile token makes the libraries do
        raise FireRefused("malformed") from None
    return payload


@cache
def _jws() -> PyJWS:
    require_pyjwt()
    from jwt import PyJWS

    return PyJWS(algorithms=ALGORITHMS)


def _is_canonical(segment: str) -> bool:
    """Whether there is no other base64url text of the same bytes."""
    rest = len(segment) % 4
    return rest == 0 or (rest != 1 and segment[-1] in _ENDINGS[rest])


def _decode(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _read_object(data: bytes, reason: Reason) -> dict[str, Any]:
    try:
        return read_object(data)
    except ValueError:
        raise FireRefused(reason) from None


def read_object(data: bytes | str) -> dict[str, Any]:
    """The JSON object in UTF-8, or ValueError; no member twice, no NaN, none nested too deep.

    Of a member that is there twice, two readers may believe different ones.
    """
    try:
        value = _JSON.decode(data if isinstance(data, str) else data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# Made once: json.loads with these arguments makes a decoder for every call.
_JSON = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
