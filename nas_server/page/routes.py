"""The page over HTTP: login, what is shown, and what may be done about a one-shot."""

import hashlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from nas_sdk.errors import InvalidRequestError
from nas_server.accounts import AccountError, Accounts
from nas_server.clock import NowMs
from nas_server.delivery.relay import Relay
from nas_server.http import bodies, request_body
from nas_server.http.throttle import Throttle, host_of
from nas_server.logins import Logins, plain_code, shown_code
from nas_server.logs import log_event
from nas_server.page import approve, files
from nas_server.page.access import Access
from nas_server.page.contract import contract_html
from nas_server.page.guard import guard, protect
from nas_server.page.watch import Wanted, Watch
from nas_server.policy import ServerConfig
from nas_server.store.base import Store, Which

COOKIE: Final = "nas_admin_"
"""What the cookie's name begins with; the rest is the server's: browsers look at no port."""
HOURS: Final = (1, 6, 24)
TABLES: Final = ("armed", "attempts", "dead")
OFF: Final = (
    "the page is off: `nas-server admin token` makes the token to log in with; "
    "`nas-server agent approve CODE` approves an agent's login without it"
)
_HERE: Final = ""
"""No path: browsers then take that of the login, behind a proxy with a prefix, too."""
_HTML: Final = "text/html"


