"""Who is calling: the token, and what happens without a good one."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from .checks import Group
from .contract import Law
from .rig import Rig, encode
from .wire import CANCEL, LIST, NOBODY, PROVISION, Broken, Credential, Exchange, bearer

GROUP = Group("auth")
_GARBAGE = "conformance-kit-garbage-0123456789"
_UNSIGNED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjb25mb3JtYW5jZSJ9."
_BASIC = base64.b64encode(b"nobody:nothing").decode()
_LAW = Law("responses.Unauthorized", "`invalid_token`: the token is missing, expired or unknown.")
_ADVICE = "Check the token before anything else; answer 401 with error invalid_token."


def _asks(rig: Rig, credential: Credential) -> Iterator[Exchange]:
    """The three operations, each as it would succeed, with another credential."""
    job = rig.job("auth")
    send = rig.wire.send
    yield send("POST", PROVISION, credential, encode(rig.request(job, rig.later())))
    yield send("POST", CANCEL, credential, encode({"job_id": job}))
    yield send("GET", LIST, credential)


def _unauthorized(rig: Rig, credential: Credential) -> None:
    for exchange in _asks(rig, credential):
        rig.refused(exchange, 401, "invalid_token")


@GROUP.check("missing", _LAW, _ADVICE)
def missing(rig: Rig) -> None:
    """A request without a token is a 401."""
    _unauthorized(rig, NOBODY)


@GROUP.check("garbage", _LAW, _ADVICE)
def garbage(rig: Rig) -> None:
    """A request with an unknown token is a 401, not a 403."""
    for token, words in ((_GARBAGE, "garbage"), (_UNSIGNED, "an unsigned JWT")):
        _unauthorized(rig, bearer(token, words))
    _unauthorized(rig, Credential("Bearer", "Bearer and nothing"))


@GROUP.check(
    "scheme",
    Law("securitySchemes.agentToken", "scheme: bearer"),
    _ADVICE,
)
def scheme(rig: Rig) -> None:
    """Credentials of another scheme are a 401."""
    _unauthorized(rig, Credential(f"Basic {_BASIC}", "Basic (nobody)"))


@GROUP.check(
    "challenge",
    Law("responses.Unauthorized", "The scheme to use, as RFC 6750 has it."),
    "Send WWW-Authenticate: Bearer with every 401.",
)
def challenge(rig: Rig) -> None:
    """Every 401 says with WWW-Authenticate which scheme to use."""
    for credential in (NOBODY, bearer(_GARBAGE, "garbage")):
        for exchange in _asks(rig, credential):
            header = exchange.headers.get("www-authenticate", "")
            if exchange.status == 401 and header.split(" ")[0].lower() != "bearer":
                raise Broken(f"WWW-Authenticate is {header or 'missing'!r}", exchange)


@GROUP.check(
    "no-effect",
    Law("info", "The bearer token alone identifies the agent"),
    "Refuse before acting: the job named in the body must not be touched.",
)
def no_effect(rig: Rig) -> None:
    """A request without a good token changes nothing."""
    job = rig.job("auth")
    rig.agent.provision(job, rig.later())
    before, _ = rig.agent.entry(job)
    for credential in (NOBODY, bearer(_GARBAGE, "garbage")):
        rig.wire.send("POST", CANCEL, credential, encode({"job_id": job}))
        rig.wire.send("POST", PROVISION, credential, encode(rig.request(job, rig.later())))
    after, exchange = rig.agent.entry(job)
    if after != before:
        raise Broken(f"the entry was {before} and has changed", exchange)


@GROUP.check(
    "no-echo",
    Law("schemas.Error", "Never holds a secret."),
    "Leave the token out of headers, descriptions and error pages.",
)
def no_echo(rig: Rig) -> None:
    """A refused token is never repeated in the answer."""
    for exchange in _asks(rig, bearer(_GARBAGE, "garbage")):
        if _GARBAGE in str(exchange.headers) or _GARBAGE.encode() in exchange.body:
            raise Broken("the token stands in the answer", exchange)


@GROUP.check("expired", _LAW, _ADVICE, needs="expired")
def expired(rig: Rig) -> None:
    """An expired token is a 401."""
    _unauthorized(rig, bearer(rig.given.expired or "", "the expired token"))


@GROUP.check(
    "unprovisioned",
    Law("responses.IdentityRejected", "`invalid_client`: the token is real but belongs to no"),
    "Answer 403 with error invalid_client: agents stop trying on it, and only on it.",
    needs="unprovisioned",
)
def unprovisioned(rig: Rig) -> None:
    """A real token that belongs to no provisioned agent is a 403."""
    credential = bearer(rig.given.unprovisioned or "", "the unprovisioned token")
    for exchange in _asks(rig, credential):
        rig.refused(exchange, 403, "invalid_client")
