"""The site has every page, every public name and all of the contract. `scripts/docs` builds it."""

from __future__ import annotations

import copy
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.contract import spec
from tools.docs.contract import page
from tools.docs.docstrings import listed
from tools.docs.hooks import MARK, on_page_markdown

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONTRACT = spec.load(ROOT / "openapi" / "nas-agent-cron.yaml")


def in_nav(entries: list[Any]) -> list[str]:
    """The files of a navigation, however deep they are."""
    found: list[str] = []
    for entry in entries:
        inner = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += in_nav(inner) if isinstance(inner, list) else [inner]
    return found


def described() -> list[str]:
    """The names that the reference shows, each by its full path."""
    pages = (file.read_text("utf-8") for file in sorted((DOCS / "reference").glob("*.md")))
    return [name for text in pages for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)]


def test_every_page_is_in_the_navigation_once() -> None:
    nav = in_nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    assert sorted(nav) == sorted(str(file.relative_to(DOCS)) for file in DOCS.rglob("*.md"))


def test_no_name_is_described_twice() -> None:
    assert len(described()) == len(set(described()))


@pytest.mark.parametrize("module", ["", ".reconcile", ".testing", ".webhooks"])
def test_every_public_name_is_in_the_reference(module: str) -> None:
    path = f"nas_sdk{module}"
    names = set(import_module(path).__all__) - {"__version__"}
    told = {name.rpartition(".")[2] for name in described() if name.startswith("nas_sdk.")}
    assert names <= told


def test_what_the_reference_describes_is_there() -> None:
    for name in described():
        module, _, attribute = name.rpartition(".")
        assert hasattr(import_module(module), attribute), name


def test_the_contract_is_on_its_page_in_full() -> None:
    text = on_page_markdown((DOCS / "contract.md").read_text("utf-8"))
    assert MARK not in text
    operations = [each for kind in ("paths", "webhooks") for each in CONTRACT[kind].values()]
    names = [operation["operationId"] for each in operations for operation in each.values()]
    names += [f"schema-{name}" for name in CONTRACT["components"]["schemas"]]
    names += [f"credential-{name}" for name in CONTRACT["components"]["securitySchemes"]]
    anchors = re.findall(r"^### .* \{#(\S+)\}$", text, re.MULTILINE)
    assert sorted(anchors) == sorted(names)
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= set(anchors)


def test_a_change_of_the_contract_shows() -> None:
    changed = copy.deepcopy(CONTRACT)
    members = changed["components"]["schemas"]["ProvisionRequest"]["properties"]
    members["priority"] = {"type": "integer", "maximum": 9, "description": "How\nurgent."}
    answers = changed["paths"]["/api/agent-cron/list"]["get"]["responses"]
    answers["418"] = {"description": "Short and stout."}
    new = set(page(changed).splitlines()) - set(page(CONTRACT).splitlines())
    assert new == {
        "| `priority` | integer, `maximum: 9` | no | How urgent. |",
        "| 418 | Short and stout. |  |  |",
    }


def test_a_page_without_the_mark_stays_as_it_is() -> None:
    assert on_page_markdown("# A page\n") == "# A page\n"


def test_explained_arguments_become_a_list() -> None:
    docstring = "Do it.\n\na, b: two of them, which\n    go on.\nc: one.\nNote: nothing.\n"
    assert listed(docstring, {"a", "b", "c"}) == (
        "Do it.\n\n- `a`, `b`: two of them, which\n    go on.\n- `c`: one.\nNote: nothing.\n"
    )
