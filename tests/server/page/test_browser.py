"""The page in a real browser: what a person sees, does, and is kept from."""

import asyncio
import itertools
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from nas_sdk._core.instants import format_instant
from nas_sdk.protocol import one_shot
from nas_sdk.protocol.one_shot import DeliveryResult
from nas_server.page.access import Access
from nas_server.store import MemoryStore
from tests.server.page.conftest import LOOKS
from tests.support.agent_stub import agent_stub, held
from tests.support.browser import PATIENCE_MS, Viewer, viewer
from tests.support.nas_in_process import Hosted, hosted
from tools.pictures.stage import STAGED, arm_many, many, stage

pytestmark = pytest.mark.asyncio(loop_scope="module")  # that of the one browser
expect.set_options(timeout=PATIENCE_MS)
HOSTILE = "<img src=x onerror=document.title='owned'><script>alert(1)</script>"
DEAF = "http://127.0.0.1:9"
NARROW = {"width": 360, "height": 740}


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
        await expect(page.locator("#timeline .agent")).to_have_text(
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


async def test_an_answer_counts_once_though_the_end_of_another_question_is_told_late(
    running: Browser,
) -> None:
    async with looking(running, MemoryStore()) as (nas, somebody):
        page = somebody.page
        await nas.provision("job", 3_600_000, DEAF)
        sent: list[str] = []
        page.on("request", lambda request: sent.append(f"{request.method} {request.url}"))
        await page.get_by_role("button", name="Cancel: job of agent").click()
        await page.evaluate("""() => {
            const dialog = document.getElementById("sure");
            dialog.close("yes");
            dialog.dispatchEvent(new Event("close"));
        }""")
        await expect(page.get_by_text("Nothing is armed.")).to_be_visible()
        await expect(page.get_by_text("Cancelled: job of agent.")).to_be_visible()
        assert [each.split("/")[-1] for each in sent if each.startswith("POST")] == ["cancel"]


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
        await page.get_by_role("button", name="Cancel", disabled=False).first.click()
        assert await page.locator("dialog img").count() == 0
        assert await page.title() == "One-shots · nas-server"


async def test_many_are_shown_in_pages_to_the_last_one(running: Browser) -> None:
    store = MemoryStore()
    async with looking(running, store) as (nas, somebody):
        await arm_many(store, nas.clock.now, 10_000)
        page, rows = somebody.page, somebody.page.locator("#armed-rows tr")
        pager = page.get_by_role("navigation", name="Pages of one-shots")
        await expect(pager.get_by_text("1 to 20 of 10,000")).to_be_visible()
        assert await page.get_by_role("button", name="Older").count() == 0
        await pager.get_by_role("button", name="Later").click()
        await expect(pager.get_by_text("21 to 40 of 10,000")).to_be_visible()
        await expect(rows.first).to_contain_text("job-00020")
        await pager.get_by_role("button", name="Last").click()
        await expect(pager.get_by_text("9,981 to 10,000 of 10,000")).to_be_visible()
        await expect(rows.last).to_contain_text("job-09999")
        await page.reload()  # the address says where one is
        await expect(rows.last).to_contain_text("job-09999")
        assert await page.locator("*").count() < 2_000
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"{nas.url}/admin/?armed=99999999999&attempts=9000000&dead=-1")
        await expect(rows.last).to_contain_text("job-09999")  # not page by page from there
        assert len([url for url in asked if "/state?" in url]) < 10


async def test_a_search_is_for_jobs_and_agents_and_filters_every_figure(running: Browser) -> None:
    store = MemoryStore()
    async with looking(running, store) as (nas, somebody):
        await arm_many(store, nas.clock.now, 1_000)
        page, rows = somebody.page, somebody.page.locator("#armed-rows tr")
        for text, count in (("job-0007", "10"), ("agent-07", "25"), ("<b>", "0")):
            await page.get_by_label("Search").fill(text)
            await page.keyboard.press("Enter")
            await expect(page.locator("#count-armed")).to_have_text(count)
            await expect(rows).to_have_count(min(int(count), 20))
            await expect(page.get_by_label("Search")).to_have_value(text)
        await expect(page.get_by_text("Nothing that fits is armed.")).to_be_visible()
        await page.get_by_label("Agent", exact=True).fill("agnet")
        await page.get_by_label("Search").fill("")
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_text("There is no agent named agnet.")).to_be_visible()


