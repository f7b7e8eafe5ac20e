"""Every Python snippet of the README and the guides runs, against an in-memory NAS."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from nas_sdk.testing import InMemoryNas

ROOT = Path(__file__).parents[2]
PORTAL = "https://portal.nousresearch.com"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# One page has a harness of its own, which also sends fires to its adapters.
ELSEWHERE = {"receiving-fires.md"}


def snippets(page: Path) -> list[str]:
    """The Python blocks of a page, each at its line, so that a traceback points there."""
    text = page.read_text("utf-8")
    blocks = re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return ["\n" * text.count("\n", 0, block.start(1)) + block[1] for block in blocks]


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> InMemoryNas:
    """What the snippets reach under the portal's name."""
    nas = InMemoryNas(base_url=PORTAL)
    for token in ("an-access-token", "a-fresh-token"):
        nas.tokens[token] = "agent"
    transport = nas.transport()
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda _, request: transport.handle_request(request)
    )

    async def handle_async(_: object, request: httpx.Request) -> httpx.Response:
        return await transport.handle_async_request(request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle_async)
    return nas


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if snippets(page) and page.name not in ELSEWHERE],
    ids=lambda page: page.name,
)
def test_snippets(page: Path, portal: InMemoryNas, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "snippet", "my_login": lambda: "a-fresh-token"}
    for code in snippets(page):
        exec(compile(code, str(page), "exec"), names)
    assert "NAS said no" not in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text("utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []
