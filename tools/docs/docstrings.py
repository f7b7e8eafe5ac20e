"""Shows the arguments that a docstring explains as a list.

Docstrings here explain arguments a line each, `name: what it is`, under a paragraph of
their own. As Markdown that would run together into one.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

EXPLAINED = re.compile(r"(\w+(?:, \w+)*): ")


class Arguments(griffe.Extension):
    """Run by mkdocstrings on everything it shows."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Rewrite the docstring of a function that has one."""
        if func.docstring:
            names = {parameter.name.lstrip("*") for parameter in func.parameters}
            func.docstring.value = listed(func.docstring.value, names)


def listed(docstring: str, names: set[str]) -> str:
    """The docstring with a list item for every line that explains some of `names`."""
    lines = []
    for line in docstring.split("\n"):
        found = EXPLAINED.match(line)
        if found and names.issuperset(found[1].split(", ")):
            shown = ", ".join(f"`{name}`" for name in found[1].split(", "))
            line = f"- {shown}: {line[found.end() :]}"
        lines.append(line)
    return "\n".join(lines)
