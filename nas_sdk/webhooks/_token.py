"""One fire token: what it must look like, and what it must say. No I/O; time is an argument.

PyJWT verifies the signature, with an algorithm and a key that we chose. Everything around
it is checked here, because a fire token is narrower than what a JWT library accepts: one
audience, no keys or extensions brought along, nothing said twice.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from .._core.strict_json import UnreadableError, read_object
from ._keys import ALGORITHMS, VerifyKey, require_pyjwt
from .errors import LIFETIME_MAX, TOKEN_MAX, FireRefused, Reason

if TYPE_CHECKING:
    from jwt import PyJWS

PURPOSE: Final = "cron_fire"

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# By length modulo 4: the characters a base64url text may end with if no stray bits are set.
_ENDINGS = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
_UNWANTED = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64"})
_YEAR_10000 = 253402300800


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


def read_header(token: object) -> Header:
    """The header of a well-formed token. Nothing is verified; raises FireRefused."""
    if not isinstance(token, str):  # whatever a framework handed over
        raise FireRefused("malformed")
    if len(token) > TOKEN_MAX:
        raise FireRefused("oversized")
    match = _COMPACT.fullmatch(token)
    if match is None or not all(map(_is_canonical, match.groups())):
        raise FireRefused("malformed")
    return _read_header(match[1])


# All tokens of one key have the same header; a refusal is not kept.
@lru_cache(maxsize=32)
def _read_header(segment: str) -> Header:
    members = _read_object(_decode(segment), "malformed")
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
    jws, wrong_signature = _pyjws()
    try:
        payload: bytes = jws.decode(token, key.key, algorithms=[alg])
    except wrong_signature:
        raise FireRefused("signature") from None
    except Exception:  # whatever a hostile token makes the libraries do
        raise FireRefused("malformed") from None
    return payload


@cache
def _pyjws() -> tuple[PyJWS, type[Exception]]:
    """What verifies signatures, and what it raises for a wrong one."""
    require_pyjwt()
    from jwt import InvalidSignatureError, PyJWS

    return PyJWS(algorithms=ALGORITHMS), InvalidSignatureError


def _is_canonical(segment: str) -> bool:
    """Whether there is no other base64url text of the same bytes."""
    rest = len(segment) % 4
    return rest == 0 or (rest != 1 and segment[-1] in _ENDINGS[rest])


def _decode(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _read_object(data: bytes, reason: Reason) -> dict[str, Any]:
    try:
        return read_object(data)
    except UnreadableError:
        raise FireRefused(reason) from None
