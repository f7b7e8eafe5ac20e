"""What MkDocs calls while it builds; `mkdocs.yml` names this file."""

from __future__ import annotations

from typing import Any

from tools.bootstrap import ROOT
from tools.contract import spec
from tools.docs import contract

MARK = "<!-- the contract -->"
"""Where in a page the contract goes."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page's Markdown, with the contract in the place that is marked for it."""
    if MARK not in markdown:
        return markdown
    loaded = spec.load(ROOT / "openapi" / "nas-agent-cron.yaml")
    return markdown.replace(MARK, contract.page(loaded))
