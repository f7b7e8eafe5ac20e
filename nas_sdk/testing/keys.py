"""A signing key for fire tokens in tests. ImportError when used without the extra `webhooks`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nas_sdk.webhooks._keys import require_pyjwt

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

LIFETIME = 90
"""Seconds from `iat` to `exp`."""


class FireKey:
    """An ES256 key, made when first used."""

    def __init__(self) -> None:
        self.kid = secrets.token_hex(8)

    @cached_property
    def private(self) -> EllipticCurvePrivateKey:
        """The private key itself, for tokens that `sign` does not make."""
        require_pyjwt("signing fire tokens")
        from cryptography.hazmat.primitives.asymmetric import ec

        return ec.generate_private_key(ec.SECP256R1())

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token with these claims, `iat` and `exp` by the real clock; None leaves one out."""
        require_pyjwt("signing fire tokens")
        import jwt

        now = int(time.time())
        payload = {"iat": now, "exp": now + LIFETIME, **claims}
        kept = {name: value for name, value in payload.items() if value is not None}
        return jwt.encode(kept, self.private, algorithm="ES256", headers={"kid": self.kid})

    def public_jwk(self) -> dict[str, Any]:
        """The public half, as a JWK."""
        require_pyjwt("signing fire tokens")
        from jwt.algorithms import ECAlgorithm

        jwk = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "use": "sig", "alg": "ES256"}
