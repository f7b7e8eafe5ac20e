"""The agents NAS knows, and whose token is whose. Tokens are kept as hashes only."""

import hashlib
import re
import secrets
from typing import Final

import attrs

from nas_server.store.base import Record, Store

_AGENT: Final = "agent"
_TOKEN: Final = "token"  # noqa: S105 - the kind of a record
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME_RULE: Final = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"


class AccountError(Exception):
    """An agent cannot be added or changed as asked; the text is for a person."""


class InvalidTokenError(Exception):
    """The token is unknown, or was replaced by another."""


class UnprovisionedError(Exception):
    """The token is real, and its agent is not provisioned (any more)."""


@attrs.frozen
class AgentAccount:
    """An agent as NAS knows it."""

    name: str
    instance_id: str
    token_hash: str = attrs.field(repr=False)
    created_ms: int
    revoked: bool = False

    @property
    def audience(self) -> str:
        """The ``aud`` of its fire tokens."""
        return f"agent:{self.instance_id}"

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

    async def identify(self, token: str) -> AgentAccount:
        """Return whose token this is; InvalidTokenError or UnprovisionedError."""
        hashed = hash_token(token)
        pointer = await self._store.read(_TOKEN, hashed)
        agent = None if pointer is None else await self.find(pointer["agent"])
        if agent is None or agent.token_hash != hashed:
            raise InvalidTokenError
        if agent.revoked:
            raise UnprovisionedError
        return agent

    async def find(self, name: str) -> AgentAccount | None:
        """Return the agent of a name, a revoked one too."""
        record = await self._store.read(_AGENT, name)
        return None if record is None else AgentAccount(**record)

    async def everyone(self) -> list[AgentAccount]:
        """Return all agents in order of their names."""
        return [AgentAccount(**record) for record in (await self._store.scan(_AGENT)).values()]

    async def add(self, name: str, instance_id: str | None, now: int) -> tuple[AgentAccount, str]:
        """Provision an agent, or a revoked one again; return it and its token, this once.

        Raises AccountError for a bad or taken name or instance id.
        """
        known = await self.find(_checked("name", name))
        if known is not None and not known.revoked:
            raise AccountError(f"agent {name} exists; 'agent rotate {name}' gives it a new token")
        if instance_id is None:
            instance_id = secrets.token_hex(8) if known is None else known.instance_id
        _checked("instance id", instance_id)
        for other in await self.everyone():
            if other.instance_id == instance_id and other.name != name:
                raise AccountError(f"instance id {instance_id} is that of agent {other.name}")
        agent = AgentAccount(name, instance_id, "", now)
        return await self._with_new_token(agent, "" if known is None else known.token_hash)

    async def rotate(self, name: str) -> tuple[AgentAccount, str]:
        """Give an agent a new token in place of its old one; return both, this once."""
        agent = await self._provisioned(name)
        return await self._with_new_token(agent, agent.token_hash)

    async def revoke(self, name: str) -> AgentAccount:
        """Make an agent unprovisioned: its calls are refused, its one-shots not delivered."""
        agent = attrs.evolve(await self._provisioned(name), revoked=True)
        await self._store.write(_AGENT, name, agent.to_record())
        return agent

    async def _provisioned(self, name: str) -> AgentAccount:
        agent = await self.find(name)
        if agent is None or agent.revoked:
            raise AccountError(f"no agent {name}; 'agent list' shows those there are")
        return agent

    async def _with_new_token(
        self, agent: AgentAccount, old_hash: str = ""
    ) -> tuple[AgentAccount, str]:
        token = f"nas_{secrets.token_urlsafe(32)}"
        agent = attrs.evolve(agent, token_hash=hash_token(token))
        await self._store.write(_TOKEN, agent.token_hash, {"agent": agent.name})
        await self._store.write(_AGENT, agent.name, agent.to_record())
        if old_hash:
            await self._store.write(_TOKEN, old_hash, None)
        return agent, token


def _checked(what: str, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise AccountError(f"{what} {value[:80]!r} is not {_NAME_RULE}")
    return value
