"""Approving an agent's login on the page."""

from typing import Any

import pytest

from nas_server.http.oauth import DEVICE_CODE
from nas_server.page.access import Access
from nas_server.store import MemoryStore
from tests.server.page.conftest import Admin
from tests.support.nas_in_process import hosted

HOSTILE = "<script>alert(1)</script>"


async def start(admin: Admin, client: str = "hermes-cli") -> dict[str, Any]:
    status, told, _ = await admin.nas.call(
        "POST", "/api/oauth/device/code", data={"client_id": client}
    )
    assert status == 200
    answer: dict[str, Any] = told
    return answer


async def collect(admin: Admin, started: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    form = {
        "grant_type": DEVICE_CODE,
        "client_id": "hermes-cli",
        "device_code": started["device_code"],
    }
    status, told, _ = await admin.nas.call("POST", "/api/oauth/token", data=form)
    return status, told


async def test_the_link_that_hermes_shows_leads_there_through_the_login(admin: Admin) -> None:
    started = await start(admin)
    link = started["verification_uri_complete"].removeprefix("http://nas.test/admin/")
    asked = await admin.ask("GET", link)
    place = asked.headers["Location"]
    assert (asked.status, place) == (303, f"login?code={started['user_code']}")
    form = await (await admin.ask("GET", place)).text()
    assert f'action="{place}"' in form
    wrong = await admin.ask("POST", place, data={"token": "wrong"})
    assert f'action="{place}"' in await wrong.text()
    logged_in = await admin.ask("POST", place, data={"token": admin.token})
    assert logged_in.headers["Location"] == link
    shown = await (await admin.ask("GET", link)).text()
    for said in (started["user_code"], "hermes-cli", "127.0.0.1", "<option>agent</option>"):
        assert said in shown
    form_of_decision = {"code": started["user_code"], "agent": "agent", "decision": "approve"}
    done = await admin.ask("POST", "approve", data=form_of_decision)
    assert (done.status, "Approved" in await done.text()) == (200, True)
    assert (await collect(admin, started))[0] == 200
    again = await admin.ask("POST", "approve", data=form_of_decision)
    assert (again.status, "no login waits" in await again.text()) == (409, True)


async def test_it_says_how_long_ago_and_from_where_a_login_was_asked_for(admin: Admin) -> None:
    await admin.log_in()
    started = await start(admin)
    admin.nas.clock.now += 61_500
    shown = await (await admin.ask("GET", f"approve?code={started['user_code']}")).text()
    assert "asked to log in 61 s ago, from <code>127.0.0.1</code>, with the code" in shown


async def test_it_can_be_refused(admin: Admin) -> None:
    await admin.log_in()
    started = await start(admin)
    form = {"code": started["user_code"], "decision": "deny"}
    assert (await admin.ask("POST", "approve", data=form)).status == 200
    assert (await collect(admin, started))[1]["error"] == "access_denied"


async def test_nobody_else_approves_anything(admin: Admin) -> None:
    started = await start(admin)
    form = {"code": started["user_code"], "agent": "agent", "decision": "approve"}
    assert (await admin.ask("POST", "approve", data=form)).status == 401
    await admin.log_in()
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert (await admin.ask("POST", "approve", data=form, headers=elsewhere)).status == 403
    assert (await collect(admin, started))[1]["error"] == "authorization_pending"


@pytest.mark.parametrize("code", ["", "x", HOSTILE, "%FF", "ä", "B" * 500])
async def test_codes_that_are_none(admin: Admin, code: str) -> None:
    await admin.log_in()
    asked = await admin.ask("GET", "approve", params={"code": code})
    assert asked.status in (200, 404)
    assert HOSTILE not in await asked.text()
    form = {"code": code, "agent": "agent", "decision": "approve"}
    assert (await admin.ask("POST", "approve", data=form)).status == 409


async def test_what_strangers_call_themselves_is_no_markup(admin: Admin) -> None:
    await admin.log_in()
    started = await start(admin, HOSTILE)
    shown = await (await admin.ask("GET", f"approve?code={started['user_code']}")).text()
    assert HOSTILE not in shown
    assert "&lt;script&gt;" in shown


async def test_without_an_agent_it_says_how_to_make_one() -> None:
    store = MemoryStore()
    async with hosted(store) as nas:
        await nas.nas.accounts.revoke("agent")
        admin = Admin(nas, await Access(store).new_token(), nas.client)
        cookie = (await admin.log_in()).headers["Set-Cookie"].partition(";")[0]
        started = await start(admin)
        shown = await admin.ask(
            "GET", f"approve?code={started['user_code']}", headers={"Cookie": cookie}
        )
        assert "agent add NAME --no-token" in await shown.text()
