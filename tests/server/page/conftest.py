"""A NAS with a page, as a program and as a browser sees it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from nas_server.page.access import Access
from nas_server.store import MemoryStore, Store
from tests.support.browser import browser
from tests.support.nas_in_process import Hosted, hosted

LOOKS = Path(__file__).with_name("looks.js").read_text().strip().removesuffix(";")
"""What looks at a page as somebody does who sees badly."""


class Admin:
    """Somebody with the admin token."""

    def __init__(self, nas: Hosted, token: str, client: aiohttp.ClientSession) -> None:
        self.nas = nas
        self.token = token
        self.client = client
        self.origin = {"Origin": nas.url}

    async def ask(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Ask for something of the page; the answer is read."""
        url = f"{self.nas.url}/admin/{path}"
        headers = self.origin | options.pop("headers", {})
        async with self.client.request(
            method, url, headers=headers, allow_redirects=False, **options
        ) as response:
            await response.read()
            return response

    async def log_in(self, token: str | None = None) -> aiohttp.ClientResponse:
        """Send the login form."""
        return await self.ask("POST", "login", data={"token": token or self.token})

    async def state(self, query: str = "") -> dict[str, Any]:
        """What the page would show."""
        answer = await self.ask("GET", f"state?{query}")
        assert answer.status == 200, await answer.text()
        state: dict[str, Any] = await answer.json()
        return state

    async def change(self, what: str, one: dict[str, Any], **options: Any) -> int:
        """Ask for ``fire`` or ``cancel`` of a one-shot that was shown; the status."""
        body = {name: one[name] for name in ("agent", "job_id", "schedule_id")}
        return (await self.ask("POST", what, json=body, **options)).status


@asynccontextmanager
async def administered(store: Store, **settings: Any) -> AsyncIterator[Admin]:
    """A NAS on ``store`` with a page, and nobody logged in yet."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with hosted(store, **settings) as nas, aiohttp.ClientSession(cookie_jar=jar) as client:
        yield Admin(nas, await Access(store).new_token(), client)


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    """Somebody with the admin token of a NAS in memory."""
    async with administered(MemoryStore()) as somebody:
        yield somebody


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Browser]:
    """A browser for all tests of a module."""
    async with browser() as chromium:
        yield chromium
