"""The login over HTTP, as hermes speaks it: RFC 8628 and the refresh of RFC 6749.

These paths are no part of the agent-cron contract. Whatever else a portal may have (models,
accounts, billing) is not here and is answered 404.
"""

import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from nas_sdk.errors import InvalidRequestError
from nas_server.accounts import Accounts, AgentAccount
from nas_server.clock import NowMs
from nas_server.http import answers, request_body
from nas_server.http.answers import RefusedError
from nas_server.http.throttle import Throttle, host_of
from nas_server.keys import KeyRing
from nas_server.logins import Grant, GrantError, Logins, TooManyLoginsError
from nas_server.logs import log_event
from nas_server.policy import LoginPolicy
from nas_server.store.base import Store

DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH_HEADER: Final = "x-nous-refresh-token"
_PRIVATE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_WAITING: Final = ("authorization_pending", "slow_down")


class OAuth:
    """The two endpoints of one server."""

    def __init__(
        self,
        store: Store,
        accounts: Accounts,
        keys: KeyRing,
        *,
        issuer: str,
        clock: NowMs,
        access_life_s: int,
        policy: LoginPolicy,
        body_s: float,
    ) -> None:
        """Log agents of ``accounts`` in, in the name of ``issuer``."""
        self.logins = Logins(store, accounts, policy)
        self._policy = policy
        self._body_s = body_s
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._access_life_s = access_life_s
        self._starts = Throttle(policy.starts, policy.start_every_ms, policy.addresses)
        self._failures = Throttle(policy.failures, policy.failure_every_ms, policy.addresses)
        self.routes = [
            web.post("/api/oauth/device/code", self._device_code, name="device_code"),
            web.post("/api/oauth/token", self._token, name="oauth_token"),
        ]

    async def _device_code(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        client_id = _needed(form, "client_id")
        now, address = self._clock(), request.remote or ""
        if wait_s := self._starts.wait_s(host_of(address), now):
            raise answers.slow_down(wait_s)
        try:
            device_code, user_code = await self.logins.start(
                client_id, form.get("scope", ""), address, now
            )
        except TooManyLoginsError:
            raise answers.slow_down(self._policy.code_s) from None
        log_event("login_asked", client=client_id, address=address)
        page = f"{self._issuer}/admin/approve"
        told = {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": page,
            "verification_uri_complete": f"{page}?code={user_code}",
            "expires_in": self._policy.code_s,
            "interval": self._policy.interval_s,
        }
        return web.json_response(told, headers=_PRIVATE)

    async def _token(self, request: web.Request) -> web.Response:
        form = await self._form(request)
        now = self._clock()
        await self._keys.refresh(now)
        try:
            grant = await self._exchange(request, form, now)
        except GrantError as error:
            raise self._refusal(error, host_of(request.remote), now) from None
        return web.json_response(_told(grant, now), headers=_PRIVATE)

    async def _exchange(self, request: web.Request, form: Mapping[str, str], now: int) -> Grant:
        kind, client_id = _needed(form, "grant_type"), _needed(form, "client_id")
        if kind == DEVICE_CODE:
            code = _needed(form, "device_code")
            return await self.logins.collect(code, client_id, now, self._mint)
        if kind == "refresh_token":
            # hermes sends it in a header of its own; the standard's place is the form.
            token = request.headers.get(REFRESH_HEADER) or _needed(form, "refresh_token")
            return await self.logins.refresh(token, client_id, now, self._mint)
        raise RefusedError(400, "unsupported_grant_type", "the grant is none of this server's")

    def _refusal(self, error: GrantError, address: str, now: int) -> RefusedError:
        if error.code not in _WAITING and (wait_s := self._failures.wait_s(address, now)):
            return answers.slow_down(wait_s)
        return RefusedError(400, error.code, str(error), _PRIVATE)

    def _mint(self, agent: AgentAccount, client_id: str, now: int) -> tuple[str, int]:
        """Return an access token (RFC 9068) and its end.

        hermes reads its claims; here it is known by its hash alone, so that it can be revoked.
        """
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": agent.name,
            "client_id": client_id,
            "jti": secrets.token_urlsafe(32),
        }
        token = self._keys.sign(claims, now, life_s=self._access_life_s, kind="at+jwt")
        return token, now + 1_000 * self._access_life_s

    async def _form(self, request: web.Request) -> dict[str, str]:
        limited = request.clone(client_max_size=self._policy.body_bytes)
        body = await request_body.body(limited, request_body.FORM, self._body_s)
        try:
            pairs = parse_qsl(body.decode("ascii"), max_num_fields=20, errors="strict")
        except ValueError:
            raise InvalidRequestError("body: is no form", field="body") from None
        if len(form := dict(pairs)) != len(pairs):
            raise InvalidRequestError("body: has a field twice", field="body")
        longest = self._policy.field_chars
        for name, value in pairs:
            if len(value) > longest or not value.isprintable():
                raise InvalidRequestError(
                    f"{name[:40]}: is longer than {longest} characters, or not printable",
                    field=name[:40],
                )
        return form


def _told(grant: Grant, now: int) -> dict[str, Any]:
    told = {
        "access_token": grant.access_token,
        "refresh_token": grant.refresh_token,
        "token_type": "Bearer",
        "expires_in": (grant.expires_ms - now) // 1_000,
    }
    return {**told, "scope": grant.scope} if grant.scope else told


def _needed(form: Mapping[str, str], name: str) -> str:
    if not (value := form.get(name)):
        raise InvalidRequestError(f"{name}: is missing", field=name)
    return value
