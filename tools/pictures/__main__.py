"""Photographs the page of `nas-server` for the documentation.

    scripts/pictures [DIRECTORY]

Desktop, phone, dark, and without any colour; in docs/pictures unless told otherwise.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

from tests.support.browser import browser, viewer
from tools.bootstrap import ROOT
from tools.pictures.stage import stage

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


async def main(into: Path) -> None:
    """Make all of them."""
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
                file = into / f"{name}.png"
                await somebody.page.screenshot(path=file, scale="css")
                print(f"{file.name}  {file.stat().st_size // 1_000} kB", file=sys.stderr)


if __name__ == "__main__":
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    directory.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(directory))
