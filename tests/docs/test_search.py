"""The search of the documentation, in a real browser: from a server and from a disk."""

import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.async_api import expect

from tests.support.browser import PATIENCE_MS, browser

ROOT = Path(__file__).parents[2]
PAGES = ("index.md", "design.md")
WORD = "watchdog"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as it is configured, but of two pages, which are built in seconds."""
    place = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs" / "assets", place / "docs" / "assets")
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text("utf-8")
        (place / "docs" / page).write_text(text, "utf-8")
    settings: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    for name in ("hooks", "watch", "validation"):  # about what is not here
        del settings[name]
    plugins = [each for each in settings["plugins"] if isinstance(each, str)]
    here = {"nav": [*PAGES], "plugins": plugins, "strict": False}
    (place / "mkdocs.yml").write_text(yaml.safe_dump(settings | here))
    builder = ROOT / ".cache" / "docs" / "bin" / "python"
    subprocess.run(
        [builder, "-m", "mkdocs", "-q", "build"],
        cwd=place,
        check=True,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": "/usr/bin:/bin"},
    )
    return place / "site"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The site on a server, below a path."""
    handler = functools.partial(Quiet, directory=str(site.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{site.name}/index.html"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def on_a_disk(site: Path) -> Iterator[str]:
    """The site as files."""
    yield (site / "index.html").as_uri()


@pytest.mark.parametrize("where", [served, on_a_disk])
async def test_the_search_finds_a_word_and_leads_to_it(site: Path, where: Any) -> None:
    with where(site) as url:
        async with browser() as running:
            page = await running.new_page()
            page.set_default_timeout(PATIENCE_MS)
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            await page.goto(url)
            await page.get_by_role("textbox", name="Search").click()
            await page.keyboard.type(WORD)
            found = page.locator(".md-search-result__link", has_text=WORD).first
            await expect(found).to_be_visible(timeout=PATIENCE_MS)
            await page.locator(".md-search-result__link[href*='design']").first.click()
            await page.wait_for_url("**/design.html*")
            title = page.get_by_role("heading", name="Design").first
            await expect(title).to_be_visible(timeout=PATIENCE_MS)
            base = url.removesuffix("index.html")
            assert [each for each in asked if not each.startswith((base, "data:", "blob:"))] == []
