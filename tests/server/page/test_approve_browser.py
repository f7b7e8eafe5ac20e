"""Approving an agent's login in a real browser, by keyboard and by mouse, on any screen."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from nas_server.http.oauth import DEVICE_CODE
from nas_server.page.access import Access
from nas_server.store import MemoryStore
from tests.server.page.conftest import LOOKS
from tests.support.browser import PATIENCE_MS, Viewer, viewer
from tests.support.nas_in_process import Hosted, hosted

pytestmark = pytest.mark.asyncio(loop_scope="module")  # that of the one browser
expect.set_options(timeout=PATIENCE_MS)


async def start(nas: Hosted, client: str = "hermes-cli") -> dict[str, Any]:
    """Ask for a login as hermes does."""
    status, told, _ = await nas.call("POST", "/api/oauth/device/code", data={"client_id": client})
    assert status == 200
    answer: dict[str, Any] = told
    return answer


async def collect(nas: Hosted, started: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Ask whether it was approved."""
    code = started["device_code"]
    form = {"grant_type": DEVICE_CODE, "client_id": "hermes-cli", "device_code": code}
    status, told, _ = await nas.call("POST", "/api/oauth/token", data=form)
    return status, told


async def admin_token(nas: Hosted, store: MemoryStore) -> str:
    """The token of a page, on a NAS with two agents."""
    await nas.nas.accounts.add("brewery", "i-2", nas.clock())
    return await Access(store).new_token()


async def enter(somebody: Viewer, code: str) -> None:
    """Type a code, as it is shown, and go on."""
    await somebody.page.get_by_role("link", name="Log an agent in").click()
    await somebody.page.get_by_label("The code that hermes shows").fill(code)
    await somebody.page.keyboard.press("Enter")


@pytest.mark.parametrize("spelling", [str, str.lower, lambda code: code.replace("-", " ")])
async def test_a_code_is_typed_an_agent_chosen_and_approved(
    running: Browser, spelling: Any
) -> None:
    store = MemoryStore()
    async with hosted(store) as nas, viewer(running, nas.url) as somebody:
        await somebody.log_in(await admin_token(nas, store))
        started = await start(nas)
        await enter(somebody, spelling(started["user_code"]))
        page = somebody.page
        await expect(page.get_by_text("hermes-cli")).to_be_visible()
        await expect(page.get_by_text(started["user_code"])).to_be_visible()
        await page.get_by_label("Log it in as").select_option("brewery")
        await page.get_by_role("button", name="Approve").click()
        await expect(page.get_by_role("status")).to_contain_text("logs in as brewery")
        status, granted = await collect(nas, started)
        assert status == 200
        headers = {"Authorization": f"Bearer {granted['access_token']}"}
        assert (await nas.call("GET", "/api/agent-cron/list", headers=headers))[0] == 200
        held = {one.name: one.generation for one in await nas.nas.accounts.everyone()}
        assert held["brewery"] > held["agent"]  # a login is a credential of its own
        assert somebody.complaints == []


async def test_the_link_of_hermes_leads_there_through_the_login(running: Browser) -> None:
    store = MemoryStore()
    async with hosted(store) as nas, viewer(running, nas.url) as somebody:
        token, started = await admin_token(nas, store), await start(nas)
        place = started["verification_uri_complete"].removeprefix("http://nas.test/")
        page = somebody.page
        await page.goto(f"{nas.url}/{place}")
        await page.get_by_label("Admin token").fill(token)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text(started["user_code"])).to_be_visible()
        await page.get_by_label("Log it in as").focus()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="Approve")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("Approved")
        assert (await collect(nas, started))[0] == 200


async def test_it_is_refused(running: Browser) -> None:
    store = MemoryStore()
    async with hosted(store) as nas, viewer(running, nas.url) as somebody:
        await somebody.log_in(await admin_token(nas, store))
        started = await start(nas)
        await enter(somebody, started["user_code"])
        await somebody.page.get_by_role("button", name="Refuse").click()
        await expect(somebody.page.get_by_role("status")).to_have_text("Refused.")
        assert (await collect(nas, started))[1]["error"] == "access_denied"


async def test_one_that_has_expired_says_so_when_typed_and_when_decided(running: Browser) -> None:
    store = MemoryStore()
    async with hosted(store) as nas, viewer(running, nas.url) as somebody:
        await somebody.log_in(await admin_token(nas, store))
        started = await start(nas)
        await enter(somebody, started["user_code"])
        approve = somebody.page.get_by_role("button", name="Approve")
        await expect(approve).to_be_visible()
        nas.advance(600_001)  # ten minutes
        await approve.click()
        alert = somebody.page.get_by_role("alert")
        await expect(alert).to_contain_text("10 minutes; then log in again for another")
        await somebody.page.get_by_role("link", name="Back").click()
        await enter(somebody, "BCDF-GHJK")
        await expect(alert).to_contain_text("BCDF-GHJK")
        await somebody.page.get_by_label("The code that hermes shows").fill(started["user_code"])
        await somebody.page.keyboard.press("Enter")
        await expect(alert).to_contain_text("10 minutes; then log in again for another")
        assert (await collect(nas, started))[1]["error"] == "expired_token"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1_280])
async def test_it_can_be_read_on_any_screen(running: Browser, width: int, scheme: str) -> None:
    store = MemoryStore()
    size = {"width": width, "height": 740}
    async with (
        hosted(store) as nas,
        viewer(running, nas.url, viewport=size, color_scheme=scheme) as somebody,
    ):
        await somebody.log_in(await admin_token(nas, store))
        started = await start(nas, "a-program-with-a-name-as-long-as-" + "names-get-" * 6)
        await enter(somebody, started["user_code"])
        page = somebody.page
        await expect(page.get_by_role("button", name="Approve")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert await page.evaluate(f"{LOOKS}.faint()") == []
        assert await page.evaluate(f"{LOOKS}.nameless()") == []
