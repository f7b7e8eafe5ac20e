"""The page's files, as they are packaged: no step builds them, and nothing is fetched."""

import hashlib
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Final
from urllib.parse import urlencode

TYPES: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "tables.js": "text/javascript",
    "timeline.js": "text/javascript",
    "words.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
"""What is served as it is, and as what."""


@cache
def read(name: str) -> str:
    """Return a packaged file."""
    return files("nas_server.page").joinpath("static", name).read_text("utf-8")


@cache
def tag(name: str) -> str:
    """Return what an unchanged file is known by (an ETag)."""
    return hashlib.sha256(read(name).encode()).hexdigest()[:16]


def login(said: str, code: str = "") -> str:
    """Return the login page, which says why it is shown again.

    With ``code``, that of an agent's login is to be approved afterwards.
    """
    then = f"?{urlencode({'code': code})}" if code else ""
    return Template(read("login.html")).substitute(said=escape(said), then=escape(then))


def approve(body: str) -> str:
    """Return the page on which an agent's login is approved, around its ``body`` of HTML."""
    return Template(read("approve.html")).substitute(body=body)


def contract(body: str) -> str:
    """Return the page of the contract around its ``body`` of HTML."""
    return Template(read("contract.html")).substitute(body=body)
