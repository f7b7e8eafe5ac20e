"""The agents NAS knows, and whose token is whose. Tokens are kept as hashes only."""

import hashlib
import logging
import re
import secrets
from collections.abc import Callable, Collection
from typing import Final

import attrs

from nas_sdk.protocol.one_shot import StoredOneShot
from nas_server.logs import log_event
from nas_server.store.base import AGENT, Record, Store, StoreError

KNOWN: Final = 100_000
"""Of so many tokens it is known whose they are, without a look into the store."""
_TOKEN: Final = "token"  # noqa: S105 - the kind of a record
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_RULE: Final = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"


class AccountError(Exception):
    """An agent cannot be added or changed as asked; the text is for a person."""


class InvalidTokenError(Exception):
    """The token is unknown, has expired, or was replaced by another."""


class UnprovisionedError(Exception):
    """The token is real, and its agent is not provisioned (any more)."""


@attrs.frozen
class Credential:
    """What an agent's calls and its login's refreshes are known by; all hashes."""

    token_hash: str = attrs.field(default="", repr=False)
    expires_ms: int | None = None
    """When the token ends; None: when it is replaced."""
    chain_hash: str = attrs.field(default="", repr=False)
    """Of what all refresh tokens of one login have in common; empty for a fixed token."""
    refresh_hash: str = attrs.field(default="", repr=False)
    """Of the one refresh token that may still be used."""
    refresh_until_ms: int = 0

    @property
    def pointers(self) -> set[str]:
        """The hashes by which its agent is found."""
        return {self.token_hash, self.chain_hash} - {""}


@attrs.frozen(kw_only=True)
class AgentAccount(Credential):
    """An agent as NAS knows it, with the one credential it has."""

    name: str
    instance_id: str
    created_ms: int
    revoked: bool = False
    generation: int = 0
    """How many credentials it was given; renewals of a login are one credential."""
    armed_from: int = 0
    """What credentials before this generation armed is void."""

    @property
    def audience(self) -> str:
        """The ``aud`` of its fire tokens."""
        return f"agent:{self.instance_id}"

    @property
    def kind(self) -> str:
        """What its credential is, for people."""
        return "login" if self.chain_hash else "token" if self.token_hash else "none"

    def honours(self, one: StoredOneShot) -> bool:
        """Tell whether a one-shot of this agent may be delivered to it."""
        return not self.revoked and one.generation >= self.armed_from

    def given(self, credential: Credential, *, keep_armed: bool) -> "AgentAccount":
        """Return the agent with a new credential in place of the one it has."""
        generation = self.generation + 1
        return attrs.evolve(
            self,
            **attrs.asdict(credential),
            generation=generation,
            armed_from=self.armed_from if keep_armed else generation,
        )

    def to_record(self) -> Record:
        """Return what the store keeps."""
        return attrs.asdict(self)


