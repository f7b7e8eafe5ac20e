"""Every promise is linked to a test that is there."""

import re
from pathlib import Path

import pytest

from tools.docs.hooks import on_page_markdown

PAGE = Path(__file__).parents[2] / "docs" / "promises.md"
TEXT = PAGE.read_text("utf-8")
ROWS = re.findall(r"^\| (?!promise|---)(.*) \| (.*) \|$", TEXT, re.MULTILINE)
LINK = re.compile(r"\[`(\w+)`\]\(([^)]+)\)")


def test_it_is_a_page_of_promises() -> None:
    assert len(ROWS) > 10
    assert len(TEXT.splitlines()) < 60


@pytest.mark.parametrize("promise", ROWS, ids=lambda row: row[0][:40])
def test_a_promise_is_linked_to_the_tests_that_hold_it(promise: tuple[str, str]) -> None:
    _, held_by = promise
    links = LINK.findall(held_by)
    assert ", ".join(f"[`{name}`]({file})" for name, file in links) == held_by
    for name, file in links:
        source = (PAGE.parent / file).read_text("utf-8")
        assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), f"{file} has no {name}"


def test_the_site_which_has_no_sources_names_them() -> None:
    text = on_page_markdown(TEXT)
    assert "](../tests" not in text
    assert "`test_no_world_breaks_a_promise`" in text
