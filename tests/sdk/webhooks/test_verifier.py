"""Receive a fire: headers and body in, a believed fire or one clear refusal out."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import attrs
import httpx
import pytest
from multidict import CIMultiDict

from nas_sdk.errors import ConfigurationError, NasError
from nas_sdk.testing import InMemoryNas
from nas_sdk.webhooks import (
    AsyncFireVerifier,
    BadFireError,
    Fire,
    FireError,
    FireRefused,
    FireVerifier,
    JwksCache,
)
from nas_sdk.webhooks._token import read_header
from tests.support.mint import b64, good_claims, public_jwk, public_pem, signed
from tests.support.tokens import AUDIENCE, ISSUER, good_token, key_set

NOW = 1_790_000_000
BODY = {"job_id": "9f86d081884c", "fire_at": "2026-06-18T12:34:56.789+02:00"}


def verifier_of(jwks: Any = None, **changes: Any) -> FireVerifier:
    options = {"audience": AUDIENCE, "issuer": ISSUER, "clock": lambda: NOW, **changes}
    return FireVerifier(key_set() if jwks is None else jwks, **options)


def reason(verify: Callable[[], object]) -> str:
    with pytest.raises(FireRefused) as refusal:
        verify()
    return refusal.value.reason


def token_reason(token: str, **changes: Any) -> str:
    return reason(lambda: verifier_of(**changes).verify_token(token))


TOKEN = good_token(NOW)
BEARER = f"Bearer {TOKEN}"
HEADERS: dict[str, Any] = {
    "dict": {"Authorization": BEARER, "Content-Type": "application/json"},
    "lower case": {"authorization": BEARER},
    "scheme in lower case": {"AUTHORIZATION": f"bearer {TOKEN}"},
    "spaces": {"Authorization": f" Bearer   {TOKEN} "},
    "httpx": httpx.Headers({"Authorization": BEARER}),
    "aiohttp": CIMultiDict({"Authorization": BEARER}),
    "pairs": [("host", "x"), ("authorization", BEARER)],
    "ASGI": [(b"host", b"x"), (b"authorization", BEARER.encode())],
    "of an API gateway": {"Host": ["x"], "Authorization": [BEARER]},
    "the value alone": BEARER,
    "the token alone": TOKEN,
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_headers_may_come_as_any_framework_has_them(headers: Any) -> None:
    fire = verifier_of().verify(headers, json.dumps(BODY))
    assert (fire.job_id, fire.fire_at) == ("9f86d081884c", "2026-06-18T12:34:56.789+02:00")
    assert fire.fire_at_ms == 1_781_778_896_789
    assert fire.claims.raw == good_claims(NOW)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_body_may_be_any_bytes(kind: Any) -> None:
    body = kind(json.dumps(BODY).encode())
    assert verifier_of().verify(BEARER, body).job_id == "9f86d081884c"


@pytest.mark.parametrize("body", [None, BODY, 7, ["x"]])
def test_a_body_that_is_neither_bytes_nor_a_text(body: Any) -> None:
    with pytest.raises(BadFireError, match=f"nor a text but {type(body).__name__}"):
        verifier_of().verify(BEARER, body)


MISSING: dict[str, Any] = {
    "none": {},
    "no headers at all": None,
    "no pairs": [1, 2],
    "no value": {"Authorization": None},
    "an empty list of values": {"Authorization": []},
    "two values": {"Authorization": [BEARER, BEARER]},
    "WSGI": {"HTTP_AUTHORIZATION": BEARER},
    "empty": {"Authorization": ""},
    "no scheme": {"Authorization": TOKEN},
    "no token": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": f"Basic {TOKEN}"},
    "two": [("authorization", BEARER), ("Authorization", BEARER)],
    "in another header": {"X-Authorization": BEARER},
}


@pytest.mark.parametrize("headers", MISSING.values(), ids=MISSING)
def test_without_one_bearer_token_a_fire_is_refused(headers: Any) -> None:
    assert reason(lambda: verifier_of().verify(headers, b"{}")) == "missing"


def test_bytes_that_are_no_text_are_refused() -> None:
    headers = [(b"authorization", b"Bearer \xff\xfe.\x00.\x80")]
    assert reason(lambda: verifier_of().verify(headers, b"{}")) == "malformed"


BODIES: dict[str, tuple[bytes | str, str | None]] = {
    "empty": (b"", None),
    "no JSON": (b"<html>", None),
    "no object": (b"[]", None),
    "null": (b"null", None),
    "not UTF-8": (b'{"job_id": "\xff"}', None),
    "NaN": (b'{"job_id": "a", "x": NaN}', None),
    "too deep": (b'{"a":' * 5000, None),
    "a member twice": (b'{"job_id": "a", "job_id": "b"}', None),
    "too long": (json.dumps({**BODY, "x": "y" * 65_536}), None),
    "no job_id": (json.dumps({"fire_at": BODY["fire_at"]}), "job_id"),
    "job_id empty": (json.dumps({**BODY, "job_id": ""}), "job_id"),
    "job_id no text": (json.dumps({**BODY, "job_id": 7}), "job_id"),
    "job_id of a path": (json.dumps({**BODY, "job_id": "../x"}), "job_id"),
    "job_id with half a character": ('{"job_id": "\\ud800"}', "job_id"),
    "job_id too long": (json.dumps({**BODY, "job_id": "x" * 129}), "job_id"),
    "job_id with a newline": (json.dumps({**BODY, "job_id": "x\n"}), "job_id"),
    "no fire_at": (json.dumps({"job_id": "x"}), "fire_at"),
    "fire_at null": (json.dumps({**BODY, "fire_at": None}), "fire_at"),
    "fire_at no text": (json.dumps({**BODY, "fire_at": 1.5}), "fire_at"),
    "fire_at without offset": (json.dumps({**BODY, "fire_at": "2026-06-18T12:34:56"}), "fire_at"),
    "fire_at on no day": (json.dumps({**BODY, "fire_at": "2026-02-30T12:34:56Z"}), "fire_at"),
}


@pytest.mark.parametrize(("body", "field"), BODIES.values(), ids=BODIES)
def test_a_body_that_breaks_the_contract_is_told(body: bytes | str, field: str | None) -> None:
    with pytest.raises(BadFireError) as refusal:
        verifier_of().verify(TOKEN, body)
    error = refusal.value
    assert (error.status, error.field) == (400, field)
    assert error.answer["error"].startswith(f"{field}: " if field else "the body ")
    assert len(error.answer["error"]) <= 256


def test_members_that_nobody_knows_are_ignored() -> None:
    fire = verifier_of().verify(TOKEN, json.dumps({**BODY, "later": {"a": [1]}}))
    assert fire.job_id == BODY["job_id"]


def test_a_stranger_learns_nothing_about_the_body() -> None:
    assert reason(lambda: verifier_of().verify({}, b"no JSON")) == "missing"


def test_one_class_catches_every_refusal() -> None:
    assert issubclass(FireRefused, FireError)
    assert issubclass(BadFireError, FireError)
    assert issubclass(FireError, NasError)
    refused = FireRefused("audience")
    assert str(refused) == "fire refused: the token is for another audience"
    assert (refused.status, refused.answer) == (401, {"error": "invalid fire token"})


@pytest.mark.parametrize("slashes", ["", "/", "//"])
@pytest.mark.parametrize("claimed", ["", "/"])
def test_slashes_at_the_end_of_an_issuer_make_no_difference(slashes: str, claimed: str) -> None:
    token = good_token(NOW, iss=ISSUER + claimed)
    claims = verifier_of(issuer=ISSUER + slashes).verify_token(token)
    assert claims.issuer == ISSUER + claimed


def test_an_issuer_may_be_left_open_but_not_out_of_the_token() -> None:
    verifier = verifier_of(issuer=None)
    other = "https://other.example"
    assert verifier.verify_token(good_token(NOW, iss=other)).issuer == other
    assert token_reason(good_token(NOW, iss=None), issuer=None) == "claims"


YEAR_10000 = 253_402_300_800

EDGES: dict[str, tuple[dict[str, float], str | None]] = {
    "expired, within the leeway": ({"iat": NOW - 90, "exp": NOW - 29}, None),
    "expired": ({"iat": NOW - 90, "exp": NOW - 30}, "expired"),
    "issued ahead, within the leeway": ({"iat": NOW + 30, "exp": NOW + 90}, None),
    "issued ahead": ({"iat": NOW + 31, "exp": NOW + 90}, "issued_in_future"),
    "not before, within the leeway": ({"nbf": NOW + 30}, None),
    "not before": ({"nbf": NOW + 31}, "not_yet_valid"),
    "not before long ago": ({"nbf": 0}, None),
    "not before the last second of 9999": ({"nbf": YEAR_10000 - 1}, "not_yet_valid"),
    "not before the year 10000": ({"nbf": YEAR_10000}, "claims"),
    "lifetime": ({"exp": NOW + 600}, None),
    "lifetime of a second": ({"exp": NOW + 1}, None),
    "lifetime too long": ({"exp": NOW + 601}, "lifetime"),
    "lifetime of nothing": ({"exp": NOW}, "lifetime"),
    "fractions": ({"iat": NOW - 0.25, "exp": NOW + 89.75}, None),
}


@pytest.mark.parametrize(("times", "expected"), EDGES.values(), ids=EDGES)
def test_times_hold_to_the_second(times: dict[str, float], expected: str | None) -> None:
    token = signed(good_claims(NOW, **times))
    if expected is None:
        claims = verifier_of().verify_token(token)
        assert claims.issued_at == times.get("iat", NOW)
        assert claims.expires_at == times.get("exp", NOW + 90)
    else:
        assert token_reason(token) == expected


def test_the_leeway_may_be_changed() -> None:
    token = good_token(NOW, iat=NOW - 90, exp=NOW - 5)
    assert token_reason(token, leeway=5) == "expired"
    assert verifier_of(leeway=6).verify_token(token).expires_at == NOW - 5


def test_a_token_may_say_more_than_we_read() -> None:
    claims = verifier_of().verify_token(good_token(NOW, jti="a", sub="b", later={"x": 1}))
    assert claims.raw["later"] == {"x": 1}
    assert "later" not in repr(claims)
    assert claims == verifier_of().verify_token(good_token(NOW))


def test_sizes_hold_to_the_byte() -> None:
    assert token_reason("x" * 8_192) == "malformed"
    assert token_reason("x" * 8_193) == "oversized"
    body = json.dumps(BODY).ljust(65_536)
    assert verifier_of().verify(TOKEN, body).job_id == BODY["job_id"]
    with pytest.raises(BadFireError, match="longer than"):
        verifier_of().verify(TOKEN, body + " ")


@pytest.mark.parametrize("part", range(3))
def test_a_token_has_one_spelling_whatever_pyjwt_says(part: int) -> None:
    canonical = [b64(b'{"alg":"RS256","kid":"k"}'), b64(b"x"), b64(b"y")]
    assert read_header(".".join(canonical)) == ("RS256", "k")
    strayed = canonical.copy()
    strayed[part] = strayed[part][:-1] + chr(ord(strayed[part][-1]) + 1)  # bits nobody reads
    assert reason(lambda: read_header(".".join(strayed))) == "malformed"


def test_a_header_may_say_more_than_we_read() -> None:
    token = signed(good_claims(NOW), header={"x5t": "AAAA", "typ": "at+jwt", "cty": "x"})
    assert verifier_of().verify_token(token).key_id == "rsa"


@pytest.mark.parametrize("alg", ["RS256", "ES256", "ES384"])
def test_a_pem_verifies_whatever_the_kid(alg: str) -> None:
    name = {"RS256": "rsa", "ES256": "p256", "ES384": "p384"}[alg]
    for pem in (public_pem(name), public_pem(name).decode()):
        verifier = verifier_of(pem)
        assert verifier.verify_token(good_token(NOW, alg=alg)).key_id == name
        token = signed(good_claims(NOW), alg=alg, header={"kid": None})
        assert verifier.verify_token(token).key_id is None
    assert token_reason(good_token(NOW, alg="RS512"), jwks=public_pem("p256")) == "algorithm"


def test_an_algorithm_that_is_not_ours_costs_no_look_up_of_a_key() -> None:
    def never() -> bytes:
        raise AssertionError("keys were fetched")

    token = signed(good_claims(NOW), header={"alg": "HS256", "kid": "other"})
    assert token_reason(token, jwks=JwksCache(never)) == "algorithm"


@pytest.mark.parametrize(
    ("jwks", "words"),
    [
        ("", "BEGIN PUBLIC KEY"),
        ("secret", "BEGIN PUBLIC KEY"),
        (public_pem("rsa-short"), "too short"),
        ({}, "not a JWK set"),
        (public_jwk("rsa"), "not a JWK set"),
        ({"keys": []}, "none of the 0 keys"),
        ("http://nas.example.com/jwks.json", "plain http"),
        ("https://", "absolute https"),
    ],
)
def test_keys_that_can_verify_nothing_are_refused_at_once(jwks: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        verifier_of(jwks)


def test_an_empty_audience_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="audience"):
        verifier_of(audience="")


def test_a_cache_or_a_url_brings_the_keys() -> None:
    cache = JwksCache(lambda: json.dumps(key_set()))
    assert verifier_of(cache).verify_token(TOKEN).key_id == "rsa"
    assert isinstance(verifier_of("HTTPS://nas.example.com/jwks.json"), FireVerifier)


def test_keys_that_are_out_of_reach_have_a_reason_of_their_own() -> None:
    def down() -> bytes:
        raise OSError

    assert token_reason(TOKEN, jwks=JwksCache(down)) == "keys_unavailable"


@pytest.mark.parametrize("order", [("rsa", "p256"), ("p256", "rsa")])
async def test_keys_of_two_types_with_one_kid_are_both_tried(order: tuple[str, str]) -> None:
    jwks = {"keys": [public_jwk(name, kid="same") for name in order]}
    for alg in ("RS256", "ES256"):
        token = signed(good_claims(NOW), alg=alg, header={"kid": "same"})
        assert verifier_of(jwks=jwks).verify_token(token).key_id == "same"
    wrong = signed(good_claims(NOW), alg="ES384", header={"kid": "same"})
    assert token_reason(wrong, jwks=jwks) in ("algorithm", "signature")


async def test_tasks_verify_alike() -> None:
    verifier = AsyncFireVerifier(
        JwksCache(lambda: json.dumps(key_set())),
        audience=AUDIENCE,
        issuer=ISSUER,
        clock=lambda: NOW,
    )
    fire = await verifier.verify({"Authorization": BEARER}, json.dumps(BODY))
    assert fire == verifier_of().verify(TOKEN, json.dumps(BODY))
    with pytest.raises(FireRefused, match="names none of NAS's keys"):
        await verifier.verify(signed(good_claims(NOW), header={"kid": "other"}), b"")
    with pytest.raises(FireRefused, match="no 'Authorization: Bearer"):
        await verifier.verify({}, b"")
    with pytest.raises(BadFireError, match="job_id"):
        await verifier.verify(TOKEN, b"{}")


def test_a_fire_is_a_value() -> None:
    fire = verifier_of().verify(TOKEN, json.dumps(BODY))
    assert isinstance(fire, Fire)
    assert "later" not in repr(fire)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        fire.job_id = "x"  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        fire.claims.audience = "x"  # type: ignore[misc]


WITHOUT_PYJWT = """
import sys
sys.modules[{missing!r}] = None
from nas_sdk.webhooks import FireVerifier
from nas_sdk.webhooks.jwks import JwksCache
for make in (
    lambda: FireVerifier({{"keys": [{jwk!r}]}}, audience="a", issuer=None),
    lambda: FireVerifier({pem!r}, audience="a", issuer=None),
    lambda: JwksCache("https://nas.example.com/jwks.json"),
):
    try:
        make()
    except ImportError as error:
        print(error)
"""


@pytest.mark.parametrize("missing", ["jwt", "cryptography"])
def test_without_the_extra_the_error_names_it(missing: str) -> None:
    script = WITHOUT_PYJWT.format(missing=missing, jwk=public_jwk("rsa"), pem=public_pem("rsa"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.count("install nas-sdk with its extra 'webhooks'") == 3, done.stderr


def test_importing_costs_no_pyjwt() -> None:
    script = "import sys, nas_sdk.webhooks; print('jwt' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_the_clock_is_the_one_that_a_test_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """What replaces `time.time` does so for who issues a token and for who verifies it."""
    nas = InMemoryNas()
    keys = JwksCache(lambda: json.dumps(nas.jwks()))
    verifier = FireVerifier(keys, audience="agent:7", issuer=None)
    for now in (1_000_000_000.0, 4_000_000_000.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        assert verifier.verify_token(nas.mint_fire_token("7")).issued_at == now
