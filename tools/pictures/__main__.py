"""Photographs the page of `nas-server` for the documentation.

    scripts/pictures [DIRECTORY]
    scripts/pictures --screens DIRECTORY

Desktop, phone, dark, and without any colour; in docs/pictures unless told otherwise. With
``--screens`` it takes whole pages to be looked at: three widths, light and dark, with 0, 28, 5,000
and 50,000 one-shots, and the other pages.
"""

import argparse
import asyncio
import sys
from itertools import product
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page

from tests.support.browser import browser, viewer
from tools.bootstrap import ROOT
from tools.pictures.stage import STAGED, many, stage

WIDE: Final = {"width": 1_180, "height": 1_000}
NARROW: Final = {"width": 360, "height": 740}
PICTURES: Final[dict[str, dict[str, Any]]] = {
    "page": {"viewport": WIDE},
    "page-dark": {"viewport": WIDE, "color_scheme": "dark"},
    "page-fired": {"viewport": WIDE},
    "page-agent": {"viewport": WIDE},
    "page-phone": {"viewport": NARROW, "is_mobile": True, "has_touch": True},
    "page-phone-armed": {"viewport": NARROW, "is_mobile": True, "has_touch": True},
    "page-without-colour": {"viewport": WIDE},
}

SECTIONS: Final = {"page-fired": "attempts-head", "page-phone-armed": "armed-head"}
"""What some of them begin with."""
VIEWS: Final = {"page-agent": "?agent=weekly-digest"}
"""What some of them show in place of everything."""
WIDTHS: Final = (360, 768, 1_280)
SCHEMES: Final[tuple[Any, ...]] = ("light", "dark")
COUNTS: Final = (0, STAGED, 5_000, 50_000)
OTHERS: Final = {
    "agent": "?agent=weekly-digest",
    "search": "?text=check",
    "no-such-agent": "?agent=nobody",
    "contract": "contract",
    "approve": "approve",
    "login": "login",
}


async def pictures(into: Path) -> None:
    """Take those of the documentation."""
    async with stage() as (nas, token), browser() as running:
        for name, options in PICTURES.items():
            async with viewer(running, nas.url, **options) as somebody:
                await somebody.log_in(token)
                if name.endswith("colour"):
                    rule = "html { filter: grayscale(1); }"
                    await somebody.page.evaluate(
                        "rule => { const sheet = new CSSStyleSheet(); sheet.replaceSync(rule);"
                        " document.adoptedStyleSheets.push(sheet); }",
                        rule,
                    )
                if view := VIEWS.get(name):
                    await somebody.page.goto(f"{nas.url}/admin/{view}")
                    await somebody.live()
                if section := SECTIONS.get(name):
                    await somebody.page.evaluate("id => location.assign(`#${id}`)", section)
                await _take(somebody.page, into / f"{name}.png")


async def screens(into: Path) -> None:
    """Take what is to be looked at: all of each page."""
    async with browser() as running:
        for count in COUNTS:
            async with stage() if count == STAGED else many(count) as (nas, token):
                for width, scheme in product(WIDTHS, SCHEMES):
                    options: dict[str, Any] = {
                        "viewport": {"width": width, "height": 900},
                        "color_scheme": scheme,
                    }
                    async with viewer(running, nas.url, **options) as somebody:
                        name = f"{width}-{scheme}-{count}"
                        await somebody.log_in(token)
                        await _take(somebody.page, into / f"{name}.png", full_page=True)
                        for other, place in OTHERS.items() if count == STAGED else ():
                            await somebody.page.goto(f"{nas.url}/admin/{place}")
                            file = into / f"{name}-{other}.png"
                            await _take(somebody.page, file, full_page=True)


async def _take(page: Page, file: Path, **options: Any) -> None:
    await page.wait_for_load_state("networkidle")
    taken = await page.screenshot(path=file, scale="css", **options)
    print(f"{file.name}  {len(taken) // 1_000} kB", file=sys.stderr)


def main() -> None:
    """Take those that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("directory", nargs="?", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--screens", action="store_true")
    options = parser.parse_args()
    if options.screens and options.directory == parser.get_default("directory"):
        parser.error("say in which directory")
    options.directory.mkdir(parents=True, exist_ok=True)
    asyncio.run((screens if options.screens else pictures)(options.directory))


if __name__ == "__main__":
    main()
