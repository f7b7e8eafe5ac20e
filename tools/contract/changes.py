"""What changed between two contracts: operations, webhooks and what goes over them."""

from collections.abc import Iterator
from typing import Any

from tools.contract.change import Change, Flow, Weight
from tools.contract.schemas import Schemas
from tools.contract.spec import METHODS, Node, Operation, operations, resolved

WORDS = ("summary", "description", "tags", "externalDocs")
JUDGED = {*WORDS, "operationId", "deprecated", "security", "parameters", "requestBody", "responses"}


def changes(base: Node, head: Node) -> list[Change]:
    """Every change from contract `base` to contract `head`, in the order of the contract."""
    return [*_about_all(base, head), *_operations(base, head)]


def _about_all(base: Node, head: Node) -> Iterator[Change]:
    """What concerns the contract as a whole. The version is judged elsewhere."""
    had, has = ({**spec.get("info", {}), "version": ""} for spec in (base, head))
    if had != has or base.get("tags") != head.get("tags"):
        yield Change("the contract", "other title, description or tags", Weight.WORDS)
    if base.get("openapi") != head.get("openapi"):
        said = f"OpenAPI was {base.get('openapi')}, is {head.get('openapi')}"
        yield Change("the contract", said, Weight.WORDS)
    servers = [{server.get("url") for server in spec.get("servers", ())} for spec in (base, head)]
    for url in sorted(servers[0] - servers[1]):
        yield Change("the contract", f"server {url} removed", Weight.BREAKING)
    for url in sorted(servers[1] - servers[0]):
        yield Change("the contract", f"server {url} added", Weight.SAFE)


def _operations(base: Node, head: Node) -> Iterator[Change]:
    old = {(one.kind, one.name, one.method): one for one in operations(base)}
    new = {(one.kind, one.name, one.method): one for one in operations(head)}
    for key, operation in old.items():
        if key in new:
            yield from _Comparison(base, head, operation, new[key]).changes()
        else:
            yield Change(operation.title, f"{_what(operation)} removed", Weight.BREAKING)
    for key, operation in new.items():
        if key not in old:
            yield Change(operation.title, f"{_what(operation)} added", Weight.SAFE)


def _what(operation: Operation) -> str:
    kind = "webhook" if operation.kind == "webhooks" else "operation"
    return f"{kind} {operation.method.upper()} {operation.name}"


