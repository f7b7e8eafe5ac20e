"""Fire tokens for tests: good ones, and ones with exactly one thing wrong.

They are made for a receiver whose audience is `AUDIENCE`, whose issuer is `ISSUER` and
whose keys are `key_set()`.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator

from tests.support.mint import (
    ALGORITHMS,
    AUDIENCE,
    ISSUER,
    as_json,
    b64,
    good_claims,
    good_token,
    key_set,
    public_jwk,
    public_pem,
    signed,
)
from tests.support.mutations import Broken, generated_tokens

__all__ = [
    "AUDIENCE",
    "ISSUER",
    "Broken",
    "broken_tokens",
    "generated_tokens",
    "good_token",
    "key_set",
]


def broken_tokens(now: float | None = None) -> Iterator[Broken]:
    """Tokens that must all be refused, each a good one with exactly one thing wrong."""
    moment = time.time() if now is None else now
    yield from _wrong_algorithms(moment)
    yield from _wrong_keys(moment)
    yield from _wrong_claims(moment)
    yield from _wrong_times(moment)
    yield from _wrong_headers(moment)
    yield from _wrong_shapes(moment)
    yield from _said_twice(moment)


def _wrong_algorithms(now: float) -> Iterator[Broken]:
    claims = good_claims(now)
    unsigned = {"kid": "rsa", "typ": "JWT"}
    for none in ("none", "None", "NONE", "nOnE"):
        head = f"{b64(as_json({**unsigned, 'alg': none}))}.{b64(as_json(claims))}"
        yield "alg none", f"{head}."
        yield "alg none, signed", f"{head}.{good_token(now).rsplit('.', 1)[1]}"
    for size in ("256", "384", "512"):
        for secret in (public_pem("rsa"), public_pem("rsa").strip(), as_json(public_jwk("rsa"))):
            head = f"{b64(as_json({**unsigned, 'alg': f'HS{size}'}))}.{b64(as_json(claims))}"
            mac = hmac.new(secret, head.encode(), getattr(hashlib, f"sha{size}")).digest()
            yield "HMAC with the public key", f"{head}.{b64(mac)}"
    for pss in ("PS256", "PS384", "PS512"):
        yield "an unlisted algorithm", signed(claims, alg=pss, key="rsa", header={"kid": "rsa"})
    yield "an unlisted curve", signed(claims, alg="ES512", key="p521", header={"kid": "p256"})
    unknown: list[object] = ["rs256", "RS256 ", "RS1", "EdDSA", "", 256, ["RS256"], None, {"a": 1}]
    for alg in unknown:
        yield "an unknown algorithm", signed(claims, header={"alg": alg})
    for alg, name in (("ES256", "rsa"), ("RS256", "p256"), ("ES384", "p256"), ("ES256", "p384")):
        ours = next(alg for alg, kid in ALGORITHMS.items() if kid == name)
        yield (
            "another key type's algorithm",
            signed(claims, alg=ours, header={"alg": alg, "kid": name}),
        )
    yield "another hash than said", signed(claims, alg="RS256", sign_with="RS512")


def _wrong_keys(now: float) -> Iterator[Broken]:
    claims = good_claims(now)
    for kid in ("unknown", "", "RSA", "rsa ", "../rsa", "rsa\x00", "x" * 4000, "' OR 1=1 --"):
        yield "unknown kid", signed(claims, header={"kid": kid})
    no_texts: list[object] = [0, 1.5, True, ["rsa"], {"kid": "rsa"}]
    for no_text in no_texts:
        yield "kid is no text", signed(claims, header={"kid": no_text})
    yield "missing kid", signed(claims, header={"kid": None})
    yield "another key's kid", signed(claims, header={"kid": "p256"})
    yield "signed by a foreign key", signed(claims, key="rsa-foreign")


def _wrong_claims(now: float) -> Iterator[Broken]:
    wrong_texts: list[object] = ["", 0, True, {}, [], ["x", 1]]
    audiences: list[object] = ["agent:7f3", f"{AUDIENCE} ", "agent:7f3ab", "AGENT:7F3A", "*"]
    for audience in audiences + wrong_texts:
        yield "wrong aud", signed(good_claims(now, aud=audience))
    for two in ([AUDIENCE, "agent:other"], ["agent:other", AUDIENCE], [AUDIENCE, AUDIENCE]):
        yield "two audiences", signed(good_claims(now, aud=two))
    yield "aud is a list", signed(good_claims(now, aud=[AUDIENCE]))
    yield "aud is an object", signed(good_claims(now, aud={AUDIENCE: 1}))
    issuers: list[object] = [
        f"{ISSUER}.evil.example",
        f"{ISSUER}/agents",
        ISSUER.replace("https", "http"),
        ISSUER.upper(),
        f" {ISSUER}",
        [ISSUER],
    ]
    for issuer in issuers + wrong_texts:
        yield "wrong iss", signed(good_claims(now, iss=issuer))
    for purpose in ["agent", "cron_fire ", "CRON_FIRE", "cron_fires", ["cron_fire"], *wrong_texts]:
        yield "wrong purpose", signed(good_claims(now, purpose=purpose))
    for name in ("aud", "iss", "purpose", "exp", "iat"):
        yield f"missing {name}", signed(good_claims(now, **{name: None}))
        yield f"{name} is null", signed(as_json({**good_claims(now), name: None}))


def _wrong_times(now: float) -> Iterator[Broken]:
    for ago in (31, 120, 86_400):
        yield "expired", good_token(now, iat=int(now) - ago - 60, exp=int(now) - ago)
    for ahead in (40, 3_600, 10**9):
        then = int(now) + ahead
        yield "issued in the future", good_token(now, iat=then, exp=then + 60)
        yield "not valid yet", good_token(now, nbf=int(now) + ahead)
    yield "issued long ago", good_token(now, iat=int(now) - 86_400)
    for lifetime in (601, 86_400, 10**9):
        yield "lives too long", good_token(now, exp=int(now) + lifetime)
    yield "ends before it begins", good_token(now, exp=int(now) - 5)
    texts: list[object] = [str(int(now) + 60), True, [], {}, [int(now) + 60]]
    numbers: list[object] = [float("nan"), float("inf"), float("-inf"), 10**30, -1]
    for wrong in texts + numbers:
        for name in ("exp", "iat", "nbf"):
            yield f"{name} is no time", signed(good_claims(now, **{name: wrong}))
    for digits in (b"1e400", b"9" * 5000):
        payload = as_json(good_claims(now)).replace(b'"exp":', b'"exp":' + digits + b',"x":')
        yield "exp is no time", signed(payload)
    yield "nbf is null", signed(as_json({**good_claims(now), "nbf": None}))


def _wrong_headers(now: float) -> Iterator[Broken]:
    claims = good_claims(now)
    foreign = public_jwk("rsa-foreign")
    brought: dict[str, object] = {
        "jku": "https://evil.example/jwks.json",
        "jwk": foreign,
        "x5u": "https://evil.example/cert.pem",
        "x5c": ["MIIB"],
    }
    for name, value in brought.items():
        yield f"{name} in the header", signed(claims, header={name: value})
        yield (
            f"{name} in the header, its key",
            signed(claims, key="rsa-foreign", header={name: value}),
        )
    yield (
        "embedded key and its kid",
        signed(claims, key="rsa-foreign", header={"jwk": foreign, "kid": "rsa-foreign"}),
    )
    for crit in (["exp"], ["b64"], [], "exp", [1]):
        yield "crit", signed(claims, header={"crit": crit})
    yield "b64", signed(claims, header={"b64": False, "crit": ["b64"]})
    for whole in (b"", b"null", b"[]", b'"RS256"', b"{", b"\xff\xfe", b'{"alg":"RS256",}'):
        yield "header is no object", signed(claims, header=whole)
    head = as_json({"alg": "RS256", "kid": "rsa"})
    yield "header in UTF-16", signed(claims, header=head.decode().encode("utf-16"))
    yield "header with a BOM", signed(claims, header=b"\xef\xbb\xbf" + head)


def _wrong_shapes(now: float) -> Iterator[Broken]:
    good = good_token(now)
    header, payload, signature = good.split(".")
    yield "oversized", signed(good_claims(now, pad="x" * 8192))
    yield "oversized", f"{good}{'A' * 65_536}"
    for cut in (1, 2, 3, 4, len(signature) // 2, len(signature), len(signature) + 1):
        yield "truncated", good[:-cut]
    yield "truncated", good[1:]
    for junk in ("", ".", "..", "...", "a.b.c", "Bearer", "null", "é.é.é", "\ud800.a.b", "🦊"):
        yield "no token", junk
    for odd in (f"{good}=", f"{good}==", f" {good}", f"{good}\n", f"{good}.", f".{good}"):
        yield "not base64url", odd
    for symbol in "+/=!\n é%\x00":
        yield "not base64url", f"{header}.{payload[:9]}{symbol}{payload[9:]}.{signature}"
        yield "not base64url", f"{header}.{payload}.{signature[:9]}{symbol}{signature[9:]}"
    yield "five parts", f"{good}.{payload}.{signature}"
    yield "parts in another order", f"{payload}.{header}.{signature}"
    yield "another payload", f"{header}.{b64(as_json(good_claims(now, x=1)))}.{signature}"
    yield "stray bits at the end", _with_stray_bits(now)
    for data in (b"", b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 3000, b'{"a":' * 900):
        yield "payload is no object", signed(data)
    text = as_json(good_claims(now)).decode()
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        yield "payload not in UTF-8", signed(text.encode(encoding))


def _with_stray_bits(now: float) -> str:
    """The same bytes in another spelling: an RSA signature of 256 bytes has 4 bits to spare."""
    good = good_token(now)
    return good[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[good[-1]]


def _said_twice(now: float) -> Iterator[Broken]:
    payload = as_json(good_claims(now))
    others = {"aud": "agent:other", "iss": "https://evil.example", "purpose": "agent", "exp": 1}
    for name, other in others.items():
        again = as_json({name: other})[1:-1]
        yield "duplicate claim, the last good", signed(b"{" + again + b"," + payload[1:])
        yield "duplicate claim, the first good", signed(payload[:-1] + b"," + again + b"}")
    yield (
        "duplicate claim, the same",
        signed(payload[:-1] + b',"aud":"' + AUDIENCE.encode() + b'"}'),
    )
    yield "duplicate in a nested object", signed(payload[:-1] + b',"x":{"a":1,"a":2}}')
    escaped = payload[:-1] + b',"\\u0061ud":"agent:other"}'
    yield "duplicate claim, escaped", signed(escaped)
    for head in (
        b'{"alg":"none","alg":"RS256","kid":"rsa"}',
        b'{"alg":"RS256","kid":"rsa","kid":"rsa"}',
        b'{"alg":"RS256","kid":"other","kid":"rsa"}',
    ):
        yield "duplicate header member", signed(payload, header=head)