class Page:
    """The page of one server."""

    def __init__(
        self,
        store: Store,
        relay: Callable[[], Relay],
        logins: Logins,
        *,
        clock: NowMs,
        settings: ServerConfig,
    ) -> None:
        """Show ``store`` on the server of those ``settings``."""
        issuer, self._policy = settings.issuer, settings.page
        self._body_s = settings.http.body_s
        self._store = store
        self._relay = relay
        self._logins = logins
        self._accounts = Accounts(store)
        self._clock = clock
        self._secure = issuer.startswith("https:")  # as browsers reach it
        self._cookie = COOKIE + hashlib.sha256(issuer.encode()).hexdigest()[:12]
        self._access = Access(store, settings.page)
        self._throttle = Throttle(
            self._policy.tries, self._policy.try_every_ms, self._policy.addresses
        )
        self._watch = Watch(store, clock, settings)
        self.app = web.Application(middlewares=[guard, self._on])
        self.app.on_response_prepare.append(protect)
        self.app.add_routes(
            [
                web.get("/", self._index, name="page"),
                web.get("/login", self._login_form, name="page_login"),
                web.post("/login", self._login, name="page_try_login"),
                web.post("/logout", self._logout, name="page_logout"),
                web.get("/state", self._state, name="page_state"),
                web.post("/fire", self._fire, name="page_fire"),
                web.post("/cancel", self._cancel, name="page_cancel"),
                web.get("/contract", self._contract, name="page_contract"),
                web.get("/approve", self._ask_approval, name="page_ask_approval"),
                web.post("/approve", self._approve, name="page_approve"),
                web.get("/static/{name}", self._file, name="page_file"),
            ]
        )

    @web.middleware
    async def _on(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not await self._access.is_on():
            if "text/html" in request.headers.get("Accept", ""):
                page = files.read("off.html")
                return web.Response(text=page, content_type=_HTML, status=HTTPStatus.NOT_FOUND)
            return _refusal(HTTPStatus.NOT_FOUND, "not_found", OFF)
        response: web.StreamResponse = await handler(request)
        return response

    async def _index(self, request: web.Request) -> web.Response:
        return await self._shown(request, lambda: files.read("index.html"))

    async def _contract(self, request: web.Request) -> web.Response:
        return await self._shown(request, lambda: files.contract(contract_html()))

    async def _shown(self, request: web.Request, page: Callable[[], str]) -> web.Response:
        if not await self._is_logged_in(request):
            return _to("login")
        return web.Response(text=page(), content_type=_HTML)

    async def _ask_approval(self, request: web.Request) -> web.Response:
        code = _code(request)
        if not await self._is_logged_in(request):
            return _to(_with_code("login", code) if code else "login")
        if not code:
            return _approval(approve.ask_code())
        now = self._clock()
        pending = await self._logins.find(code, now)
        if pending is None:
            return _approval(
                approve.ask_code(f"Not done: {self._logins.nothing_waits(code)}."), status=404
            )
        agents = [each.name for each in await self._accounts.everyone() if not each.revoked]
        return _approval(approve.ask_decision(code, pending, agents, now))

    async def _approve(self, request: web.Request) -> web.Response:
        if not await self._is_logged_in(request):
            return _logged_out()
        form = await self._form(request)
        code, agent, now = form.get("code", ""), form.get("agent", ""), self._clock()
        approved = form.get("decision") == "approve"
        try:
            if approved:
                await self._logins.approve(code, agent, now)
                said = f"Approved: hermes logs in as {agent} within a second or two."
            else:
                await self._logins.deny(code, now)
                said = "Refused."
        except AccountError as error:
            return _approval(approve.ask_code(f"Not done: {error}."), status=409)
        log_event("page_approve", agent=agent, approved=approved)
        return _approval(approve.decided(said))

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in files.TYPES:
            raise web.HTTPNotFound
        headers = {"ETag": f'"{files.tag(name)}"', "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(text=files.read(name), content_type=files.TYPES[name], headers=headers)

    async def _login_form(self, request: web.Request) -> web.Response:
        return web.Response(text=files.login("", _code(request)), content_type=_HTML)

    async def _login(self, request: web.Request) -> web.Response:
        now = self._clock()
        secret = await self._access.login(await self._token(request), now)
        # Who has the token gets in: behind a proxy all come from one address.
        wait_s = 0 if secret is not None else self._throttle.wait_s(host_of(request.remote), now)
        if wait_s:
            said, headers = f"Too many tries. Wait {wait_s} s.", {"Retry-After": str(wait_s)}
            return web.Response(
                text=files.login(said, _code(request)),
                content_type=_HTML,
                status=429,
                headers=headers,
            )
        log_event("page_login", let_in=secret is not None, address=request.remote)
        if secret is None:
            said = "That is not the admin token."
            return web.Response(
                text=files.login(said, _code(request)), content_type=_HTML, status=403
            )
        response = _to(_with_code("approve", code) if (code := _code(request)) else "./")
        response.set_cookie(
            self._cookie,
            secret,
            path=_HERE,
            httponly=True,
            samesite="Strict",
            secure=self._secure,
            max_age=self._policy.session_ms // 1_000,
        )
        return response

    async def _logout(self, request: web.Request) -> web.Response:
        if await self._is_logged_in(request):  # nobody else makes the store work
            await self._access.logout(request.cookies[self._cookie])
        response = _to("login")
        response.del_cookie(self._cookie, path=_HERE)
        return response

    async def _state(self, request: web.Request) -> web.Response:
        if not await self._is_logged_in(request):
            return _logged_out()
        wanted = _wanted(request.query)
        firing = self._relay().delivering(wanted.which)
        return web.json_response(await self._watch.see(wanted, firing))

    async def _fire(self, request: web.Request) -> web.Response:
        if not await self._is_logged_in(request):
            return _logged_out()
        agent, job_id, schedule_id = await self._one_shot(request)
        one = await self._store.fire_now(agent, job_id, schedule_id, self._clock())
        if one is not None:
            self._relay().expect(one.wake_ms)
        return self._changed("fire", agent, job_id, schedule_id, done=one is not None)

    async def _cancel(self, request: web.Request) -> web.Response:
        if not await self._is_logged_in(request):
            return _logged_out()
        agent, job_id, schedule_id = await self._one_shot(request)
        done = await self._store.withdraw(agent, job_id, schedule_id, self._clock())
        return self._changed("cancel", agent, job_id, schedule_id, done=done)

    def _changed(
        self, what: str, agent: str, job_id: str, schedule_id: str, *, done: bool
    ) -> web.Response:
        self._watch.forget()
        log_event(f"page_{what}", agent=agent, job_id=job_id, schedule_id=schedule_id, done=done)
        if not done:
            gone = "that one-shot is not there any more"
            return _refusal(HTTPStatus.CONFLICT, "gone", gone)
        return web.json_response({"ok": True})

    async def _is_logged_in(self, request: web.Request) -> bool:
        secret = request.cookies.get(self._cookie, "")
        return bool(secret) and await self._access.is_session(secret, self._clock())

    async def _one_shot(self, request: web.Request) -> tuple[str, str, str]:
        return bodies.parse_one_shot(await self._body(request, request_body.JSON))

    async def _token(self, request: web.Request) -> str:
        return (await self._form(request)).get("token", "").strip()

    async def _form(self, request: web.Request) -> dict[str, str]:
        form = await self._body(request, request_body.FORM)
        return dict(parse_qsl(form.decode("utf-8", "replace")))

    async def _body(self, request: web.Request, kind: str) -> bytes:
        """Return a body; aiohttp knows no limit of a part of an application."""
        limited = request.clone(client_max_size=self._policy.body_bytes)
        return await request_body.body(limited, kind, self._body_s)


def _refusal(status: HTTPStatus, code: str, description: str) -> web.Response:
    return web.json_response({"error": code, "error_description": description}, status=status)


def _logged_out() -> web.Response:
    return _refusal(HTTPStatus.UNAUTHORIZED, "logged_out", "log in first")


def _approval(body: str, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(text=files.approve(body), content_type=_HTML, status=status)


def _code(request: web.Request) -> str:
    code = plain_code(request.query.get("code", ""))[:40]
    return shown_code(code) if code.isascii() and code else ""


def _with_code(place: str, code: str) -> str:
    return f"{place}?{urlencode({'code': code})}"


def _to(place: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": place})


def _wanted(query: Any) -> Wanted:
    hours = query.get("hours", "6")
    if hours not in map(str, HOURS):
        raise InvalidRequestError("hours: is not one of 1, 6, 24", field="hours")
    offsets = {name: _offset(query, name) for name in TABLES}
    which = Which(query.get("agent") or None, query.get("text", ""))
    return Wanted(which=which, hours=int(hours), offsets=offsets)


def _offset(query: Any, name: str) -> int:
    text = query.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise InvalidRequestError(f"{name}: is no number", field=name)
    return int(text)
