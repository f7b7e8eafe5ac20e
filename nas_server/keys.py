"""The keys NAS signs fire tokens with: made on first start, kept in the store, rotated.

A new key is published before it signs, for so long that no server and no cache is left
without it; an old one stays published until the last token it signed is dead.
"""

import secrets
from typing import Any, Final

import attrs
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from nas_server.policy import KEYS, KeyPolicy
from nas_server.store.base import Record, Store

ALGORITHM: Final = "ES256"

_KIND: Final = "signing_key"


@attrs.frozen
class SigningKey:
    """A private key with its name and the time from which it signs (epoch ms)."""

    kid: str
    signs_from_ms: int
    private: ec.EllipticCurvePrivateKey = attrs.field(repr=False, eq=False)

    @classmethod
    def new(cls, signs_from_ms: int) -> "SigningKey":
        """Make a key."""
        return cls(secrets.token_hex(8), signs_from_ms, ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_record(cls, kid: str, record: Record) -> "SigningKey":
        """Read a key back from the store."""
        private = serialization.load_pem_private_key(record["pem"].encode(), password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise TypeError(f"signing key {kid} is no EC key")
        return cls(kid, record["signs_from_ms"], private)

    def to_record(self) -> Record:
        """Return what the store keeps."""
        pem = self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {"signs_from_ms": self.signs_from_ms, "pem": pem.decode()}

    def public_jwk(self) -> dict[str, Any]:
        """Return the public half as a JSON Web Key (RFC 7517)."""
        jwk = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "use": "sig", "alg": ALGORITHM}


class KeyRing:
    """The keys of a store, as of a moment ago."""

    def __init__(self, store: Store, policy: KeyPolicy = KEYS) -> None:
        """Keep the keys in ``store``; call `refresh` before anything else."""
        self._policy = policy
        self._store = store
        self._keys: dict[str, SigningKey] = {}
        self._fresh_until = 0

    async def refresh(self, now: int) -> None:
        """See what the store has, if that was last done a while ago; make the first key."""
        if 0 < self._fresh_until - now <= self._policy.refresh_ms:  # not after a clock was set back
            return
        await self._load()
        if not self._keys:
            await self._add(SigningKey.new(now))
        self._fresh_until = now + self._policy.refresh_ms

    async def published(self, now: int) -> list[str]:
        """Return the names of the keys that are published, the newest first; make none."""
        await self._load()
        return [key.kid for key in self._published(now)]

    async def rotate(self, now: int) -> SigningKey:
        """Add a key that will sign from soon on, drop those long retired, return the new one."""
        await self._load()
        for kid in self._keys.keys() - {key.kid for key in self._published(now)}:
            await self._store.write(_KIND, kid, None)
            del self._keys[kid]
        # Without a key so far there is nobody to give notice to.
        notice_ms = self._policy.publish_ahead_ms if self._keys else 0
        return await self._add(SigningKey.new(now + notice_ms))

    def sign(
        self, claims: dict[str, Any], now: int, *, life_s: int | None = None, kind: str = "JWT"
    ) -> str:
        """Return a JWT of ``claims`` (``typ`` is ``kind``), valid for ``life_s``.

        Without that, for `KeyPolicy.token_s`; a key is published no longer than that needs.
        """
        newest_first = self._newest_first()
        key = next((key for key in newest_first if key.signs_from_ms <= now), newest_first[-1])
        issued = now // 1_000
        claims = {**claims, "iat": issued, "exp": issued + (life_s or self._policy.token_s)}
        return jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.kid, "typ": kind})

    def jwks(self, now: int) -> dict[str, Any]:
        """Return the key set to publish (RFC 7517)."""
        return {"keys": [key.public_jwk() for key in self._published(now)]}

    def _published(self, now: int) -> list[SigningKey]:
        """Return the keys that sign, will sign, or signed a token that may still be alive."""
        keys = self._newest_first()
        return [
            key
            for key, successor in zip(keys, [None, *keys], strict=False)
            if successor is None or now < successor.signs_from_ms + self._policy.retire_ms
        ]

    def _newest_first(self) -> list[SigningKey]:
        return sorted(
            self._keys.values(), key=lambda key: (key.signs_from_ms, key.kid), reverse=True
        )

    async def _load(self) -> None:
        records = await self._store.scan(_KIND)
        self._keys = {
            kid: self._keys.get(kid) or SigningKey.from_record(kid, record)
            for kid, record in records.items()
        }

    async def _add(self, key: SigningKey) -> SigningKey:
        await self._store.write(_KIND, key.kid, key.to_record())
        self._keys[key.kid] = key
        return key
