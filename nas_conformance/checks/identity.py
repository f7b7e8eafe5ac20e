"""Who is calling: the token, and what happens without a good one."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from ..runner.checks import Group
from ..runner.context import Context, encode
from ..runner.contract import Clause
from ..runner.wire import CANCEL, LIST, NOBODY, PROVISION, CheckFailed, Credential, Exchange, bearer

GROUP = Group("auth")
_GARBAGE = "conformance-kit-garbage-0123456789"
_UNSIGNED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjb25mb3JtYW5jZSJ9."
_BASIC = base64.b64encode(b"nobody:nothing").decode()
_CLAUSE = Clause(
    "responses.Unauthorized", "`invalid_token`: the token is missing, expired or unknown."
)
_ADVICE = "Check the token before anything else; answer 401 with error invalid_token."


def _asks(context: Context, credential: Credential) -> Iterator[Exchange]:
    """The three operations, each as it would succeed, with another credential."""
    job = context.job("auth")
    send = context.wire.send
    yield send("POST", PROVISION, credential, encode(context.request(job, context.later())))
    yield send("POST", CANCEL, credential, encode({"job_id": job}))
    yield send("GET", LIST, credential)


def _unauthorized(context: Context, credential: Credential) -> None:
    for exchange in _asks(context, credential):
        context.refused(exchange, 401, "invalid_token")


@GROUP.check("missing", _CLAUSE, _ADVICE)
def missing(context: Context) -> None:
    """A request without a token is a 401."""
    _unauthorized(context, NOBODY)


@GROUP.check("garbage", _CLAUSE, _ADVICE)
def garbage(context: Context) -> None:
    """A request with an unknown token is a 401, not a 403."""
    for token, words in ((_GARBAGE, "garbage"), (_UNSIGNED, "an unsigned JWT")):
        _unauthorized(context, bearer(token, words))
    _unauthorized(context, Credential("Bearer", "Bearer and nothing"))


@GROUP.check(
    "scheme",
    Clause("securitySchemes.agentToken", "scheme: bearer"),
    _ADVICE,
)
def scheme(context: Context) -> None:
    """Credentials of another scheme are a 401."""
    _unauthorized(context, Credential(f"Basic {_BASIC}", "Basic (nobody)"))


@GROUP.check(
    "challenge",
    Clause("responses.Unauthorized", "The scheme to use, as RFC 6750 has it."),
    "Send WWW-Authenticate: Bearer with every 401.",
)
def challenge(context: Context) -> None:
    """Every 401 says with WWW-Authenticate which scheme to use."""
    for credential in (NOBODY, bearer(_GARBAGE, "garbage")):
        for exchange in _asks(context, credential):
            header = exchange.headers.get("www-authenticate", "")
            if exchange.status == 401 and header.split(" ")[0].lower() != "bearer":
                raise CheckFailed(f"WWW-Authenticate is {header or 'missing'!r}", exchange)


@GROUP.check(
    "no-effect",
    Clause("info", "The bearer token alone identifies the agent"),
    "Refuse before acting: the job named in the body must not be touched.",
)
def no_effect(context: Context) -> None:
    """A request without a good token changes nothing."""
    job = context.job("auth")
    context.agent.provision(job, context.later())
    before, _ = context.agent.entry(job)
    for credential in (NOBODY, bearer(_GARBAGE, "garbage")):
        context.wire.send("POST", CANCEL, credential, encode({"job_id": job}))
        context.wire.send(
            "POST", PROVISION, credential, encode(context.request(job, context.later()))
        )
    after, exchange = context.agent.entry(job)
    if after != before:
        raise CheckFailed(f"the entry was {before} and has changed", exchange)


@GROUP.check(
    "no-echo",
    Clause("schemas.Error", "Never holds a secret."),
    "Leave the token out of headers, descriptions and error pages.",
)
def no_echo(context: Context) -> None:
    """A refused token is never repeated in the answer."""
    for exchange in _asks(context, bearer(_GARBAGE, "garbage")):
        if _GARBAGE in str(exchange.headers) or _GARBAGE.encode() in exchange.body:
            raise CheckFailed("the token stands in the answer", exchange)


@GROUP.check("expired", _CLAUSE, _ADVICE, needs="expired")
def expired(context: Context) -> None:
    """An expired token is a 401."""
    _unauthorized(context, bearer(context.options.expired or "", "the expired token"))


@GROUP.check(
    "unprovisioned",
    Clause("responses.IdentityRejected", "`invalid_client`: the token is real but belongs to no"),
    "Answer 403 with error invalid_client: agents stop trying on it, and only on it.",
    needs="unprovisioned",
)
def unprovisioned(context: Context) -> None:
    """A real token that belongs to no provisioned agent is a 403."""
    credential = bearer(context.options.unprovisioned or "", "the unprovisioned token")
    for exchange in _asks(context, credential):
        context.refused(exchange, 403, "invalid_client")
