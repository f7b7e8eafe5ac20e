"""The page in a real browser: what a person sees, does, and is kept from."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult
from nas_server.page.access import Access
from nas_server.store import MemoryStore
from tests.support.agent_stub import agent_stub, held
from tests.support.browser import PATIENCE_MS, Viewer, browser, viewer
from tests.support.nas_in_process import Hosted, hosted
from tools.pictures.stage import stage

pytestmark = pytest.mark.asyncio(loop_scope="module")  # that of the one browser
expect.set_options(timeout=PATIENCE_MS)
HOSTILE = "<img src=x onerror=document.title='owned'><script>alert(1)</script>"
DEAF = "http://127.0.0.1:9"
LOOKS = Path(__file__).with_name("looks.js").read_text().strip().removesuffix(";")
NARROW = {"width": 360, "height": 740}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Browser]:
    async with browser() as chromium:
        yield chromium


@asynccontextmanager
async def looking(
    running: Browser, store: MemoryStore, **options: Any
) -> AsyncIterator[tuple[Hosted, Viewer]]:
    """A NAS on ``store`` and somebody who has logged in to its page."""
    async with hosted(store) as nas, viewer(running, nas.url, **options) as somebody:
        await somebody.log_in(await Access(store).new_token())
        yield nas, somebody
        assert somebody.complaints == []


async def test_it_follows_the_server_without_a_reload(running: Browser) -> None:
    async with agent_stub(lambda: 0) as agent, looking(running, MemoryStore()) as (nas, somebody):
        page = somebody.page
        await expect(page.get_by_text("Nothing is armed.")).to_be_visible()
        await nas.provision("water-plants", 600_000, agent.url)
        row = page.locator("#armed-rows tr")
        await expect(row).to_contain_text(["water-plants"])
        await expect(page.locator("#timeline .lane")).to_have_text(
            ["agent1 armed, the next in 10 min"]
        )
        gate = asyncio.Event()
        agent.answers.append(held(gate))
        nas.advance(600_000)
        await agent.until(1)
        await expect(row).to_contain_text(["▶ firing"])
        gate.set()
        await expect(row).to_have_count(0)
        await expect(page.locator("#attempts-rows tr")).to_contain_text(["✓ delivered"])
        assert "202" in (await somebody.rows("attempts"))[0]


async def test_fire_now_is_asked_about_and_done(running: Browser) -> None:
    async with agent_stub(lambda: 0) as agent, looking(running, MemoryStore()) as (nas, somebody):
        page = somebody.page
        schedule_id = await nas.provision("job", 3_600_000, agent.url)
        fire = page.get_by_role("button", name="Fire now: job of agent")
        await fire.click()
        await page.get_by_role("button", name="Keep it as it is").click()
        assert agent.fires == []
        await fire.click()
        await page.get_by_role("dialog").get_by_role("button", name="Fire now").click()
        await agent.until(1)
        await expect(page.get_by_text("Fired: job of agent.")).to_be_visible()
        await expect(page.locator("#attempts-rows tr")).to_contain_text(["fired early"])
        assert await nas.armed() == {"job": schedule_id}


async def test_cancel_works_by_keyboard_alone(running: Browser) -> None:
    async with looking(running, MemoryStore()) as (nas, somebody):
        page = somebody.page
        await nas.provision("job", 3_600_000, DEAF)
        cancel = page.get_by_role("button", name="Cancel: job of agent")
        await cancel.focus()
        async with page.expect_response("**/admin/state?*"):
            pass  # what is shown anew keeps the focus
        await expect(cancel).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog", name="Cancel it?")).to_be_visible()
        await page.keyboard.press("Escape")
        assert set(await nas.armed()) == {"job"}
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Cancelled: job of agent.")).to_be_visible()
        assert await nas.armed() == {}


async def test_what_agents_say_is_never_markup(running: Browser) -> None:
    store = MemoryStore()
    async with looking(running, store) as (nas, somebody):
        now = nas.clock.now
        for agent, job in (("agent", HOSTILE), (HOSTILE, "job"), ("agent", f'">{HOSTILE}')):
            at = format_instant(now + 60_000)
            one = one_shot.fresh(
                agent, job, at, f"{DEAF}/{HOSTILE}", job, one_shot.new_schedule_id(), now
            )
            await store.provision(one, now)
        (last,) = (await store.due(now + 60_000, 3))[2:]
        await store.settle(last, DeliveryResult(ended=False, note=HOSTILE), now + 60_000)
        page = somebody.page
        await expect(page.locator("#armed-rows tr")).to_have_count(3)
        await expect(page.locator("#attempts-rows tr")).to_have_count(1)
        assert HOSTILE in await page.locator("#armed-rows").inner_text()
        assert HOSTILE in await page.locator("#attempts-rows").inner_text()
        assert await page.locator("main img, main script").count() == 0
        await page.get_by_role("button", name="Cancel").first.click()
        assert await page.locator("dialog img").count() == 0
        assert await page.title() == "One-shots · nas-server"


async def test_many_are_shown_in_pages_and_one_agent_alone(running: Browser) -> None:
    store = MemoryStore()
    async with looking(running, store) as (nas, somebody):
        now = nas.clock.now
        for n in range(10_000):
            at = format_instant(now + 60_000 + n)
            agent, job = f"agent-{n % 40:02}", f"job-{n:05}"
            name = one_shot.new_schedule_id()
            await store.provision(one_shot.fresh(agent, job, at, DEAF, job, name, now), now)
        page, rows = somebody.page, somebody.page.locator("#armed-rows tr")
        await expect(page.get_by_text("1 to 20 of the first 5000")).to_be_visible()
        assert await page.get_by_role("button", name="Older").count() == 0
        await page.get_by_role("button", name="Later").click()
        await expect(page.get_by_text("21 to 40 of the first 5000")).to_be_visible()
        await expect(rows.first).to_contain_text("job-00020")
        await page.get_by_label("Agent", exact=True).fill("agent-07")
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_text("1 to 20 of 250")).to_be_visible()
        assert all("agent-07" in text for text in await somebody.rows("armed"))
        assert await page.locator("#timeline .lane").count() == 1
        assert await page.locator("*").count() < 2_000


async def test_what_fired_is_shown_in_pages(running: Browser) -> None:
    store = MemoryStore()
    async with looking(running, store) as (nas, somebody):
        now = nas.clock.now
        for n in range(30):
            at = format_instant(now + 60_000)
            await store.provision(
                one_shot.fresh("a", f"job-{n:02}", at, DEAF, f"{n}", f"os{n}", now), now
            )
        for one in await store.due(now + 60_000, 30):
            await store.settle(
                one, DeliveryResult(ended=True, note="202"), now + 60_000 + int(one.job_id[-2:])
            )
        page, rows = somebody.page, somebody.page.locator("#attempts-rows tr")
        await expect(page.get_by_text("1 to 20 of 30")).to_be_visible()
        await expect(rows.first).to_contain_text("job-29")
        pager = page.get_by_role("navigation", name="Pages of attempts")
        await pager.get_by_role("button", name="Older").click()
        await expect(page.get_by_text("21 to 30 of 30")).to_be_visible()
        await expect(rows).to_have_count(10)
        await expect(rows.last).to_contain_text("job-00")
        await expect(pager.get_by_role("button", name="Older")).to_be_disabled()
        await pager.get_by_role("button", name="Newer").click()
        await expect(rows.first).to_contain_text("job-29")


async def test_a_server_that_is_gone_is_said_in_words(running: Browser) -> None:
    store = MemoryStore()
    async with hosted(store) as nas, viewer(running, nas.url) as somebody:
        await somebody.log_in(await Access(store).new_token())
        await somebody.page.route("**/state?*", lambda route: route.abort())
        await expect(
            somebody.page.get_by_text("Not live: the server gives no answer")
        ).to_be_visible()
        await somebody.page.unroute("**/state?*")
        await somebody.live()


async def test_who_is_logged_out_is_asked_to_log_in(running: Browser) -> None:
    store = MemoryStore()
    async with hosted(store) as nas, viewer(running, nas.url) as somebody:
        token = await Access(store).new_token()
        await somebody.log_in(token)
        await Access(store).new_token()
        await somebody.page.wait_for_url("**/admin/login")
        await somebody.page.get_by_label("Admin token").fill(token)
        await somebody.page.keyboard.press("Enter")
        await expect(somebody.page.get_by_role("alert")).to_have_text(
            "That is not the admin token."
        )
        await somebody.log_in(await Access(store).new_token())
        await somebody.page.get_by_role("button", name="Log out").click()
        await expect(somebody.page.get_by_label("Admin token")).to_be_visible()


@pytest.mark.parametrize("place", ["", "contract"])
async def test_a_phone_does_not_scroll_sideways(running: Browser, place: str) -> None:
    async with stage() as (nas, token), viewer(running, nas.url, viewport=NARROW) as somebody:
        await somebody.log_in(token)
        await somebody.page.goto(f"{nas.url}/admin/{place}")
        await expect(somebody.page.locator("table tbody tr").first).to_be_visible()
        width = await somebody.page.evaluate("document.documentElement.scrollWidth")
        assert width <= NARROW["width"]
        assert somebody.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_and_told_apart_without_colour(running: Browser, scheme: str) -> None:
    async with stage() as (nas, token), viewer(running, nas.url, color_scheme=scheme) as somebody:
        await somebody.log_in(token)
        page = somebody.page
        await expect(page.locator("#dead-rows tr")).to_have_count(1)
        assert await page.evaluate(f"{LOOKS}.faint()") == []
        assert await page.evaluate(f"{LOOKS}.nameless()") == []
        states = await page.locator("td.state").all_inner_texts()
        assert set(states) == {
            "↻ retrying",
            "○ armed",
            "✕ dead",
            "✓ delivered",
            "↻ failed",
            "✕ given up",
        }