class _Comparison:
    """One operation or webhook in both contracts."""

    def __init__(self, base: Node, head: Node, old: Operation, new: Operation) -> None:
        self._base, self._head = base, head
        self._old, self._new = old.definition, new.definition
        self._item_old = base[old.kind][old.name]
        self._item_new = head[new.kind][new.name]
        self._title = old.title
        self._flow = Flow.TO_AGENT if old.kind == "webhooks" else Flow.TO_NAS

    def changes(self) -> Iterator[Change]:
        yield from self._identity()
        yield from self._security()
        yield from self._parameters()
        yield from self._request()
        yield from self._answers()
        yield from self._rest()

    def _identity(self) -> Iterator[Change]:
        had, has = self._old.get("operationId"), self._new.get("operationId")
        if had != has:
            said = f"is called {has} now, which renames what is generated from it"
            yield Change(self._title, said, Weight.BREAKING)
        if bool(self._old.get("deprecated")) != bool(self._new.get("deprecated")):
            said = "deprecated" if self._new.get("deprecated") else "no longer deprecated"
            yield Change(self._title, said, Weight.SAFE)

    def _security(self) -> Iterator[Change]:
        had = _credentials(self._base, self._old)
        has = _credentials(self._head, self._new)
        for one in had:
            if one not in has:
                yield Change(self._title, f"{_named(one)} is not enough any more", Weight.BREAKING)
        for one in has:
            if one not in had:
                yield Change(self._title, f"{_named(one)} is enough now", Weight.SAFE)

    def _parameters(self) -> Iterator[Change]:
        had = _parameters(self._base, self._item_old, self._old)
        has = _parameters(self._head, self._item_new, self._new)
        for key, old in had.items():
            where = f"{self._title} {key[0]} parameter {key[1]}"
            if key not in has:
                yield Change(where, "removed", Weight.BREAKING)
            else:
                yield from self._need(old, has[key], where, self._flow)
                yield from self._schema(old, has[key], where, self._flow)
        for key in has.keys() - had.keys():
            where = f"{self._title} {key[0]} parameter {key[1]}"
            needed = bool(has[key].get("required"))
            said = "added, and required" if needed else "added"
            yield Change(where, said, self._flow.narrower if needed else Weight.SAFE)

    def _request(self) -> Iterator[Change]:
        where = f"{self._title} request"
        had, has = self._old.get("requestBody"), self._new.get("requestBody")
        if had is None and has is None:
            return
        old = resolved(self._base, had or {})
        new = resolved(self._head, has or {})
        yield from self._need(old, new, where, self._flow)
        yield from self._contents(old, new, where, self._flow)

    def _answers(self) -> Iterator[Change]:
        had, has = self._old.get("responses", {}), self._new.get("responses", {})
        flow = self._flow.back
        for status in had:
            where = f"{self._title} answer {status}"
            match = _matching(status, has)
            if match is None:
                success = status[0] in "123"
                weight = flow.narrower if flow is Flow.TO_NAS or not success else Weight.BREAKING
                yield Change(where, "removed", weight)
            else:
                yield from self._answer(had[status], has[match], where)
        for status in has.keys() - had.keys():
            where = f"{self._title} answer {status}"
            if (match := _matching(status, had)) is not None:
                yield from self._answer(had[match], has[status], where)
            else:
                # An error that is not known is still an error; a success is not recognised.
                success = status[0] in "123"
                yield Change(where, "added", flow.wider if success else Weight.SAFE)

    def _answer(self, had: Node, has: Node, where: str) -> Iterator[Change]:
        old, new = resolved(self._base, had), resolved(self._head, has)
        flow = self._flow.back
        yield from self._contents(old, new, where, flow)
        yield from self._headers(old.get("headers", {}), new.get("headers", {}), where, flow)
        if old.get("description") != new.get("description"):
            yield Change(where, "other description", Weight.WORDS)
        if old.get("links") != new.get("links"):
            yield Change(where, "other links", Weight.WORDS)

    def _headers(self, had: Node, has: Node, where: str, flow: Flow) -> Iterator[Change]:
        for name in had:
            place = f"{where} header {name}"
            if name not in has:
                yield Change(place, "removed", flow.wider)
            else:
                old, new = resolved(self._base, had[name]), resolved(self._head, has[name])
                yield from self._need(old, new, place, flow)
                yield from self._schema(old, new, place, flow)
        for name in has.keys() - had.keys():
            needed = resolved(self._head, has[name]).get("required")
            weight = flow.narrower if needed else Weight.SAFE
            yield Change(f"{where} header {name}", "added", weight)

    def _need(self, old: Node, new: Node, where: str, flow: Flow) -> Iterator[Change]:
        if bool(old.get("required")) != bool(new.get("required")):
            needed = bool(new.get("required"))
            said = "now required" if needed else "no longer required"
            yield Change(where, said, flow.narrower if needed else flow.wider)
        if old.get("description") != new.get("description"):
            yield Change(where, "other description", Weight.WORDS)

    def _contents(self, old: Node, new: Node, where: str, flow: Flow) -> Iterator[Change]:
        had, has = old.get("content", {}), new.get("content", {})
        for kind in had:
            if kind in has:
                yield from self._schema(had[kind], has[kind], where, flow)
            else:
                yield Change(where, f"{kind} removed", Weight.BREAKING)
        for kind in has.keys() - had.keys():
            yield Change(where, f"{kind} added", Weight.SAFE)

    def _schema(self, old: Node, new: Node, where: str, flow: Flow) -> Iterator[Change]:
        compare = Schemas(self._base, self._head, flow)
        yield from compare.changes(old.get("schema", {}), new.get("schema", {}), where)
        if any(old.get(key) != new.get(key) for key in ("example", "examples")):
            yield Change(where, "other examples", Weight.WORDS)

    def _rest(self) -> Iterator[Change]:
        old = {**_unjudged(self._item_old), **self._old}
        new = {**_unjudged(self._item_new), **self._new}
        for key in sorted((old.keys() | new.keys()) - JUDGED):
            if old.get(key) != new.get(key):
                said = f"{key} changed, and this tool cannot judge that"
                yield Change(self._title, said, Weight.BREAKING)
        if words := [key for key in WORDS if old.get(key) != new.get(key)]:
            yield Change(self._title, f"other {' and '.join(words)}", Weight.WORDS)


def _credentials(spec: Node, operation: Node) -> list[Any]:
    """The alternatives of credentials an operation takes, each with what it consists of."""
    schemes = spec.get("components", {}).get("securitySchemes", {})
    wanted = operation.get("security", spec.get("security", []))
    return [
        {name: (_meaning(schemes.get(name, {})), scopes) for name, scopes in one.items()}
        for one in wanted
    ]


def _meaning(scheme: Node) -> Node:
    return {key: value for key, value in scheme.items() if key != "description"}


def _named(credentials: Node) -> str:
    return " with ".join(credentials) or "no credential"


def _parameters(spec: Node, item: Node, operation: Node) -> dict[tuple[str, str], Node]:
    """An operation's parameters, those of its path included, by where and name."""
    every = [*item.get("parameters", ()), *operation.get("parameters", ())]
    found = (resolved(spec, parameter) for parameter in every)
    return {(parameter["in"], parameter["name"]): parameter for parameter in found}


def _matching(status: str, responses: Node) -> str | None:
    """Which of `responses` speaks of a status: itself, or its range."""
    for name in (status, f"{status[0]}XX", "default"):
        if name in responses:
            return name
    return None


def _unjudged(item: Node) -> Node:
    """What a path says besides its operations and parameters."""
    return {key: value for key, value in item.items() if key not in {*METHODS, "parameters"}}
