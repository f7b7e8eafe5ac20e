"""What changed between two schemas, for data that flows one way."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from tools.contract.change import Change, Flow, Weight
from tools.contract.spec import Node, resolved

LOWER = ("minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum")
UPPER = ("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum")
OPAQUE = ("pattern", "format", "multipleOf", "uniqueItems")
"""Limits whose values cannot be compared: another value admits both less and more."""
BRANCHES = ("anyOf", "oneOf")
WORDS = ("title", "description", "example", "examples", "$comment", "externalDocs")
HANDLED = {*LOWER, *UPPER, *OPAQUE, *BRANCHES, *WORDS}
HANDLED |= {"type", "const", "enum", "required", "properties", "items", "allOf", "deprecated"}
HANDLED |= {"additionalProperties", "$ref"}
TYPES = {"string", "number", "integer", "boolean", "array", "object", "null"}


class Schemas:
    """Compares schemas of two contracts. One object for one comparison of two of them."""

    def __init__(self, base: Node, head: Node, flow: Flow) -> None:
        self._base, self._head, self._flow = base, head, flow
        self._under_way: set[tuple[str, str]] = set()

    def changes(self, base: Node, head: Node, where: str) -> Iterator[Change]:
        """The changes from schema `base` to schema `head`, `where` being their place."""
        loop = (str(base.get("$ref")), str(head.get("$ref")))
        if loop != ("None", "None") and loop in self._under_way:
            return
        self._under_way.add(loop)
        old, new = _merged(self._base, base), _merged(self._head, head)
        yield from self._values(old, new, where)
        yield from self._limits(old, new, where)
        yield from self._members(old, new, where)
        yield from self._below(old, new, where)
        yield from self._rest(old, new, where)
        self._under_way.discard(loop)

    def _values(self, old: Node, new: Node, where: str) -> Iterator[Change]:
        yield from self._sets(_types(old), _types(new), "type", where)
        had, has = _allowed(old), _allowed(new)
        if had is None or has is None:
            if had is not None:
                yield Change(where, "any value is allowed now", self._flow.wider)
            elif has is not None:
                said = f"only {_list(has)} {'is' if len(has) == 1 else 'are'} allowed now"
                yield Change(where, said, self._flow.narrower)
        else:
            yield from self._sets(had, has, "value", where)

    def _sets(self, had: set[str], has: set[str], noun: str, where: str) -> Iterator[Change]:
        if gone := had - has:
            yield Change(where, f"{noun} {_list(gone)} no longer allowed", self._flow.narrower)
        if come := has - had:
            yield Change(where, f"{noun} {_list(come)} allowed now", self._flow.wider)

    def _limits(self, old: Node, new: Node, where: str) -> Iterator[Change]:
        for keyword, none, sign in _BOUNDS:
            had, has = old.get(keyword, none), new.get(keyword, none)
            if had != has:
                weight = self._flow.narrower if (has - had) * sign > 0 else self._flow.wider
                yield Change(where, f"{keyword} was {_bound(had)}, is {_bound(has)}", weight)
        for keyword in OPAQUE:
            if old.get(keyword) != new.get(keyword):
                yield self._opaque(keyword, old.get(keyword), new.get(keyword), where)

    def _opaque(self, keyword: str, had: Any, has: Any, where: str) -> Change:
        if not had:
            return Change(where, f"{keyword} {has} added", self._flow.narrower)
        if not has:
            return Change(where, f"{keyword} {had} removed", self._flow.wider)
        return Change(where, f"{keyword} was {had}, is {has}", Weight.BREAKING)

    def _members(self, old: Node, new: Node, where: str) -> Iterator[Change]:
        had, has = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(needs - needed):
            if name in had or self._flow is Flow.TO_NAS:
                yield Change(_in(where, name), "now required", self._flow.narrower)
        for name in sorted((needed - needs) & has.keys()):
            yield Change(_in(where, name), "no longer required", self._flow.wider)
        for name in sorted(had.keys() - has.keys()):
            yield Change(_in(where, name), "removed", Weight.BREAKING)
        for name in sorted(has.keys() - had.keys()):
            yield Change(_in(where, name), "added", Weight.SAFE)
        for name in sorted(had.keys() & has.keys()):
            yield from self.changes(had[name], has[name], _in(where, name))

    def _below(self, old: Node, new: Node, where: str) -> Iterator[Change]:
        if "items" in old or "items" in new:
            yield from self.changes(old.get("items", {}), new.get("items", {}), f"{where}[]")
        for index, (one, other) in enumerate(_pairs(old.get("allOf"), new.get("allOf"))):
            yield from self.changes(one or {}, other or {}, f"{where} (part {index + 1})")
        for keyword in BRANCHES:
            if keyword in old or keyword in new:
                yield from self._alternatives(keyword, old, new, where)
        yield from self._others(old, new, where)

    def _alternatives(self, keyword: str, old: Node, new: Node, where: str) -> Iterator[Change]:
        # Without alternatives everything is admitted, as by one that says nothing.
        pairs = _pairs(old.get(keyword, [{}]), new.get(keyword, [{}]))
        for index, (one, other) in enumerate(pairs):
            place = f"{where} (alternative {index + 1})"
            if one is None:
                yield Change(place, "added", self._flow.wider)
            elif other is None:
                yield Change(place, "removed", self._flow.narrower)
            else:
                yield from self.changes(one, other, place)

    def _others(self, old: Node, new: Node, where: str) -> Iterator[Change]:
        had, has = (schema.get("additionalProperties", True) for schema in (old, new))
        if isinstance(had, Mapping) and isinstance(has, Mapping):
            yield from self.changes(had, has, _in(where, "*"))
        elif had != has and has is True:
            yield Change(where, "any other member is allowed now", self._flow.wider)
        elif had != has:
            yield Change(where, "other members are restricted now", self._flow.narrower)

    def _rest(self, old: Node, new: Node, where: str) -> Iterator[Change]:
        if bool(old.get("deprecated")) != bool(new.get("deprecated")):
            said = "deprecated" if new.get("deprecated") else "no longer deprecated"
            yield Change(where, said, Weight.SAFE)
        for keyword in sorted((old.keys() | new.keys()) - HANDLED):
            if old.get(keyword) != new.get(keyword):
                said = f"{keyword} changed, and this tool cannot judge that"
                yield Change(where, said, Weight.BREAKING)
        if words := [keyword for keyword in WORDS if old.get(keyword) != new.get(keyword)]:
            yield Change(where, f"other {' and '.join(words)}", Weight.WORDS)


_BOUNDS = [(keyword, -math.inf, 1) for keyword in LOWER]
_BOUNDS += [(keyword, math.inf, -1) for keyword in UPPER]


def _merged(spec: Node, schema: Node) -> Node:
    """A schema with its reference followed and what stands beside the reference kept."""
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**resolved(spec, schema), **beside}


def _types(schema: Node) -> set[str]:
    said = schema.get("type", sorted(TYPES))
    types = {said} if isinstance(said, str) else set(said)
    return types | {"integer"} if "number" in types else types


def _allowed(schema: Node) -> set[str] | None:
    """The values a schema lists, as text; None when it lists none and so allows any."""
    if "const" in schema:
        return {repr(schema["const"])}
    return {repr(value) for value in schema["enum"]} if "enum" in schema else None


def _pairs(old: Any, new: Any) -> list[tuple[Any, Any]]:
    had, has = list(old or ()), list(new or ())
    length = max(len(had), len(has))
    return list(zip(_padded(had, length), _padded(has, length), strict=True))


def _padded(items: list[Any], length: int) -> list[Any]:
    return items + [None] * (length - len(items))


def _in(where: str, name: str) -> str:
    return f"{where}.{name}" if ": " in where else f"{where}: {name}"


def _bound(value: float) -> str:
    return "none" if math.isinf(value) else str(value)


def _list(values: set[str]) -> str:
    return ", ".join(sorted(values))
