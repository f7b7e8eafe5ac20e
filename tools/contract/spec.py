"""Reading a contract: its operations, its references."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")

Node = Mapping[str, Any]
"""An object of a contract."""


class UnreadableError(Exception):
    """A file that should hold a contract does not."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with a contract: where (a JSON pointer), what, and by which rule."""

    where: str
    what: str
    rule: str


@dataclass(frozen=True)
class Operation:
    """One operation or webhook of a contract."""

    kind: str
    """`paths` or `webhooks`."""
    name: str
    """The path, or the webhook's name."""
    method: str
    definition: Node = field(compare=False)

    @property
    def title(self) -> str:
        """What people call it: its operation id, or what it is at."""
        return str(self.definition.get("operationId") or f"{self.method.upper()} {self.name}")

    @property
    def pointer(self) -> str:
        """Where it is in the contract."""
        return f"#/{self.kind}/{self.name.replace('~', '~0').replace('/', '~1')}/{self.method}"


def load(path: Path) -> dict[str, Any]:
    """Read a contract. Raises UnreadableError when the file holds none."""
    try:
        return parsed(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(f"{path}: {error}") from None


def parsed(text: str, name: str) -> dict[str, Any]:
    """The contract in a text; `name` is what an UnreadableError calls it."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UnreadableError(f"{name}: {error}") from None
    if not isinstance(document, dict) or "openapi" not in document:
        raise UnreadableError(f"{name}: not an OpenAPI document")
    return document


def operations(spec: Node) -> Iterator[Operation]:
    """Every operation and webhook of a contract."""
    for kind in ("paths", "webhooks"):
        for name, item in spec.get(kind, {}).items():
            for method in METHODS:
                if method in item:
                    yield Operation(kind, name, method, item[method])


def resolved(spec: Node, node: Node) -> Node:
    """A node with its reference, if it is one, followed. Empty when that leads nowhere."""
    for _ in range(32):
        if "$ref" not in node:
            return node
        node = dig(spec, str(node["$ref"]).removeprefix("#/"))
    return {}


def dig(node: Node, pointer: str) -> Node:
    """The object at a JSON pointer below `node`. Empty when there is none."""
    for part in pointer.split("/"):
        found = node.get(part.replace("~1", "/").replace("~0", "~"))
        node = found if isinstance(found, Mapping) else {}
    return node
