"""What MkDocs calls while it builds; `mkdocs.yml` names this file."""

from __future__ import annotations

import re
from typing import Any

from tools.bootstrap import ROOT
from tools.contract import spec
from tools.docs import contract

MARK = "<!-- the contract -->"
"""Where in a page the contract goes."""


_TO_A_TEST = re.compile(r"\[(`test_\w+`)\]\(\.\./tests/[\w/]+\.py\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page's Markdown, with the contract in the place that is marked for it.

    Links to tests lead nowhere from the site, which holds no sources: their names are left.
    """
    markdown = _TO_A_TEST.sub(r"\1", markdown)
    if MARK not in markdown:
        return markdown
    loaded = spec.load(ROOT / "openapi" / "nas-agent-cron.yaml")
    return markdown.replace(MARK, contract.page(loaded))
