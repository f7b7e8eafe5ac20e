"""Hostile fire tokens: none is accepted, whatever is wrong with it, and nothing of it leaks."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Iterable
from typing import Any, get_args

import pytest

from nas_sdk.webhooks import AsyncFireVerifier, FireRefused, FireVerifier, Reason
from nas_sdk.webhooks._keys import VerifyKey
from nas_sdk.webhooks._token import Rules, check_token, read_header
from tests.support.mint import ALGORITHMS, good_claims, public_jwk, signed
from tests.support.tokens import (
    AUDIENCE,
    ISSUER,
    Broken,
    broken_tokens,
    generated_tokens,
    good_token,
    key_set,
)

NOW = 1_790_000_000.0
SEED = 20_260_618
GENERATED = 10_000

# By class: why it is refused. What is refused for another reason is not held by its own check.
REASONS: dict[str, set[Reason]] = {
    "alg none": {"malformed"},
    "alg none, signed": {"algorithm"},
    "HMAC with the public key": {"algorithm"},
    "an unlisted algorithm": {"algorithm"},
    "an unlisted curve": {"algorithm"},
    "an unknown algorithm": {"algorithm"},
    "another key type's algorithm": {"algorithm"},
    "another hash than said": {"signature"},
    "unknown kid": {"key"},
    "kid is no text": {"malformed"},
    "missing kid": {"key"},
    "another key's kid": {"algorithm"},
    "signed by a foreign key": {"signature"},
    "wrong aud": {"audience"},
    "two audiences": {"audience"},
    "aud is a list": {"audience"},
    "aud is an object": {"audience"},
    "missing aud": {"audience"},
    "aud is null": {"audience"},
    "wrong iss": {"issuer", "claims"},
    "missing iss": {"claims"},
    "iss is null": {"claims"},
    "wrong purpose": {"purpose"},
    "missing purpose": {"purpose"},
    "purpose is null": {"purpose"},
    "missing exp": {"claims"},
    "exp is null": {"claims"},
    "missing iat": {"claims"},
    "iat is null": {"claims"},
    "expired": {"expired"},
    "issued in the future": {"issued_in_future"},
    "not valid yet": {"not_yet_valid"},
    "issued long ago": {"lifetime"},
    "lives too long": {"lifetime"},
    "ends before it begins": {"lifetime"},
    "exp is no time": {"claims"},
    "iat is no time": {"claims"},
    "nbf is no time": {"claims"},
    "nbf is null": {"claims"},
    "jku in the header": {"header"},
    "jku in the header, its key": {"header"},
    "jwk in the header": {"header"},
    "jwk in the header, its key": {"header"},
    "x5u in the header": {"header"},
    "x5u in the header, its key": {"header"},
    "x5c in the header": {"header"},
    "x5c in the header, its key": {"header"},
    "embedded key and its kid": {"header"},
    "crit": {"header"},
    "b64": {"header"},
    "header is no object": {"malformed"},
    "header in UTF-16": {"malformed"},
    "header with a BOM": {"malformed"},
    "oversized": {"oversized"},
    "truncated": {"malformed", "signature"},
    "no token": {"malformed"},
    "not base64url": {"malformed"},
    "five parts": {"malformed"},
    "parts in another order": {"algorithm"},
    "another payload": {"signature"},
    "stray bits at the end": {"malformed"},
    "payload is no object": {"malformed", "claims"},
    "payload not in UTF-8": {"claims"},
    "duplicate claim, the last good": {"claims"},
    "duplicate claim, the first good": {"claims"},
    "duplicate claim, the same": {"claims"},
    "duplicate claim, escaped": {"claims"},
    "duplicate in a nested object": {"claims"},
    "duplicate header member": {"malformed"},
}


@pytest.fixture(scope="module")
def verifier() -> FireVerifier:
    return FireVerifier(key_set(), audience=AUDIENCE, issuer=ISSUER, clock=lambda: NOW)


def verdict(verifier: FireVerifier, token: str) -> str:
    try:
        verifier.verify_token(token)
    except FireRefused as refused:
        return refused.reason
    return "accepted"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_good_token_is_accepted(verifier: FireVerifier, alg: str) -> None:
    claims = verifier.verify_token(good_token(NOW, alg=alg))
    assert (claims.audience, claims.issuer, claims.purpose) == (AUDIENCE, ISSUER, "cron_fire")
    assert (claims.issued_at, claims.expires_at, claims.key_id) == (
        NOW,
        NOW + 90,
        ALGORITHMS[alg],
    )


def test_every_broken_token_is_refused_for_its_own_reason(verifier: FireVerifier) -> None:
    seen: dict[str, set[str]] = {}
    for wrong, token in broken_tokens(NOW):
        seen.setdefault(wrong, set()).add(verdict(verifier, token))
    assert seen == REASONS


def test_generated_tokens_are_all_refused(verifier: FireVerifier) -> None:
    verdicts = Counter(
        verdict(verifier, token) for _, token in generated_tokens(SEED, GENERATED, NOW)
    )
    assert verdicts["accepted"] == 0
    assert verdicts.total() == GENERATED
    assert len(verdicts) > 8, "the generator has grown dull"
    print(f"{len(REASONS)} classes of broken tokens, {GENERATED} generated: {dict(verdicts)}")


async def test_tasks_get_the_same_verdicts(verifier: FireVerifier) -> None:
    other = AsyncFireVerifier(key_set(), audience=AUDIENCE, issuer=ISSUER, clock=lambda: NOW)
    for _, token in [*broken_tokens(NOW), ("", good_token(NOW))]:
        try:
            await other.verify_token(token)
            said: str = "accepted"
        except FireRefused as refused:
            said = refused.reason
        assert said == verdict(verifier, token)


def test_whatever_the_libraries_raise_is_a_refusal() -> None:
    token = good_token(NOW)
    no_key: Any = "not a key at all"
    key = VerifyKey(no_key, frozenset({"RS256"}))
    with pytest.raises(FireRefused) as refusal:
        check_token(token, read_header(token), key, Rules(AUDIENCE, ISSUER, 30), NOW)
    assert refusal.value.reason == "malformed"


@pytest.mark.parametrize("alg", ["PS256", "PS512"])
def test_a_key_that_is_no_signing_key_for_an_algorithm_does_not_widen_it(alg: str) -> None:
    keys = {"keys": [public_jwk("rsa", alg="RS256")]}
    verifier = FireVerifier(keys, audience=AUDIENCE, issuer=ISSUER, clock=lambda: NOW)
    assert verdict(verifier, good_token(NOW)) == "accepted"
    assert verdict(verifier, good_token(NOW, alg="RS512")) == "algorithm"
    token = signed(good_claims(NOW), alg=alg, key="rsa", header={"kid": "rsa"})
    assert verdict(verifier, token) == "algorithm"


def test_nothing_of_a_token_is_logged_or_told(
    verifier: FireVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = set()
    for token in hostile_and_good():
        try:
            told = repr(verifier.verify_token(token))
        except FireRefused as refused:
            told = "".join(traceback.format_exception(refused)) + repr(refused)
            answers.add((refused.status, str(refused.answer)))
        assert told.count("Traceback") <= 1, "it tells what was caught on the way, too"
        assert_tells_nothing(told, token)
        assert_tells_nothing(caplog.text, token)
    assert answers == {(401, "{'error': 'invalid fire token'}")}


def hostile_and_good() -> Iterable[str]:
    some = list(generated_tokens(SEED + 1, 300, NOW))
    cases: list[Broken] = [*broken_tokens(NOW), *some, ("", good_token(NOW))]
    return (token for _, token in cases)


def assert_tells_nothing(told: str, token: str) -> None:
    for part in token.split("."):
        for at in range(0, len(part) - 12, 12):
            assert part[at : at + 12] not in told


def test_every_reason_is_reached() -> None:
    reached: set[Reason] = set().union(*REASONS.values())
    elsewhere = {"missing", "keys_unavailable"}
    assert reached | elsewhere == set(get_args(Reason))
