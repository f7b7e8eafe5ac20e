"""Logins of agents by the OAuth device flow (RFC 8628), renewed by single-use refresh tokens.

A program asks for a login and gets two codes. A person approves the short one for an agent,
and the program exchanges the long one for tokens. From then on the login is the agent's
credential, and what it had before is void. Only hashes are kept.
"""

import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Any, Final

import attrs

from nas_server.accounts import AccountError, Accounts, AgentAccount, Credential, hash_token
from nas_server.http.throttle import Throttle
from nas_server.logs import log_event
from nas_server.policy import LOGINS, LoginPolicy
from nas_server.store.base import Record, Store, StoreError

LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""Of user codes: no vowels, and nothing that looks like a digit."""

_KIND: Final = "device"
Mint = Callable[[AgentAccount, str, int], tuple[str, int]]
"""Makes an access token for an agent and a client, now; returns it and when it ends (ms)."""


class GrantError(Exception):
    """A grant is refused, with an error code of RFC 6749 or 8628."""

    def __init__(self, code: str, description: str) -> None:
        """Refuse with ``code``; ``description`` is for a person."""
        super().__init__(description)
        self.code = code


class TooManyLoginsError(Exception):
    """So many logins wait for an approval that there is no room for another."""


@attrs.frozen
class Grant:
    """What a program gets in exchange."""

    access_token: str = attrs.field(repr=False)
    refresh_token: str = attrs.field(repr=False)
    expires_ms: int
    scope: str = ""
    """As it was asked for; empty when it is as before."""


@attrs.frozen
class Pending:
    """A login that waits for a person, or for the program to hear of the decision."""

    device_hash: str = attrs.field(repr=False)
    client_id: str
    scope: str
    address: str
    """Where it was asked for."""
    asked_ms: int
    until_ms: int
    agent: str = ""
    """For whom it was approved."""
    generation: int | None = None
    """Of that agent's credentials, the one that was approved to be replaced."""
    denied: bool = False


def plain_code(text: str) -> str:
    """Return a user code as it is kept, however a person wrote it."""
    return "".join(letter for letter in text.upper() if letter.isalnum())


def shown_code(text: str) -> str:
    """Return a user code as it is shown."""
    code = plain_code(text)
    return f"{code[:4]}-{code[4:]}"


