"""Who gets to see the page, and who cannot do anything through it."""

import asyncio
from collections.abc import AsyncIterator
from http.cookies import BaseCookie, SimpleCookie
from typing import Any

import aiohttp
import pytest
from yarl import URL

from nas_server.http.request_body import FORM
from nas_server.page.access import Access
from nas_server.page.routes import COOKIE
from nas_server.policy import HttpPolicy
from nas_server.store import MemoryStore, Record, Store
from tests.server.page.conftest import Admin, administered
from tests.support.durations import HOUR
from tests.support.nas_in_process import hosted

JSON_BODY = {"Content-Type": "application/json"}
EVERYTHING = ["", "login", "state", "contract", "static/page.js"]
KEPT_FROM_STRANGERS = ["", "contract"]
GUARDS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def names(cookies: BaseCookie[str]) -> list[str]:
    """Those of the page among cookies."""
    return [name for name in cookies if name.startswith(COOKIE)]


def cookie_of(answer: aiohttp.ClientResponse) -> Any:
    (found,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
    assert found.key.startswith(COOKIE)
    return found


@pytest.mark.parametrize("path", EVERYTHING)
async def test_without_a_token_there_is_no_page(path: str) -> None:
    async with hosted(MemoryStore()) as nas:
        status, answer, _ = await nas.call("GET", f"/admin/{path}")
        assert (status, answer["error"]) == (404, "not_found")
        assert "nas-server admin token" in answer["error_description"]


async def test_the_token_opens_the_page(admin: Admin) -> None:
    answer = await admin.log_in()
    assert (answer.status, answer.headers["Location"]) == (303, "./")
    page = await admin.ask("GET", "")
    assert (page.status, page.content_type) == (200, "text/html")
    assert (await admin.state())["counts"] == {"armed": 0, "due": 0, "dead": 0, "firing": 0}


async def test_nobody_else_sees_anything(admin: Admin) -> None:
    for path in KEPT_FROM_STRANGERS:
        answer = await admin.ask("GET", path)
        assert (answer.status, answer.headers["Location"]) == (303, "login")
    assert (await admin.ask("GET", "state")).status == 401
    one = {"agent": "agent", "job_id": "job", "schedule_id": "os"}
    assert [await admin.change(what, one) for what in ("fire", "cancel")] == [401, 401]


@pytest.mark.parametrize("wrong", [b"", b"token=", b"token=x", b"token=%FF%C3%00", b"token[]=a"])
async def test_a_wrong_token_does_not(admin: Admin, wrong: bytes) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await admin.ask("POST", "login", data=wrong, headers=form)
    assert answer.status == 403
    assert "That is not the admin token" in await answer.text()
    assert "Set-Cookie" not in answer.headers
    assert (await admin.ask("GET", "state")).status == 401


async def test_an_agents_token_does_not_either(admin: Admin) -> None:
    assert (await admin.log_in(admin.nas.token)).status == 403


async def test_the_cookie_is_kept_from_scripts_and_other_sites(admin: Admin) -> None:
    cookie = cookie_of(await admin.log_in())
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Strict")
    assert cookie["max-age"] == "43200"
    assert not cookie["secure"]
    async with administered(MemoryStore(), issuer="https://nas.example.com") as public:
        assert cookie_of(await public.log_in())["secure"]


@pytest.mark.parametrize("prefix", ["", "/nas"])
async def test_the_cookie_goes_to_the_page_alone_wherever_a_proxy_has_it(
    admin: Admin, prefix: str
) -> None:
    at = URL(f"http://proxy.test{prefix}")
    jar = aiohttp.CookieJar()
    said = (await admin.log_in()).headers.getall("Set-Cookie")
    jar.update_cookies_from_headers(said, at / "admin" / "login")
    assert names(jar.filter_cookies(at / "admin" / ""))
    assert names(jar.filter_cookies(at / "admin" / "state"))
    assert not names(jar.filter_cookies(at / "api" / "agent-cron" / "list"))
    said = (await admin.ask("POST", "logout")).headers.getall("Set-Cookie")
    jar.update_cookies_from_headers(said, at / "admin" / "logout")
    assert len(jar) == 0


async def test_a_stranger_who_logs_out_makes_the_store_write_nothing() -> None:
    class Written(MemoryStore):
        writes = 0

        async def write(self, kind: str, key: str, record: Record | None) -> None:
            self.writes += 1
            await super().write(kind, key, record)

    store = Written()
    async with administered(store) as admin:
        before = store.writes
        answer = await admin.ask("POST", "logout", cookies={COOKIE: "made-up"})
        assert (answer.status, answer.headers["Location"]) == (303, "login")
        assert store.writes == before


@pytest.mark.usefixtures("one_caller")
async def test_tries_with_what_is_not_the_token_are_few(admin: Admin) -> None:
    answers = [(await admin.log_in("wrong")).status for _ in range(5)]
    assert answers == [403] * 5
    refused = await admin.log_in("wrong")
    assert (refused.status, refused.headers["Retry-After"]) == (429, "10")
    assert "Wait 10 s" in await refused.text()
    admin.nas.clock.now += 10_000
    assert [(await admin.log_in("wrong")).status for _ in range(2)] == [403, 429]


async def test_nobody_keeps_out_who_has_the_token(admin: Admin) -> None:
    answers = [(await admin.log_in("wrong")).status for _ in range(6)]
    assert answers == [403] * 5 + [429]
    assert [(await admin.log_in()).status for _ in range(6)] == [303] * 6
    assert (await admin.log_in("wrong")).status == 429


async def test_a_login_ends(store: Store) -> None:
    async with administered(store) as admin:
        await admin.log_in()
        admin.nas.clock.now += 12 * HOUR - 1
        await admin.state()
        admin.nas.clock.now += 1
        assert (await admin.ask("GET", "state")).status == 401
        await admin.log_in()
        assert len(await store.scan("admin_session")) == 1
        cookie = {c.key: c.value for c in admin.client.cookie_jar}
        assert (await admin.ask("POST", "logout")).headers["Location"] == "login"
        assert (await admin.ask("GET", "state", cookies=cookie)).status == 401


async def test_a_new_token_ends_the_sessions_of_the_old() -> None:
    store = MemoryStore()
    async with administered(store) as admin:
        await admin.log_in()
        new = await Access(store).new_token()
        assert (await admin.ask("GET", "state")).status == 401
        assert (await admin.log_in()).status == 403
        assert (await admin.log_in(new)).status == 303
        await admin.state()
        await Access(store).set_token(new)
        await admin.state()
        await Access(store).turn_off()
        assert (await admin.ask("GET", "")).status == 404


async def test_a_token_that_comes_back_does_not_bring_its_sessions() -> None:
    store = MemoryStore()
    async with administered(store) as admin:
        await admin.log_in()
        await Access(store).new_token()
        await Access(store).set_token(admin.token)  # as a configured one is at the next start
        assert (await admin.ask("GET", "state")).status == 401
        await admin.log_in()
        await Access(store).turn_off()
        await Access(store).set_token(admin.token)
        assert (await admin.ask("GET", "state")).status == 401


async def test_no_secret_is_kept_as_it_is() -> None:
    store = MemoryStore()
    async with administered(store) as admin:
        await admin.log_in()
        kept = repr([await store.scan(kind) for kind in ("admin", "admin_session")])
        secrets = [admin.token, *(cookie.value for cookie in admin.client.cookie_jar)]
        assert len(secrets) == 2
        assert not any(secret in kept for secret in secrets)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://public.example"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://127.0.0.1:1"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
    ],
)
@pytest.mark.parametrize("path", ["login", "logout", "fire", "cancel"])
async def test_only_the_page_itself_asks_for_changes(
    admin: Admin, headers: dict[str, str], allowed: bool, path: str
) -> None:
    await admin.log_in()
    answer = await admin.ask("POST", path, headers=headers, data=b"token=x")
    assert (answer.status != 403 or "admin token" in await answer.text()) == allowed


