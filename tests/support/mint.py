"""Mint fire tokens of any kind, and the keys that verify them.

Every token is made from bytes here, and only its signature comes from PyJWT, because a
library that mints tokens refuses to mint most of the broken ones.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import Algorithm, ECAlgorithm, RSAAlgorithm, get_default_algorithms

AUDIENCE = "agent:7f3a"
ISSUER = "https://nas.example.com"
ALGORITHMS = {"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "ES256": "p256", "ES384": "p384"}
"""The algorithms that are allowed, and the `kid` of the key each is used with."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_MAKERS: Mapping[str, Callable[[], PrivateKey]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-foreign": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-short": lambda: rsa.generate_private_key(65537, 1024),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
}


@cache
def private_key(name: str) -> PrivateKey:
    """A key made once per process, by its name above."""
    return _MAKERS[name]()


def public_jwk(name: str, **changes: Any) -> dict[str, Any]:
    """The public half as a JWK whose `kid` is the name; None takes a member away."""
    key = private_key(name).public_key()
    jwk = (
        RSAAlgorithm.to_jwk(key, as_dict=True)
        if isinstance(key, rsa.RSAPublicKey)
        else ECAlgorithm.to_jwk(key, as_dict=True)
    )
    jwk.pop("key_ops", None)
    return _changed({**jwk, "kid": name, "use": "sig"}, changes)


def key_set(*names: str) -> dict[str, Any]:
    """A JWK set of these keys; without names, of all that good tokens are signed with."""
    return {"keys": [public_jwk(name) for name in names or ("rsa", "p256", "p384")]}


def public_pem(name: str) -> bytes:
    """The public half as PEM."""
    return (
        private_key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def good_claims(now: float | None = None, **changes: Any) -> dict[str, Any]:
    """What a fire token says; None takes a claim away."""
    issued = int(time.time() if now is None else now)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "purpose": "cron_fire",
        "iat": issued,
        "exp": issued + 90,
    }
    return _changed(claims, changes)


def good_token(now: float | None = None, *, alg: str = "RS256", **changes: Any) -> str:
    """A token that must be accepted, unless `changes` to its claims break it."""
    return signed(good_claims(now, **changes), alg=alg)


def signed(
    payload: Mapping[str, Any] | bytes,
    *,
    alg: str = "RS256",
    key: str | None = None,
    header: Mapping[str, Any] | bytes | None = None,
    sign_with: str | None = None,
) -> str:
    """A token of any header and payload with a right signature.

    alg: the algorithm, and what the header says unless `header` changes it.
    key: the key's name; the algorithm's own by default.
    header: members to change (None takes one away), or the whole of it as bytes.
    sign_with: the algorithm that really signs, where that is another.
    """
    name = key or ALGORITHMS[alg]
    if not isinstance(header, bytes):
        members = {"alg": alg, "kid": ALGORITHMS.get(alg, name), "typ": "JWT"}
        header = as_json(_changed(members, header or {}))
    data = payload if isinstance(payload, bytes) else as_json(payload)
    signing_input = f"{b64(header)}.{b64(data)}"
    signature = _algorithm(sign_with or alg).sign(signing_input.encode(), private_key(name))
    return f"{signing_input}.{b64(signature)}"


def _algorithm(name: str) -> Algorithm:
    return get_default_algorithms()[name]


def _changed(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**members, **changes}
    return {name: value for name, value in merged.items() if changes.get(name, value) is not None}


def as_json(value: object) -> bytes:
    """Compact JSON; NaN and the infinities as JavaScript writes them."""
    return json.dumps(value, separators=(",", ":")).encode()


def b64(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
