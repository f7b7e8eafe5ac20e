"""The contract's schemas at run time: their members, and what they say about a value.

They are read from the packaged contract, so a member that it gains is checked, sent and handed
on by clients, test double and server without a line of its own. Pure, but for that one reading.
"""

from __future__ import annotations

import json
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from functools import cache
from typing import Any, Final

from ..errors import InvalidRequestError

Node = Mapping[str, Any]
"""A schema, or another object of the contract."""

_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": Mapping,
    "null": type(None),
}


@cache
def contract() -> Node:
    """The contract that this package was generated from."""
    data = pkgutil.get_data("nas_sdk", "_generated/contract.json")
    assert data is not None  # a loader of files has it
    document: Node = json.loads(data)
    return document


def schema(name: str) -> Node:
    """The schema of that name. Raises KeyError."""
    found: Node = contract()["components"]["schemas"][name]
    return found


def required(name: str) -> Sequence[str]:
    """The members that a value of that schema must have."""
    return tuple(schema(name).get("required", ()))


@cache
def optional(name: str) -> Mapping[str, Node]:
    """The members that a value of that schema may have, each with its own schema."""
    needed = required(name)
    members = schema(name)["properties"].items()
    return {member: node for member, node in members if member not in needed}


def check_optional(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The optional members of `name` among those given; what the schema lacks is ignored.

    Raises InvalidRequestError for a value that the contract does not allow.
    """
    found = {member: given[member] for member in optional(name) if member in given}
    for member, value in found.items():
        if wrong := fault(optional(name)[member], value):
            raise InvalidRequestError(f"{member}: {wrong}", field=member)
    return found


def fitting(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The optional members of `name` among those given whose values the contract allows."""
    return {
        member: given[member]
        for member, node in optional(name).items()
        if member in given and fault(node, given[member]) is None
    }


def fault(node: Node, value: Any) -> str | None:
    """What is wrong with a value by a schema, in words to follow its name; None for nothing."""
    return next(_faults(_resolved(node), value), None)


def _faults(node: Node, value: Any) -> Iterator[str]:
    types = node.get("type", ())
    if types and not any(
        _is(kind, value) for kind in ([types] if isinstance(types, str) else types)
    ):
        yield f"is not of type {types if isinstance(types, str) else ' or '.join(types)}"
        return
    allowed = [node["const"]] if "const" in node else node.get("enum")
    if allowed is not None and value not in allowed:
        yield f"is not {' or '.join(json.dumps(each) for each in allowed)}"
    for keyword, breaks in _LIMITS.items():
        if keyword in node and breaks(value, node[keyword]):
            yield f"breaks {keyword} {node[keyword]}"
    yield from _faults_within(node, value)


def _faults_within(node: Node, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from (f"lacks {name!r}" for name in node.get("required", ()) if name not in value)
        for name, below in node.get("properties", {}).items():
            if name in value and (wrong := fault(below, value[name])):
                yield f"has {name!r}, which {wrong}"
    if isinstance(value, list) and "items" in node:
        for position, item in enumerate(value):
            if wrong := fault(node["items"], item):
                yield f"has an item {position}, which {wrong}"
    for parts in (node[keyword] for keyword in ("anyOf", "oneOf") if keyword in node):
        if all(fault(part, value) for part in parts):
            yield "fits none of its alternatives"
    yield from (wrong for part in node.get("allOf", ()) if (wrong := fault(part, value)))


def _is(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _number(breaks: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, limit: isinstance(value, int | float) and breaks(value, limit)


def _size(kind: type[Sized], breaks: Callable[[int, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, limit: isinstance(value, kind) and breaks(len(value), limit)


_LIMITS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "minLength": _size(str, lambda size, limit: size < limit),
    "maxLength": _size(str, lambda size, limit: size > limit),
    "minItems": _size(list, lambda size, limit: size < limit),
    "maxItems": _size(list, lambda size, limit: size > limit),
    "minimum": _number(lambda value, limit: value < limit),
    "maximum": _number(lambda value, limit: value > limit),
    "exclusiveMinimum": _number(lambda value, limit: value <= limit),
    "exclusiveMaximum": _number(lambda value, limit: value >= limit),
    # Patterns of the contract are anchored; a `$` of Python would let a line feed follow.
    "pattern": lambda value, limit: isinstance(value, str) and not re.fullmatch(limit, value),
}


def _resolved(node: Node) -> Node:
    while "$ref" in node:
        beside = {key: value for key, value in node.items() if key != "$ref"}
        node = {**schema(node["$ref"].rpartition("/")[2]), **beside}
    return node
