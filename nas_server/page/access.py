"""Who may see the page: one admin token, and the sessions it opened. Both are kept as hashes."""

import hmac
import secrets
from typing import Final

from nas_server.accounts import hash_token
from nas_server.policy import PAGE, PagePolicy
from nas_server.store.base import Store

_ADMIN: Final = "admin"
_TOKEN: Final = "token"  # noqa: S105 - the key of a record
_SESSION: Final = "admin_session"


class Access:
    """The admin token of a store, and its sessions. Every process on the store honours them."""

    def __init__(self, store: Store, policy: PagePolicy = PAGE) -> None:
        """Keep both in ``store``."""
        self._policy = policy
        self._store = store

    async def is_on(self) -> bool:
        """Tell whether there is a token, and so a page."""
        return await self._hash() is not None

    async def new_token(self) -> str:
        """Make a token in place of the one before, which ends its sessions, too."""
        token = f"nas_admin_{secrets.token_urlsafe(32)}"
        await self.set_token(token)
        return token

    async def set_token(self, token: str) -> None:
        """Make ``token`` the one there is; the same one again changes nothing."""
        if await self._hash() != hash_token(token):
            await self._end_sessions()  # or they would be back with the token they were for
            await self._store.write(_ADMIN, _TOKEN, {"hash": hash_token(token)})

    async def turn_off(self) -> None:
        """Have no token, and so no page."""
        await self._end_sessions()
        await self._store.write(_ADMIN, _TOKEN, None)

    async def login(self, token: str, now: int) -> str | None:
        """Return the secret of a new session; None when that is not the token."""
        right = await self._hash()
        if right is None or not hmac.compare_digest(hash_token(token), right):
            return None
        for key, record in (await self._store.scan(_SESSION)).items():
            if record["until_ms"] <= now:
                await self._store.write(_SESSION, key, None)
        secret = secrets.token_urlsafe(32)
        record = {"until_ms": now + self._policy.session_ms, "token": right}
        await self._store.write(_SESSION, hash_token(secret), record)
        return secret

    async def is_session(self, secret: str, now: int) -> bool:
        """Tell whether a session is open. That of a token that was replaced is not."""
        session = await self._store.read(_SESSION, hash_token(secret))
        if session is None or session["until_ms"] <= now:
            return False
        right = await self._hash()
        return right is not None and hmac.compare_digest(session["token"], right)

    async def logout(self, secret: str) -> None:
        """End a session."""
        await self._store.write(_SESSION, hash_token(secret), None)

    async def _end_sessions(self) -> None:
        for key in await self._store.scan(_SESSION):
            await self._store.write(_SESSION, key, None)

    async def _hash(self) -> str | None:
        record = await self._store.read(_ADMIN, _TOKEN)
        return None if record is None else str(record["hash"])
