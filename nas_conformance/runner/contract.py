"""The contract as the kit uses it: its schemas as validators, its words to point at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import attrs
import jsonschema_rs

from nas_sdk._typing import override

_METHODS = ("get", "post")


@attrs.frozen
class Clause:
    """A place in the contract: a section, and words that stand there.

    `section` is an operation id, ``info``, or a component such as ``schemas.FireAt``.
    """

    section: str
    words: str = ""

    @override
    def __str__(self) -> str:
        return f'{self.section}: "{self.words}"' if self.words else self.section


class Contract:
    """One version of the contract."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    @property
    def version(self) -> str:
        """The version of the contract itself, such as ``1.0.0``."""
        return str(self.document["info"]["version"])

    def complaint(self, schema: str, value: object) -> str | None:
        """What is wrong with a value by the schema of that name, or None.

        The value itself is not repeated: it may be long, and reports show it anyway.
        """
        if schema not in self._validators:
            whole = {
                "$ref": f"#/components/schemas/{schema}",
                "components": self.document["components"],
            }
            self._validators[schema] = jsonschema_rs.Draft202012Validator(whole, mask="it")
        for error in self._validators[schema].iter_errors(value):
            where = ".".join(str(step) for step in error.instance_path)
            return f"{where}: {error.message}" if where else error.message
        return None

    def words(self, schema: str, member: str) -> Sequence[str]:
        """The values that a member of a schema may have."""
        found: Sequence[str] = self.document["components"]["schemas"][schema]["properties"][member][
            "enum"
        ]
        return found

    def text(self, section: str) -> str:
        """All the words of a section, white space folded. KeyError when there is none."""
        return " ".join(" ".join(_scalars(self._section(section))).split())

    def _section(self, section: str) -> object:
        if section == "info":
            return self.document["info"]
        if "." in section:
            kind, name = section.split(".")
            return self.document["components"][kind][name]
        return self._operations()[section]

    def _operations(self) -> dict[str, Any]:
        paths = [*self.document["paths"].values(), *self.document["webhooks"].values()]
        found = (path[method] for path in paths for method in _METHODS if method in path)
        return {operation["operationId"]: operation for operation in found}


def _scalars(node: object, key: object = "") -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _scalars(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _scalars(value, key)
    else:
        yield f"{key}: {node}"


@cache
def shipped() -> Contract:
    """The contract this kit came with, from which the client was generated, too."""
    text = files("nas_sdk._generated").joinpath("contract.json").read_text("utf-8")
    return Contract(json.loads(text))
