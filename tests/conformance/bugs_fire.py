"""Bugs of the relay: the fire, its token, and what becomes of it."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import attrs
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from nas_sdk._core.instants import format_instant, parse_instant
from nas_sdk.protocol.one_shot import DeliveryResult, StoredOneShot
from nas_server.app import Nas
from nas_server.delivery.agent_client import AgentClient, Answer
from nas_server.delivery.caller import Caller
from nas_server.keys import KeyRing
from tests.conformance.bugs_rules import Rules
from tests.conformance.planting import Bug

Claims = dict[str, Any]
Mint = Callable[[KeyRing, Claims, int], str]
Call = Callable[[StoredOneShot], Awaitable[DeliveryResult | None]]


def minting(mint: Mint) -> Callable[[Nas], None]:
    """A change of how tokens are signed."""

    def apply(nas: Nas) -> None:
        setattr(nas.keys, KeyRing.sign.__name__, lambda claims, now: mint(nas.keys, claims, now))

    return apply


def _token(keys: KeyRing, claims: Claims, now: int, key: Any = None, life: int = 90) -> str:
    """A token as the relay mints it, with other claims, another key or another life."""
    signing = keys._newest_first()[0]
    issued = now // 1_000
    whole = {"iat": issued, "exp": issued + life, **claims}
    return jwt.encode(whole, key or signing.private, "ES256", headers={"kid": signing.kid})


def saying(**claims: Any) -> Callable[[Nas], None]:
    """Tokens that say something else."""
    return minting(lambda keys, right, now: _token(keys, right | claims, now))


def _reuse() -> Callable[[Nas], None]:
    kept: dict[str, str] = {}

    def mint(keys: KeyRing, claims: Claims, now: int) -> str:
        return kept.setdefault(claims["aud"], _token(keys, claims, now))

    return minting(mint)


def _list_aud(keys: KeyRing, claims: Claims, now: int) -> str:
    return _token(keys, claims | {"aud": [claims["aud"]]}, now)


def _slash_iss(keys: KeyRing, claims: Claims, now: int) -> str:
    return _token(keys, claims | {"iss": f"{claims['iss']}/"}, now)


def _bare_aud(keys: KeyRing, claims: Claims, now: int) -> str:
    return _token(keys, claims | {"aud": claims["aud"].removeprefix("agent:")}, now)


def _as_text(nas: Nas) -> None:
    """Fires that do not say they are JSON."""

    async def meddle(app: web.Application) -> AsyncIterator[None]:
        client = nas.relay._caller._client
        post = client.post

        def as_text(url: str, headers: str, body: bytes) -> Awaitable[Answer]:
            return post(url, headers.replace("application/json", "text/plain"), body)

        setattr(client, AgentClient.post.__name__, as_text)
        yield

    nas.app.cleanup_ctx.append(meddle)


def calling(change: Callable[[Call, StoredOneShot], Any]) -> Callable[[Nas], None]:
    """A change of the call to the agent."""

    def apply(nas: Nas) -> None:
        async def meddle(app: web.Application) -> AsyncIterator[None]:
            caller = nas.relay._caller
            call = caller.call
            setattr(caller, Caller.call.__name__, lambda one: change(call, one))
            yield

        nas.app.cleanup_ctx.append(meddle)

    return apply


async def _follow(call: Call, one: StoredOneShot) -> DeliveryResult | None:
    outcome = await call(one)
    assert outcome is not None
    if outcome.note.startswith("307"):
        url = f"{one.callback_url}/elsewhere"
        async with aiohttp.ClientSession() as session, session.post(url, json={}):
            return attrs.evolve(outcome, ended=True)
    return outcome


async def _no_base(call: Call, one: StoredOneShot) -> DeliveryResult | None:
    parts = urlsplit(one.callback_url)
    return await call(attrs.evolve(one, callback_url=f"{parts.scheme}://{parts.netloc}"))


async def _other_instant(call: Call, one: StoredOneShot) -> DeliveryResult | None:
    text = format_instant(parse_instant(one.fire_at) + 1)
    return await call(attrs.evolve(one, fire_at=text))


async def _hurried(call: Call, one: StoredOneShot) -> DeliveryResult | None:
    outcome = await call(one)
    assert outcome is not None
    return attrs.evolve(outcome, retry_after_ms=None)


def ending(*notes: str, ended: bool = True) -> Callable[[Nas], None]:
    """Answers of the agent that are taken for the end, or are not."""

    async def change(call: Call, one: StoredOneShot) -> DeliveryResult | None:
        outcome = await call(one)
        assert outcome is not None
        meant = outcome.note.startswith(notes)
        return attrs.evolve(outcome, ended=ended) if meant else outcome

    return calling(change)


class Early(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        sooner = max(now, wanted.not_before_ms - 400)
        return await super().provision(attrs.evolve(wanted, not_before_ms=sooner), now)


class Rounded(Rules):
    """Times of a scheduler that knows whole minutes only, and waits for the next."""

    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        later = wanted.not_before_ms + 60_000
        return await super().provision(attrs.evolve(wanted, not_before_ms=later), now)


class PastLost(Rules):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        if wanted.due_ms < now:
            return wanted.schedule_id
        return await super().provision(wanted, now)


class Forgetful(Rules):
    """Arms a key again that was delivered a moment ago."""

    async def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int
    ) -> StoredOneShot | None:
        left = await super().settle(tried, outcome, now)
        self._table._delivered.clear()
        return left


class HandsOver(Rules):
    """Lists a one-shot only until the relay has it."""

    async def armed(self, agent: str) -> list[StoredOneShot]:
        return [one for one in await super().armed(agent) if not one.attempt]


class TimersStay(Rules):
    """A cancel or a replacement leaves the timer of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.orphans: list[StoredOneShot] = []

    async def due(self, now: int, limit: int, **options: Any) -> list[StoredOneShot]:
        orphans = [one for one in self.orphans if one.not_before_ms <= now]
        self.orphans = [one for one in self.orphans if one not in orphans]
        return [*orphans, *await super().due(now, limit, **options)]

    async def orphan(self, agent: str, job_id: str) -> None:
        current = await self.current(agent, job_id)
        if current is not None:
            self.orphans.append(current)