async def test_each_agent_has_a_view_of_its_own(running: Browser) -> None:
    async with stage() as (nas, token), viewer(running, nas.url) as somebody:
        await somebody.log_in(token)
        page = somebody.page
        await page.locator("#armed-rows").get_by_role("link", name="weekly-digest").first.click()
        await expect(page.get_by_role("heading", name="Agent weekly-digest")).to_be_visible()
        assert await page.title() == "weekly-digest · nas-server"
        chart = page.get_by_role("img", name="Lateness over 24 hours: 91 first attempts")
        await expect(chart).to_be_visible()
        assert await chart.locator("rect.worst").count() > 40
        assert await chart.locator("text ~ rect").count() == 0  # a bar would hide the word
        for row in ("armed", "attempts"):
            await expect(page.locator(f"#{row}-rows tr").first).to_be_visible()
            assert all("weekly-digest" in text for text in await somebody.rows(row))
        await expect(page.locator("#count-armed")).to_have_text("2")
        assert await page.locator("#timeline .agent").count() == 1
        await page.get_by_role("link", name="All agents").click()
        await expect(page.locator("#count-armed")).to_have_text("28")
        assert await chart.count() == 0
        assert somebody.complaints == []


YEARS = {"today": 3_600_000, "next-week": 7 * 86_400_000, "in-a-year": 365 * 86_400_000}


async def test_times_have_a_day_a_year_and_a_zone(running: Browser) -> None:
    async with stage() as (nas, token), viewer(running, nas.url, zone="Asia/Kathmandu") as somebody:
        for job, in_ms in YEARS.items():
            await nas.provision(job, in_ms, DEAF)
        await somebody.log_in(token)
        page = somebody.page
        await page.get_by_label("Agent", exact=True).fill("agent")
        await page.get_by_role("button", name="Show").click()
        rows = page.locator("#armed-rows tr")
        times = rows.locator("td.when small time")
        await expect(times).to_have_text(
            ["18:45:00", "Fri, 22 Jan 2027, 17:45:00", "Sat, 15 Jan 2028, 17:45:00"]
        )
        await expect(times.first).to_have_attribute("title", re.compile("2027 at 18:45:00 .*5:45"))
        await expect(page.locator("#live")).to_contain_text("Fri, 15 Jan 2027, 17:45:00, Asia/K")
        await page.get_by_label("Times").select_option("UTC")
        await expect(times.first).to_have_text("13:00:00")
        await expect(page.locator("#live")).to_contain_text("12:00:00, UTC")


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
        await expect(page.get_by_text("1 to 20", exact=True)).to_be_visible()
        await expect(rows.first).to_contain_text("job-29")
        pager = page.get_by_role("navigation", name="Pages of attempts")
        await pager.get_by_role("button", name="Older").click()
        await expect(page.get_by_text("21 to 30", exact=True)).to_be_visible()
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


TALLEST = {360: 3_000, 768: 3_000, 1_280: 4_000}
"""Of a width: the page is not longer, however much there is."""


@pytest.mark.parametrize("count", [0, STAGED, 5_000, 50_000])
async def test_it_fits_every_screen_however_many_are_armed(running: Browser, count: int) -> None:
    every = itertools.product(TALLEST, ("light", "dark"))
    # The stage has a row in every state; of the others all rows are alike.
    screens = every if count == STAGED else [(360, "light"), (768, "dark"), (1_280, "light")]
    async with stage() if count == STAGED else many(count) as (nas, token):
        for width, scheme in screens:
            size = {"width": width, "height": 740}
            async with viewer(running, nas.url, viewport=size, color_scheme=scheme) as somebody:
                await somebody.log_in(token)
                page = somebody.page
                await expect(page.locator("#count-armed")).to_have_text(f"{count:,}")
                await expect(page.locator("#armed-rows tr")).to_have_count(min(count, 20))
                await looks_well(page, width, TALLEST[width])
                closed = page.locator("details:not([open]) > summary")
                while await closed.count():
                    await closed.first.click()
                for row in await page.get_by_role("button", name="More about").all():
                    if await row.is_visible():
                        await row.click()
                await looks_well(page, width, math.inf)
                assert somebody.complaints == []


async def looks_well(page: Page, width: int, tallest: float) -> None:
    looks = await page.evaluate(
        """() => [document.documentElement.scrollWidth, document.documentElement.scrollHeight,
        [...document.querySelectorAll("time")].filter((each) => each.getClientRects().length > 1)
        .map((each) => each.textContent)]"""
    )
    assert looks[0] <= width
    assert looks[1] <= tallest
    assert looks[2] == []
    assert await page.evaluate(f"{LOOKS}.squeezed()") == []
    assert await page.evaluate(f"{LOOKS}.faint()") == []
    assert await page.evaluate(f"{LOOKS}.nameless()") == []


