"""The little of Markdown that the contract's descriptions use, as HTML. Pure."""

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

_CODE: Final = re.compile(r"`([^`]+)`")
_BOLD: Final = re.compile(r"\*\*([^*]+)\*\*")


def inline(text: str) -> str:
    """Return a line of text as HTML: code, bold, and everything else escaped."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(
        f"<code>{escape(part)}</code>" if n % 2 else _BOLD.sub(r"<strong>\1</strong>", escape(part))
        for n, part in enumerate(parts)
    )


def blocks(text: str) -> str:
    """Return paragraphs and lists as HTML."""
    return "\n".join(_block(block) for block in re.split(r"\n\s*\n", text.strip()) if block)


def _block(block: str) -> str:
    if not block.startswith("- "):
        return f"<p>{inline(block)}</p>"
    items = "".join(f"<li>{inline(item)}</li>" for item in _items(block))
    return f"<ul>{items}</ul>"


def _items(block: str) -> Iterator[str]:
    yield from re.split(r"\n- ", block.removeprefix("- "))


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], caption: str) -> str:
    """Return a table of cells that are HTML; on a narrow screen each cell says what it is."""
    names = "".join(f'<th scope="col" role="columnheader">{escape(name)}</th>' for name in head)
    lines = "".join(f'<tr role="row">{_cells(head, row)}</tr>' for row in rows)
    return (
        f'<table role="table"><caption>{escape(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{names}</tr></thead>'
        f'<tbody role="rowgroup">{lines}</tbody></table>'
    )


def _cells(head: tuple[str, ...], row: tuple[str, ...]) -> str:
    return "".join(
        f'<td role="cell" data-label="{escape(name)}">{cell}</td>'
        for name, cell in zip(head, row, strict=True)
    )