async def test_a_form_cannot_ask_for_changes(admin: Admin) -> None:
    await admin.log_in()
    one = '{"agent": "agent", "job_id": "job", "schedule_id": "os"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await admin.ask("POST", "cancel", data=one, headers={"Content-Type": kind})
        assert answer.status == 400


@pytest.mark.parametrize("path", EVERYTHING)
async def test_browsers_are_told_to_trust_nothing_else(admin: Admin, path: str) -> None:
    await admin.log_in()
    headers = (await admin.ask("GET", path)).headers
    assert {*GUARDS.items()} <= {*headers.items()}
    assert headers["Cache-Control"] == ("no-cache" if path.startswith("static") else "no-store")


@pytest.mark.parametrize("path", ["login", "fire"])
async def test_errors_are_guarded_as_well(admin: Admin, path: str) -> None:
    await admin.log_in()
    for answer in (await admin.ask("POST", path, data=b"x"), await admin.ask("GET", "nothing")):
        assert answer.status in (400, 404, 405)
        assert {*GUARDS.items()} <= {*answer.headers.items()}
        assert answer.headers["Cache-Control"] == "no-store"


async def test_big_bodies_are_refused(admin: Admin) -> None:
    form = {"Content-Type": FORM}
    fits = b"token=".ljust(16_384, b"x")
    assert (await admin.ask("POST", "login", data=fits, headers=form)).status == 403
    answer = await admin.ask("POST", "login", data=fits + b"x", headers=form)
    assert (answer.status, "is too large" in await answer.text()) == (400, True)
    await admin.log_in()
    answer = await admin.ask("POST", "fire", data=b" " * 16_385, headers=JSON_BODY)
    assert (answer.status, "is too large" in await answer.text()) == (400, True)


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with administered(MemoryStore(), http=HttpPolicy(body_s=0.01)) as admin:
        await _send_no_body(admin)


async def _send_no_body(admin: Admin) -> None:
    await admin.log_in()
    never = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    for path, kind in (("login", {"Content-Type": FORM}), ("fire", JSON_BODY)):
        answer = await admin.ask("POST", path, data=stuck(), headers=kind)
        assert (answer.status, "in time" in await answer.text()) == (400, True)


async def test_an_unknown_charset_is_no_error_of_the_server(admin: Admin) -> None:
    form = {"Content-Type": f"{FORM}; charset=nope"}
    assert (await admin.ask("POST", "login", data=b"token=x", headers=form)).status == 403