def hash_token(token: str) -> str:
    """Return what is kept of a token. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Accounts:
    """Agents in a store.

    The record of the agent says which token is its own; the record of a token is only the
    way to the agent. So each change takes effect with one write, that of the agent.
    """

    def __init__(self, store: Store) -> None:
        """Keep agents in ``store``."""
        self._store = store
        self._names: dict[str, str] = {}
        self._found: dict[str, tuple[Record, AgentAccount]] = {}
        """Agents as records gave them, for stores that give the same record again."""

    async def identify(self, token: str, now: int) -> AgentAccount:
        """Return whose token this is; InvalidTokenError or UnprovisionedError."""
        hashed = hash_token(token)
        # Whose a token was, it is for ever; whether it still is, the agent's record says.
        name = self._names.get(hashed)
        agent = await (self.owner(hashed) if name is None else self.find(name))
        if agent is None or agent.token_hash != hashed:
            self._names.pop(hashed, None)
            raise InvalidTokenError
        if name is None:
            if len(self._names) >= KNOWN:
                self._names.clear()
            self._names[hashed] = agent.name
        if agent.expires_ms is not None and agent.expires_ms <= now:
            raise InvalidTokenError
        if agent.revoked:
            raise UnprovisionedError
        return agent

    async def owner(self, hashed: str) -> AgentAccount | None:
        """Return the agent that a hash leads to, whether it is its credential's still or not."""
        pointer = await self._store.read(_TOKEN, hashed)
        return None if pointer is None else await self.find(pointer["agent"])

    async def find(self, name: str) -> AgentAccount | None:
        """Return the agent of a name, a revoked one too."""
        record = await self._store.read(AGENT, name)
        if record is None:
            return None
        kept = self._found.get(name)
        if kept is None or kept[0] is not record:
            if len(self._found) >= KNOWN:
                self._found.clear()
            kept = self._found[name] = record, AgentAccount(**record)
        return kept[1]

    async def everyone(self) -> list[AgentAccount]:
        """Return all agents in order of their names."""
        return [AgentAccount(**record) for record in (await self._store.scan(AGENT)).values()]

    async def provisioned(self, name: str) -> AgentAccount:
        """Return the agent of a name; AccountError when it is not provisioned."""
        return _provisioned(name, await self.find(name))

    async def add(
        self, name: str, instance_id: str | None, now: int, *, token: bool = True
    ) -> tuple[AgentAccount, str]:
        """Provision an agent, or a revoked one again; return it and its token.

        One that comes back as another instance has nothing armed. Without ``token`` it has no
        credential until a login is approved for it. Raises AccountError for a bad or taken
        name or instance id.
        """
        _checked("name", name)
        if instance_id is not None:
            _checked("instance id", instance_id)
        others = {each.instance_id: each.name for each in await self.everyone()}
        if others.get(instance_id or "", name) != name:
            taken = others[instance_id or ""]
            raise AccountError(f"instance id {instance_id} is that of agent {taken}")
        credential, secret = new_token() if token else (Credential(), "")

        def added(known: AgentAccount | None) -> AgentAccount:
            if known is None:
                own = instance_id or secrets.token_hex(8)
                known = AgentAccount(name=name, instance_id=own, created_ms=now)
            elif not known.revoked:
                raise AccountError(
                    f"agent {name} exists; 'agent rotate {name}' gives it a new token"
                )
            own = instance_id or known.instance_id
            agent = known.given(credential, keep_armed=own == known.instance_id)
            return attrs.evolve(agent, instance_id=own, created_ms=now, revoked=False)

        return await self.change(name, added), secret

    async def rotate(self, name: str, *, keep_armed: bool = True) -> tuple[AgentAccount, str]:
        """Give an agent a new token in place of what it has; return both.

        What it has armed stays so, or (not ``keep_armed``) is void from now on.
        """
        credential, token = new_token()
        agent = await self.change(
            name, lambda known: _provisioned(name, known).given(credential, keep_armed=keep_armed)
        )
        return agent, token

    async def revoke(self, name: str) -> AgentAccount:
        """Make an agent unprovisioned: its calls are refused, its one-shots not delivered."""
        return await self.change(
            name, lambda known: attrs.evolve(_provisioned(name, known), revoked=True)
        )

    async def change(
        self, name: str, change: Callable[[AgentAccount | None], AgentAccount]
    ) -> AgentAccount:
        """Keep what ``change`` makes of an agent, and return it.

        It is called again when somebody else changed the agent meanwhile.
        """
        while True:
            record = await self._store.read(AGENT, name)
            known = None if record is None else AgentAccount(**record)
            agent = change(known)
            old = set() if known is None else known.pointers
            for hashed in agent.pointers - old:
                await self._store.write(_TOKEN, hashed, {"agent": name})
            done = await self._store.swap(AGENT, name, record, agent.to_record())
            await self._clear(name, old - agent.pointers if done else agent.pointers - old)
            if done:
                if known is not None and agent.armed_from > known.armed_from:
                    await self._clear(name, before=agent.armed_from)
                return agent

    async def _clear(
        self, name: str, pointers: Collection[str] = (), before: int | None = None
    ) -> None:
        """Remove what leads nowhere, or would not be delivered: it need not lie around.

        That it cannot be removed fails no change: who asked for one would not get the token.
        """
        try:
            for hashed in pointers:
                await self._store.write(_TOKEN, hashed, None)
            if before is not None:
                await self._store.drop(name, before)
        except StoreError as error:
            log_event("not_cleared", level=logging.WARNING, agent=name, reason=str(error))


def new_token() -> tuple[Credential, str]:
    """Return a credential that lasts until it is replaced, and its token."""
    token = f"nas_{secrets.token_urlsafe(32)}"
    return Credential(hash_token(token)), token


def _provisioned(name: str, agent: AgentAccount | None) -> AgentAccount:
    if agent is None or agent.revoked:
        raise AccountError(f"no agent {name}; 'agent list' shows those there are")
    return agent


def _checked(what: str, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise AccountError(f"{what} {value[:80]!r} is not {_NAME_RULE}")
    return value