async def test_on_a_phone_a_row_opens_by_keyboard(running: Browser) -> None:
    async with stage() as (nas, token), viewer(running, nas.url, viewport=NARROW) as somebody:
        await somebody.log_in(token)
        page = somebody.page
        row = page.locator("#armed-rows tr").first
        await expect(row.get_by_role("button", name="Cancel")).to_be_hidden()
        await expect(row.get_by_role("link", name="garden-watch")).to_be_visible()
        more = row.get_by_role("button", name="More about pump of garden-watch")
        await more.focus()
        await page.keyboard.press("Enter")
        await expect(row.get_by_role("button", name="Cancel")).to_be_visible()
        await expect(more).to_have_attribute("aria-expanded", "true")
        async with page.expect_response("**/admin/state?*"):
            pass  # what is shown anew stays open
        await expect(row.get_by_role("button", name="Cancel")).to_be_visible()
        await page.keyboard.press("Enter")
        await expect(row.get_by_role("button", name="Cancel")).to_be_hidden()
        for section, kind in (("What fired", "attempts"), ("Dead", "dead")):
            rows = page.locator(f"#{kind}-rows tr").first
            await expect(rows).to_be_hidden()
            await page.locator("summary", has_text=section).focus()
            await page.keyboard.press("Enter")
            await expect(rows).to_be_visible()


@pytest.mark.parametrize("width", [360, 768, 1_280])
@pytest.mark.parametrize("place", ["", "contract"])
async def test_the_button_to_log_out_has_no_line_of_its_own(
    running: Browser, place: str, width: int
) -> None:
    size = {"width": width, "height": 740}
    async with stage() as (nas, token), viewer(running, nas.url, viewport=size) as somebody:
        await somebody.log_in(token)
        await somebody.page.goto(f"{nas.url}/admin/{place}")
        await expect(somebody.page.get_by_role("button", name="Log out")).to_be_visible()
        apart = await somebody.page.evaluate(
            """() => { const [name, button] = ["h1", ".top button"]
            .map((each) => document.querySelector(each).getBoundingClientRect());
            return Math.max(name.top, button.top) - Math.min(name.bottom, button.bottom); }"""
        )
        assert apart < 0


@pytest.mark.parametrize("width", [360, 768, 1_280])
async def test_no_name_of_the_contract_is_broken_in_two(running: Browser, width: int) -> None:
    size = {"width": width, "height": 740}
    async with stage() as (nas, token), viewer(running, nas.url, viewport=size) as somebody:
        await somebody.log_in(token)
        await somebody.page.goto(f"{nas.url}/admin/contract")
        await somebody.page.evaluate(
            "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
        )
        links = somebody.page.locator("td a")
        assert await links.count() > 10
        broken = "each => each.filter(a => a.getClientRects().length > 1).map(a => a.textContent)"
        assert await links.evaluate_all(broken) == []
        assert await somebody.page.evaluate("document.documentElement.scrollWidth") <= width


async def test_the_contract_is_a_list_that_opens_where_a_link_leads(running: Browser) -> None:
    async with stage() as (nas, token), viewer(running, nas.url, viewport=NARROW) as somebody:
        await somebody.log_in(token)
        page = somebody.page
        await page.goto(f"{nas.url}/admin/contract")
        height = await page.evaluate("document.documentElement.scrollHeight")
        assert height < 4 * NARROW["height"]
        asked = page.locator("#schema-ProvisionRequest")
        await expect(asked).to_be_hidden()
        await page.locator("summary", has_text="Arm").first.focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="ProvisionRequest").first.click()
        await expect(asked).to_be_visible()
        await expect(asked).to_be_in_viewport()


@pytest.mark.parametrize("place", ["login", "contract", "approve"])
async def test_the_other_pages_fit_a_phone(running: Browser, place: str) -> None:
    async with stage() as (nas, token), viewer(running, nas.url, viewport=NARROW) as somebody:
        await somebody.log_in(token)
        await somebody.page.goto(f"{nas.url}/admin/{place}")
        await expect(somebody.page.get_by_role("heading").first).to_be_visible()
        width = await somebody.page.evaluate("document.documentElement.scrollWidth")
        assert width <= NARROW["width"]
        assert somebody.complaints == []


async def test_a_page_that_is_off_says_so_in_words(running: Browser) -> None:
    async with hosted(MemoryStore()) as nas, viewer(running, nas.url) as somebody:
        await somebody.page.goto(f"{nas.url}/admin/")
        await expect(somebody.page.get_by_role("heading", name="The page is off")).to_be_visible()
        await expect(somebody.page.get_by_text("nas-server admin token")).to_be_visible()


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
