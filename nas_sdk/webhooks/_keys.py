"""The public keys that verify fire tokens, from a JWK set or a PEM text. No I/O.

PyJWT and cryptography, the extra `webhooks`, are imported when first needed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384")
"""Every algorithm the contract allows. None of them is symmetric."""
RSA_BITS_MIN: Final = 2048

_RSA: Final = frozenset({"RS256", "RS384", "RS512"})
_BY_CURVE: Final = {"secp256r1": frozenset({"ES256"}), "secp384r1": frozenset({"ES384"})}
_log = logging.getLogger("nas_sdk.webhooks._keys")


class UnusableKeyError(ValueError):
    """This key or key set cannot verify fire tokens; the text says why, and holds no key."""


@attrs.frozen
class VerifyKey:
    """A public key and the algorithms it may be used with, decided by the key's own type."""

    key: RSAPublicKey | EllipticCurvePublicKey = attrs.field(repr=False)
    algorithms: frozenset[str]
    also: tuple[VerifyKey, ...] = attrs.field(default=(), repr=False)
    """Other keys with the same `kid`, such as one of another type."""


@cache
def require_pyjwt(purpose: str = "verifying fire tokens") -> None:
    """ImportError naming the extra when PyJWT or cryptography is not installed.

    Imports neither: that takes as long as many a fetch of keys, and can be done meanwhile.
    """
    if not all(map(find_spec, ("jwt", "cryptography"))):
        raise ImportError(
            f"{purpose} needs PyJWT and cryptography: install nas-sdk with its extra 'webhooks'"
        )


def parse_key_set(document: object) -> dict[str, VerifyKey]:
    """The usable keys of a JWK set by their `kid`; of several with the same one the first, with the
    others in its `also`.

    A key that cannot verify fire tokens (symmetric, private, for encryption, another
    algorithm, malformed, without a `kid`) is left out and costs the others nothing.
    Raises UnusableKeyError when the document is no JWK set, or when that leaves no key.
    """
    members = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(members, list):
        raise UnusableKeyError("not a JWK set: an object with a list 'keys' is needed")
    usable: dict[str, VerifyKey] = {}
    for position, member in enumerate(members):
        try:
            kid, key = _parse_jwk(member)
        except UnusableKeyError as error:
            _log.info("JWK set: left out key %d of %d: %s", position + 1, len(members), error)
        else:
            first = usable.get(kid)
            usable[kid] = attrs.evolve(first, also=(*first.also, key)) if first else key
    if not usable:
        raise UnusableKeyError(
            f"none of the {len(members)} keys of the JWK set can verify fire tokens"
        )
    return usable


def parse_pem(text: str | bytes) -> VerifyKey:
    """The public key of a PEM text; UnusableKeyError for anything else, private keys included."""
    require_pyjwt()
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(text.encode() if isinstance(text, str) else text)
    except Exception:
        raise UnusableKeyError("not the PEM text of a public key (BEGIN PUBLIC KEY)") from None
    return _verify_key(key)


def _parse_jwk(jwk: object) -> tuple[str, VerifyKey]:
    if not isinstance(jwk, dict):
        raise UnusableKeyError("it is no object")
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        raise UnusableKeyError("it has no 'kid', so no token can name it")
    if jwk.get("use") not in (None, "sig"):
        raise UnusableKeyError("its 'use' is not 'sig'")
    uses = jwk.get("key_ops")
    if uses is not None and not (isinstance(uses, list) and "verify" in uses):
        raise UnusableKeyError("its 'key_ops' do not include 'verify'")
    return kid, _restrict(_load_jwk(jwk), jwk.get("alg"))


def _load_jwk(jwk: dict[str, object]) -> VerifyKey:
    require_pyjwt()
    from jwt.algorithms import ECAlgorithm, RSAAlgorithm

    loaders: dict[str, Callable[[dict[str, Any]], object]]
    loaders = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk}
    loader = loaders.get(str(jwk.get("kty")))
    if loader is None:
        raise UnusableKeyError("its 'kty' is neither RSA nor EC")
    if "d" in jwk:
        raise UnusableKeyError("it is a private key, which is no secret any more: replace it")
    try:
        key = loader(jwk)
    except Exception:
        raise UnusableKeyError("it is malformed") from None
    return _verify_key(key)


def _verify_key(key: object) -> VerifyKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, RSAPublicKey):
        if key.key_size < RSA_BITS_MIN:
            raise UnusableKeyError(f"an RSA key of {key.key_size} bits is too short")
        return VerifyKey(key, _RSA)
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _BY_CURVE:
        return VerifyKey(key, _BY_CURVE[key.curve.name])
    raise UnusableKeyError("neither an RSA key nor one on P-256 or P-384")


def _restrict(key: VerifyKey, alg: object) -> VerifyKey:
    """The key for its one algorithm, when the JWK names one."""
    if alg is None:
        return key
    if not isinstance(alg, str) or alg not in key.algorithms:
        raise UnusableKeyError("its 'alg' is none of ours, or not of its key type")
    return attrs.evolve(key, algorithms=frozenset({alg}))
