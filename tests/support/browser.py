"""A real browser, Chromium without a window, and the page of a NAS in it."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from playwright.async_api import Browser, Page, async_playwright

from tests.support.patience import PATIENCE_S
from tools.bootstrap import CHROMIUM

PATIENCE_MS: Final = PATIENCE_S * 1_000
FLAGS: Final = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def chromium() -> str:
    """Where Chromium is; AssertionError when it is nowhere."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert found, "no Chromium here; scripts/test installs it where it can"
    return found


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Chromium, with a profile that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="browser-") as home:
        async with async_playwright() as playwright:
            running = await playwright.chromium.launch(
                executable_path=chromium(),
                chromium_sandbox=False,
                args=FLAGS,
                env={"HOME": home, "XDG_CONFIG_HOME": home, "XDG_CACHE_HOME": home, "TZ": "UTC"},
            )
            try:
                yield running
            finally:
                await running.close()


class Viewer:
    """Somebody who looks at the page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def log_in(self, token: str) -> None:
        """Log in as a person does."""
        await self.page.goto(f"{self.url}/admin/")
        await self.page.get_by_label("Admin token").fill(token)
        await self.page.get_by_role("button", name="Log in").click()
        await self.live()

    async def live(self) -> None:
        """Wait until the page shows what the server says."""
        await self.page.get_by_text("Live · as of").wait_for()

    async def rows(self, section: str) -> list[str]:
        """The texts of a table's rows."""
        return await self.page.locator(f"#{section}-rows tr").all_inner_texts()


@asynccontextmanager
async def viewer(
    running: Browser, url: str, zone: str = "UTC", **options: Any
) -> AsyncIterator[Viewer]:
    """A viewer with cookies of their own; `options` are those of a browser context."""
    context = await running.new_context(timezone_id=zone, locale="en-GB", **options)
    context.set_default_timeout(PATIENCE_MS)
    try:
        yield Viewer(await context.new_page(), url)
    finally:
        await context.close()
