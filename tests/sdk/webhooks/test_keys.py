"""Which keys of a JWK set verify fire tokens, and which are left out."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import RSAAlgorithm

from nas_sdk.webhooks._keys import UnusableKeyError, parse_key_set, parse_pem
from tests.support.mint import key_set, private_key, public_jwk, public_pem

RSA = {"RS256", "RS384", "RS512"}


def private_jwk() -> dict[str, Any]:
    key = private_key("rsa")
    assert isinstance(key, RSAPrivateKey)
    jwk = RSAAlgorithm.to_jwk(key, as_dict=True)
    return {**jwk, "kid": "rsa", "key_ops": ["sign", "verify"]}


UNUSABLE: dict[str, object] = {
    "no object": "rsa",
    "null": None,
    "symmetric": {"kty": "oct", "kid": "rsa", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
    "Edwards curve": {"kty": "OKP", "crv": "Ed25519", "kid": "rsa", "x": "A" * 43},
    "private": private_jwk(),
    "for encryption": public_jwk("rsa", use="enc"),
    "for signing only": public_jwk("rsa", key_ops=["sign"]),
    "key_ops no list": public_jwk("rsa", key_ops=7),
    "algorithm not ours": public_jwk("rsa", alg="PS256"),
    "HMAC with an RSA key": public_jwk("rsa", alg="HS256"),
    "algorithm of another type": public_jwk("rsa", alg="ES256"),
    "algorithm of another curve": public_jwk("p256", alg="ES384"),
    "alg no text": public_jwk("rsa", alg=["RS256"]),
    "kty missing": public_jwk("rsa", kty=None),
    "kty of another type": public_jwk("rsa", kty="EC"),
    "kty no text": public_jwk("rsa", kty=["RSA"]),
    "modulus missing": public_jwk("rsa", n=None),
    "modulus no base64": public_jwk("rsa", n="é"),
    "modulus no text": public_jwk("rsa", n=5),
    "exponent 1": public_jwk("rsa", e="AQ"),
    "too short": public_jwk("rsa-short"),
    "curve not ours": public_jwk("p521"),
    "point not on the curve": public_jwk("p256", x=public_jwk("p256")["y"]),
    "without a kid": public_jwk("rsa", kid=None),
    "kid empty": public_jwk("rsa", kid=""),
    "kid no text": public_jwk("rsa", kid=7),
}


@pytest.mark.parametrize("jwk", UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_is_no_good_costs_the_others_nothing(
    jwk: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert set(parse_key_set({"keys": [jwk, public_jwk("p384")]})) == {"p384"}
    assert "left out key 1 of 2" in caplog.text
    with pytest.raises(UnusableKeyError, match="none of the 1 keys"):
        parse_key_set({"keys": [jwk]})


def test_a_private_key_is_called_by_its_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    jwk = private_jwk()
    with pytest.raises(UnusableKeyError):
        parse_key_set({"keys": [jwk]})
    assert "it is a private key" in caplog.text
    assert jwk["d"] not in caplog.text


@pytest.mark.parametrize("document", [None, [], "x", 5, {}, {"keys": None}, {"keys": {}}])
def test_what_is_no_key_set_says_so(document: object) -> None:
    with pytest.raises(UnusableKeyError, match="not a JWK set"):
        parse_key_set(document)


@pytest.mark.parametrize(
    ("name", "algorithms"), [("rsa", RSA), ("p256", {"ES256"}), ("p384", {"ES384"})]
)
def test_the_type_of_a_key_decides_its_algorithms(name: str, algorithms: set[str]) -> None:
    assert parse_key_set(key_set(name))[name].algorithms == algorithms
    assert parse_pem(public_pem(name)).algorithms == algorithms


def test_the_alg_of_a_key_narrows_it() -> None:
    keys = parse_key_set({"keys": [public_jwk("rsa", alg="RS384")]})
    assert keys["rsa"].algorithms == {"RS384"}


def test_use_and_key_ops_may_be_absent_or_right() -> None:
    absent, right = public_jwk("rsa", use=None), public_jwk("rsa", key_ops=["verify"])
    for jwk in (absent, right, {**absent, "use": None, "key_ops": None, "alg": None}):
        assert set(parse_key_set({"keys": [jwk]})) == {"rsa"}


def test_of_two_keys_with_one_kid_the_first_counts() -> None:
    twins = [public_jwk("p256", kid="a"), public_jwk("p384", kid="a")]
    assert parse_key_set({"keys": twins})["a"].algorithms == {"ES256"}


def private_pem() -> bytes:
    return private_key("rsa").private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize("pem", ["", "no key", private_pem(), b"\xff", public_pem("rsa")[:-60]])
def test_only_the_pem_of_a_public_key_will_do(pem: str | bytes) -> None:
    with pytest.raises(UnusableKeyError, match="BEGIN PUBLIC KEY"):
        parse_pem(pem)


@pytest.mark.parametrize("name", ["rsa-short", "p521"])
def test_a_weak_or_foreign_pem_is_refused(name: str) -> None:
    with pytest.raises(UnusableKeyError, match=r"short|neither"):
        parse_pem(public_pem(name).decode())


def test_no_key_is_in_the_repr() -> None:
    assert repr(parse_pem(public_pem("p256"))) == "VerifyKey(algorithms=frozenset({'ES256'}))"