class CancelLate(TimersStay):
    async def cancel(self, agent: str, job_id: str, now: int) -> None:
        await self.orphan(agent, job_id)
        await super().cancel(agent, job_id, now)


class ReplaceLate(TimersStay):
    async def provision(self, wanted: StoredOneShot, now: int) -> str:
        await self.orphan(wanted.agent, wanted.job_id)
        return await super().provision(wanted, now)


class DeletesAnyway(Rules):
    """The end of a delivery removes whatever the job has by then."""

    async def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int
    ) -> StoredOneShot | None:
        left = await super().settle(tried, outcome, now)
        if outcome.ended:
            await self.cancel(tried.agent, tried.job_id, now)
        return None if outcome.ended else left


class Twice(Rules):
    """What was accepted is delivered once more, off the list."""

    def __init__(self) -> None:
        super().__init__()
        self.done: defaultdict[str, int] = defaultdict(int)
        self.again: list[StoredOneShot] = []

    async def settle(
        self, tried: StoredOneShot, outcome: DeliveryResult, now: int
    ) -> StoredOneShot | None:
        self.done[tried.schedule_id] += outcome.ended
        if self.done[tried.schedule_id] == 1:
            self.again.append(tried)
        return await super().settle(tried, outcome, now)

    async def due(self, now: int, limit: int, **options: Any) -> list[StoredOneShot]:
        again, self.again = self.again, []
        return [*again, *await super().due(now, limit, **options)]


OTHER_KEY = ec.generate_private_key(ec.SECP256R1())

FIRE_BUGS = [
    Bug(
        "other-instant",
        "another instant in the body",
        "fire.delivered",
        change=calling(_other_instant),
    ),
    Bug("as-text", "another media type", "fire.delivered", change=_as_text),
    Bug("minute-floor", "a floor of one minute", "fire.delivered", Rounded),
    Bug("no-base-path", "the callback URL's path dropped", "fire.path", change=calling(_no_base)),
    Bug("early", "0.4 s early", "fire.not-early", Early),
    Bug("past-lost", "a past fire_at never fires", "fire.past", PastLost),
    Bug("wrong-aud", "another audience", "fire.token", change=saying(aud="agent:other")),
    Bug("wrong-iss", "another issuer", "fire.token", change=saying(iss="https://other.invalid")),
    Bug("wrong-purpose", "another purpose", "fire.token", change=saying(purpose="login")),
    Bug(
        "other-key",
        "signed by a key that is not published",
        "fire.token",
        change=minting(lambda keys, claims, now: _token(keys, claims, now, OTHER_KEY)),
    ),
    Bug(
        "no-jwt",
        "an opaque token",
        "fire.token",
        change=minting(lambda keys, claims, now: "opaque-0123456789"),
    ),
    Bug("list-aud", "aud as a list", "fire.claims", change=minting(_list_aud)),
    Bug("bare-aud", "aud without agent:", "fire.claims", change=minting(_bare_aud)),
    Bug("slash-iss", "iss with a slash at its end", "fire.claims", change=minting(_slash_iss)),
    Bug(
        "long-life",
        "a token for ten minutes",
        "fire.claims",
        change=minting(lambda keys, claims, now: _token(keys, claims, now, life=600)),
    ),
    Bug(
        "short-life",
        "a token for half a minute",
        "fire.claims",
        change=minting(lambda keys, claims, now: _token(keys, claims, now, life=30)),
    ),
    Bug(
        "old-iat",
        "iat before the token was minted",
        "fire.claims",
        change=minting(lambda keys, claims, now: _token(keys, claims, now - 20_000)),
    ),
    Bug("same-token", "the first token sent again", "fire.fresh-token", change=_reuse()),
    Bug("one-aud", "one audience for all agents", "fire.audience", change=saying(aud="agent:all")),
    *(
        Bug(
            f"{code}-final",
            f"no retry after a {code}",
            f"fire.retry-{code[0]}xx",
            change=ending(code),
        )
        for code in ("500", "503", "400", "401", "404")
    ),
    Bug(
        "drop-final",
        "no retry after a lost connection",
        "fire.retry-dropped",
        change=ending("unreach", "unread"),
    ),
    Bug("redirected", "redirects followed", "fire.redirect", change=calling(_follow)),
    Bug("hurried", "Retry-After ignored", "fire.retry-after", change=calling(_hurried)),
    Bug("hands-over", "unlisted once it is tried", "fire.listed", HandsOver),
    Bug("twice", "an accepted fire sent again", "fire.ends-accepted", Twice),
    *(
        Bug(
            f"{code}-retried",
            f"a {code} does not end it",
            "fire.ends-gone",
            change=ending(code, ended=False),
        )
        for code in ("204", "410")
    ),
    Bug(
        "duplicate-retried",
        "a duplicate does not end it",
        "fire.ends-gone",
        change=ending("200: duplicate", ended=False),
    ),
    Bug("forgetful", "a delivered key arms again", "fire.remembered", Forgetful),
    Bug("cancelled-fires", "a cancel leaves the timer", "fire.cancelled", CancelLate),
    Bug("replaced-fires", "a replacement leaves the timer", "fire.replaced", ReplaceLate),
    Bug("deletes-anyway", "a delivery's end takes the new one", "fire.re-armed", DeletesAnyway),
]
