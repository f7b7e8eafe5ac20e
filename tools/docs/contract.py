"""The contract as Markdown: every operation, answer, schema and credential of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tools.contract.spec import Node

TOLD = {"$ref", "description", "examples", "items", "properties", "required", "title", "type"}
"""Keywords of a schema that have a place of their own; all others are listed."""


def page(spec: Node) -> str:
    """The sections of the contract, of headings of the second level and below."""
    sections = ("paths", "What the agent asks of NAS"), ("webhooks", "What NAS asks of the agent")
    blocks: list[str] = [spec["info"]["description"]]
    for kind, title in sections:
        blocks.append(f"## {title}")
        for name, methods in spec.get(kind, {}).items():
            for method, operation in methods.items():
                blocks += _operation(spec, method, name, operation)
    blocks.append("## Credentials")
    for name, scheme in spec["components"]["securitySchemes"].items():
        blocks += [f"### {name} {{#credential-{name}}}", _credential(scheme)]
    blocks.append("## Schemas")
    for name, schema in spec["components"]["schemas"].items():
        blocks += _schema(name, schema)
    return "\n\n".join(block.strip() for block in blocks if block)


def _operation(spec: Node, method: str, name: str, operation: Node) -> Iterator[str]:
    yield f"### {operation['summary']} {{#{operation['operationId']}}}"
    credentials = {key for each in operation.get("security", spec["security"]) for key in each}
    links = ", ".join(f"[{each}](#credential-{each})" for each in sorted(credentials))
    yield f"`{method.upper()} {name}` · operation `{operation['operationId']}` · with {links}"
    yield operation["description"]
    body = _resolved(spec, operation.get("requestBody", {}))
    if body:
        yield f"The body is {_body(body)}."
    yield _table(("status", "meaning", "headers", "body"), _answers(spec, operation["responses"]))


def _answers(spec: Node, responses: Node) -> Iterator[tuple[str, ...]]:
    for status, response in responses.items():
        answer = _resolved(spec, response)
        headers = ", ".join(f"`{name}`" for name in answer.get("headers", {}))
        yield str(status), answer["description"], headers, _body(answer)


def _body(message: Node) -> str:
    content = message.get("content", {})
    return ", ".join(f"{_type(media['schema'])} as `{kind}`" for kind, media in content.items())


def _credential(scheme: Node) -> str:
    kind = " ".join(f"`{key}: {value}`" for key, value in scheme.items() if key != "description")
    return f"{scheme.get('description', '')}\n{kind}"


def _schema(name: str, schema: Node) -> Iterator[str]:
    yield f"### {name} {{#schema-{name}}}"
    yield schema.get("description", "")
    if "properties" in schema:
        yield _table(("member", "type", "required", "meaning"), _members(schema))
    else:
        yield _type(schema)
    for example in schema.get("examples", []):
        yield f"```json\n{json.dumps(example, indent=2)}\n```"


def _members(schema: Node) -> Iterator[tuple[str, ...]]:
    for name, member in schema["properties"].items():
        required = "yes" if name in schema.get("required", []) else "no"
        yield f"`{name}`", _type(member), required, member.get("description", "")


def _type(schema: Node) -> str:
    """What a value must be, in a line. Keywords this does not know are shown as they are."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        kind = f"[{name}](#schema-{name})"
    else:
        kind = str(schema.get("type", "anything"))
    if "items" in schema:
        kind += f" of {_type(schema['items'])}"
    rules = [f"`{key}: {_text(value)}`" for key, value in schema.items() if key not in TOLD]
    return ", ".join([kind, *rules])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _resolved(spec: Node, node: Node) -> Node:
    while "$ref" in node:
        target: Any = spec
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        node = target
    return node


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(' '.join(cell.split()) for cell in line)} |" for line in lines)
