"""The contract as HTML, from the copy that is packaged with the SDK."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

from nas_server.page.markup import blocks, inline, table

Node = dict[str, Any]
TOLD: Final = {
    "$ref",
    "description",
    "examples",
    "items",
    "properties",
    "required",
    "title",
    "type",
}
"""Keywords of a schema that have a place of their own; all others are listed."""


@cache
def contract_html() -> str:
    """Return the body of the page: operations, credentials and schemas."""
    text = files("nas_sdk._generated").joinpath("contract.json").read_text("utf-8")
    return render(json.loads(text))


def render(spec: Node) -> str:
    """Return an OpenAPI document as HTML; nothing in it is taken for markup."""
    return "\n".join(_parts(spec))


def _parts(spec: Node) -> Iterator[str]:
    info = spec["info"]
    yield f"<h2>{escape(info['title'])} {escape(info['version'])}</h2>"
    yield blocks(info["description"])
    sections = ("paths", "What the agent asks of NAS"), ("webhooks", "What NAS asks of the agent")
    for kind, title in sections:
        yield f"<h2>{title}</h2>"
        for name, methods in spec[kind].items():
            for method, operation in methods.items():
                call = f"{method.upper()} {name}"
                anchor, title = operation["operationId"], operation["summary"]
                yield from _folded(anchor, title, _operation(spec, call, operation))
    yield "<h2>Credentials</h2>"
    for name, scheme in spec["components"]["securitySchemes"].items():
        yield from _folded(f"credential-{name}", name, [blocks(scheme.get("description", ""))])
    yield "<h2>Schemas</h2>"
    for name, schema in spec["components"]["schemas"].items():
        yield from _folded(f"schema-{name}", name, _schema(name, schema))


def _folded(anchor: str, title: str, content: Iterable[str]) -> Iterator[str]:
    """A part that opens: a link leads into it, for browsers open what a link leads into."""
    yield f"<details><summary><h3>{escape(title)}</h3></summary>"
    yield f'<div id="{escape(anchor)}">'
    yield from content
    yield "</div></details>"


def _operation(spec: Node, call: str, operation: Node) -> Iterator[str]:
    name = operation["operationId"]
    yield f"<p><code>{escape(call)}</code></p>"
    yield blocks(operation["description"])
    if "requestBody" in operation:
        yield f"<p>The body is {_body(_resolved(spec, operation['requestBody']))}.</p>"
    rows = []
    for status, response in operation["responses"].items():
        answer = _resolved(spec, response)
        rows.append((escape(str(status)), inline(answer["description"]), _body(answer)))
    yield table(("Status", "Meaning", "Body"), rows, f"Answers to {name}")


def _body(message: Node) -> str:
    return ", ".join(_type(media["schema"]) for media in message.get("content", {}).values())


def _schema(name: str, schema: Node) -> Iterator[str]:
    yield blocks(schema.get("description", ""))
    if "properties" not in schema:
        yield f"<p>{_type(schema)}</p>"
        return
    required = schema.get("required", [])
    rows = [
        (
            f"<code>{escape(member)}</code>",
            _type(rules),
            "yes" if member in required else "no",
            inline(rules.get("description", "")),
        )
        for member, rules in schema["properties"].items()
    ]
    yield table(("Member", "Type", "Required", "Meaning"), rows, f"Members of {name}")


def _type(schema: Node) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        kind = f'<a href="#schema-{name}">{name}</a>'
    else:
        kind = escape(str(schema.get("type", "anything")))
    if "items" in schema:
        kind += f" of {_type(schema['items'])}"
    rules = [
        f"<code>{escape(f'{key}: {json.dumps(value)}')}</code>"
        for key, value in schema.items()
        if key not in TOLD
    ]
    return ", ".join([kind, *rules])


def _resolved(spec: Node, node: Node) -> Node:
    while "$ref" in node:
        target: Any = spec
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        node = target
    return node