class Logins:
    """The logins of a store. Every process on the store honours them."""

    def __init__(self, store: Store, accounts: Accounts, policy: LoginPolicy = LOGINS) -> None:
        """Keep logins in ``store``."""
        self._policy = policy
        self._store = store
        self._accounts = accounts
        self._polls = Throttle(policy.polls, policy.poll_ms, 10 * policy.pending)

    async def start(self, client_id: str, scope: str, address: str, now: int) -> tuple[str, str]:
        """Begin a login and return its device code and its user code; TooManyLoginsError."""
        await self._make_room(now)
        secret = secrets.token_urlsafe(32)
        until = now + 1_000 * self._policy.code_s
        pending = Pending(hash_token(secret), client_id, scope, address, now, until)
        while True:
            code = "".join(secrets.choice(LETTERS) for _ in range(self._policy.code_letters))
            key = hash_token(code)
            if await self._store.swap(_KIND, key, None, attrs.asdict(pending)):
                return f"{key}.{secret}", shown_code(code)

    async def _make_room(self, now: int) -> None:
        waiting = 0
        for key, record in (await self._store.scan(_KIND)).items():
            if record["until_ms"] <= now:
                await self._store.swap(_KIND, key, record, None)
            else:
                waiting += 1
        if waiting >= self._policy.pending:
            raise TooManyLoginsError

    async def find(self, user_code: str, now: int) -> Pending | None:
        """Return the login that waits for a decision under that code."""
        pending = _pending(await self._store.read(_KIND, hash_token(plain_code(user_code))), now)
        return None if pending is None or pending.agent or pending.denied else pending

    def nothing_waits(self, user_code: str) -> str:
        """Return what a person is told whose code is that of no login."""
        return (
            f"no login waits under the code {user_code[:40]!r}: it is mistyped, decided, or "
            f"older than {self._policy.code_s // 60} minutes; then log in again for another"
        )

    async def approve(self, user_code: str, name: str, now: int) -> AgentAccount:
        """Let the program log in as that agent; AccountError."""
        agent = await self._accounts.provisioned(name)
        await self._decide(user_code, now, agent=name, generation=agent.generation)
        return agent

    async def deny(self, user_code: str, now: int) -> None:
        """Refuse the program its login; AccountError."""
        await self._decide(user_code, now, denied=True)

    async def _decide(self, user_code: str, now: int, **decision: Any) -> None:
        pending = await self.find(user_code, now)
        done = pending is not None and await self._store.swap(
            _KIND,
            hash_token(plain_code(user_code)),
            attrs.asdict(pending),
            attrs.asdict(attrs.evolve(pending, **decision)),
        )
        if not done:
            raise AccountError(self.nothing_waits(user_code))

    async def collect(self, device_code: str, client_id: str, now: int, mint: Mint) -> Grant:
        """Exchange a device code for the tokens of an approved login; GrantError."""
        key, _, secret = device_code.partition(".")
        record = await self._store.read(_KIND, key)
        pending = _pending(record, now)
        if pending is None:
            raise GrantError("expired_token", "the code is unknown, or its time is over")
        if (pending.device_hash, pending.client_id) != (hash_token(secret), client_id):
            raise GrantError("invalid_grant", "the code is that of another login")
        if not (pending.agent or pending.denied):
            if self._polls.wait_s(key, now):
                raise GrantError("slow_down", f"ask every {self._policy.interval_s} s")
            raise GrantError("authorization_pending", "nobody has approved it yet")
        told = await self._begin(pending, now, mint)
        with contextlib.suppress(StoreError):  # what is left gives nothing: see `_given`
            await self._store.swap(_KIND, key, record, None)
        if isinstance(told, GrantError):
            raise told
        return told

    async def _begin(self, pending: Pending, now: int, mint: Mint) -> Grant | GrantError:
        if pending.denied:
            return GrantError("access_denied", "the login was refused")
        handle = f"nas_refresh_{secrets.token_hex(16)}"
        try:
            agent = await self._accounts.provisioned(pending.agent)
            credential, grant = self._issue(handle, agent, pending.client_id, now, mint)
            await self._accounts.change(
                agent.name, lambda known: _given(known, credential, pending)
            )
        except AccountError:
            return GrantError(
                "access_denied", "the agent was revoked, or its credential replaced, meanwhile"
            )
        log_event("login", agent=agent.name, client=pending.client_id, address=pending.address)
        return attrs.evolve(grant, scope=pending.scope)

    async def refresh(self, token: str, client_id: str, now: int, mint: Mint) -> Grant:
        """Exchange a refresh token for new tokens; GrantError.

        One that was used before ends the login: somebody else has it.
        """
        handle = token.partition(".")[0]
        agent = await self._accounts.owner(chain := hash_token(handle))
        if agent is None:
            raise _over()
        credential, grant = self._issue(handle, agent, client_id, now, mint)

        def renewed(known: AgentAccount | None) -> AgentAccount:
            if known is None or known.revoked or known.chain_hash != chain:
                raise _over()
            if known.refresh_hash != hash_token(token):
                return attrs.evolve(known, **attrs.asdict(Credential()))
            if known.refresh_until_ms <= now:
                raise _over()
            return attrs.evolve(known, **attrs.asdict(credential))

        if (await self._accounts.change(agent.name, renewed)).chain_hash:
            return grant
        log_event("login_stolen", level=logging.WARNING, agent=agent.name)
        raise GrantError(
            "refresh_token_reused", "refresh token reuse: the login is ended; log in again"
        )

    def _issue(
        self, handle: str, agent: AgentAccount, client_id: str, now: int, mint: Mint
    ) -> tuple[Credential, Grant]:
        access, expires_ms = mint(agent, client_id, now)
        refresh = f"{handle}.{secrets.token_urlsafe(32)}"
        credential = Credential(
            token_hash=hash_token(access),
            expires_ms=expires_ms,
            chain_hash=hash_token(handle),
            refresh_hash=hash_token(refresh),
            refresh_until_ms=now + self._policy.refresh_ms,
        )
        return credential, Grant(access, refresh, expires_ms)


def _pending(record: Record | None, now: int) -> Pending | None:
    return None if record is None or record["until_ms"] <= now else Pending(**record)


def _over() -> GrantError:
    return GrantError("invalid_grant", "the login is over or was replaced; log in again")


def _given(known: AgentAccount | None, credential: Credential, pending: Pending) -> AgentAccount:
    if known is None or known.revoked or known.generation != pending.generation:
        raise AccountError(pending.agent)
    return known.given(credential, keep_armed=True)
