"""Rules of this contract that a general linter does not know.

Every rule takes the contract and yields a Finding for each place that breaks it.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from tools.contract.spec import Finding, Node, Operation, operations, resolved

Rule = Callable[[Node], Iterator[Finding]]

ANSWERS = {
    "paths": ["2XX", "400", "401", "403", "429", "5XX"],
    "webhooks": ["2XX", "400", "401", "5XX"],
    "public": ["2XX", "429", "5XX"],
}
"""What every operation says something about; `2XX` and `5XX` stand for any of theirs.
Public ones, which ask for no credential, have nobody to refuse."""
PUBLIC = ("keySet",)
"""The operations that anyone may call: what they answer is no secret."""
BOUNDS = {"string": ("maxLength", "enum", "const", "format"), "array": ("maxItems",)}
"""One of which a schema of the type must have, or it admits anything."""
SUBSCHEMAS = ("properties", "$defs", "patternProperties")
SUBSCHEMA = ("items", "additionalProperties", "not", "contains", "propertyNames")
SUBSCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")


def findings(spec: Node) -> list[Finding]:
    """What the rules of this module have against a contract."""
    return [finding for rule in RULES for finding in rule(spec)]


def version_is_semantic(spec: Node) -> Iterator[Finding]:
    """`scripts/contract diff` reads three numbers."""
    version = str(spec.get("info", {}).get("version", ""))
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield Finding("#/info/version", f"{version!r} is not MAJOR.MINOR.PATCH", "version")


def every_answer_is_told(spec: Node) -> Iterator[Finding]:
    """An implementer must not have to guess what an error looks like."""
    for operation in operations(spec):
        told = operation.definition.get("responses", {})
        kind = "public" if operation.title in PUBLIC else operation.kind
        for wanted in ANSWERS[kind]:
            if not any(_is_of(str(status), wanted) for status in told):
                where = f"{operation.pointer}/responses"
                yield Finding(where, f"{operation.title} does not say what {wanted} is", "answers")


def errors_have_one_shape(spec: Node) -> Iterator[Finding]:
    """Clients decode every error of an API the same way."""
    shapes: dict[tuple[str, str], Operation] = {}
    for operation in operations(spec):
        for status, response in operation.definition.get("responses", {}).items():
            content = resolved(spec, response).get("content", {})
            schemas = {
                str(media.get("schema", {}).get("$ref", "its own")) for media in content.values()
            }
            for schema in schemas if str(status)[0] in "45" else ():
                shapes.setdefault((operation.kind, schema), operation)
                if len({shape for kind, shape in shapes if kind == operation.kind}) > 1:
                    where = f"{operation.pointer}/responses/{status}"
                    yield Finding(
                        where, f"an error of another shape than the others: {schema}", "errors"
                    )


def a_limit_says_when(spec: Node) -> Iterator[Finding]:
    """A 429 without `Retry-After` leaves a client guessing."""
    for operation in operations(spec):
        response = operation.definition.get("responses", {}).get("429")
        if response is not None and "Retry-After" not in resolved(spec, response).get(
            "headers", {}
        ):
            where = f"{operation.pointer}/responses/429"
            yield Finding(where, f"{operation.title}: 429 has no Retry-After header", "limits")


def everything_is_bounded(spec: Node) -> Iterator[Finding]:
    """A text or a list without a bound is an invitation to exhaust the receiver."""
    for where, schema in schemas(spec):
        wanted = BOUNDS.get(str(schema.get("type")), ())
        if wanted and not any(keyword in schema for keyword in wanted):
            yield Finding(where, f"a {schema['type']} without {wanted[0]}", "bounds")


def objects_stay_open(spec: Node) -> Iterator[Finding]:
    """Receivers ignore members they do not know, or nothing could ever be added."""
    for where, schema in schemas(spec):
        if schema.get("additionalProperties") is False or "unevaluatedProperties" in schema:
            yield Finding(where, "an object that refuses members it does not know", "open")


def instants_are_text(spec: Node) -> Iterator[Finding]:
    """Generated code would rewrite a `date-time`, and the dedup key contains its text."""
    for where, schema in schemas(spec):
        if schema.get("format") in {"date-time", "date", "time"}:
            said = f"format {schema['format']}: fire times are carried byte for byte"
            yield Finding(where, said, "instants")


def patterns_compile(spec: Node) -> Iterator[Finding]:
    """A pattern is anchored at both ends: JSON Schema searches, it does not match."""
    for where, schema in schemas(spec):
        pattern = schema.get("pattern")
        if pattern is None:
            continue
        try:
            re.compile(pattern)
        except re.error as error:
            yield Finding(f"{where}/pattern", f"not a regular expression: {error}", "patterns")
        if not (pattern.startswith("^") and pattern.endswith("$")):
            yield Finding(f"{where}/pattern", "not anchored: it also matches inside", "patterns")


def named_schemas_have_examples(spec: Node) -> Iterator[Finding]:
    """The other side builds from the examples."""
    for name, schema in spec.get("components", {}).get("schemas", {}).items():
        if not schema.get("examples"):
            yield Finding(f"#/components/schemas/{name}", "no example", "examples")


def security_is_stated(spec: Node) -> Iterator[Finding]:
    """Every operation asks for a credential that exists, and every credential is asked for."""
    schemes = spec.get("components", {}).get("securitySchemes", {})
    asked: set[str] = set()
    for operation in operations(spec):
        wanted = operation.definition.get("security", spec.get("security"))
        if (not wanted or {} in wanted) and operation.title not in PUBLIC:
            said = f"{operation.title} may be called by anyone"
            yield Finding(f"{operation.pointer}/security", said, "security")
        asked |= {name for requirement in wanted or () for name in requirement}
    for name in sorted(asked - schemes.keys()):
        yield Finding("#/security", f"the credential {name} is not defined", "security")
    for name in sorted(schemes.keys() - asked):
        yield Finding(f"#/components/securitySchemes/{name}", "nothing asks for it", "security")


RULES: tuple[Rule, ...] = (
    version_is_semantic,
    every_answer_is_told,
    errors_have_one_shape,
    a_limit_says_when,
    everything_is_bounded,
    objects_stay_open,
    instants_are_text,
    patterns_compile,
    named_schemas_have_examples,
    security_is_stated,
)


def schemas(spec: Node) -> Iterator[tuple[str, Node]]:
    """Every schema of a contract with its pointer, those inside others included."""
    return _schemas_in(spec, "#")


def _schemas_in(node: Any, where: str) -> Iterator[tuple[str, Node]]:
    """The schemas at or below anything that is not itself a schema."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from _schemas_in(item, f"{where}/{index}")
    elif isinstance(node, dict):
        for key, value in node.items():
            place = f"{where}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key == "schema":
                yield from _schemas_below(value, place)
            elif key == "schemas" and where == "#/components":
                for name, schema in value.items():
                    yield from _schemas_below(schema, f"{place}/{name}")
            elif key not in {"example", "examples"}:
                yield from _schemas_in(value, place)


def _schemas_below(schema: Any, where: str) -> Iterator[tuple[str, Node]]:
    """A schema and those inside it."""
    if not isinstance(schema, dict):
        return
    yield where, schema
    for key in SUBSCHEMAS:
        for name, below in schema.get(key, {}).items():
            yield from _schemas_below(below, f"{where}/{key}/{name}")
    for key in SUBSCHEMA:
        yield from _schemas_below(schema.get(key), f"{where}/{key}")
    for key in SUBSCHEMA_LISTS:
        for index, below in enumerate(schema.get(key, ())):
            yield from _schemas_below(below, f"{where}/{key}/{index}")


def _is_of(status: str, wanted: str) -> bool:
    return status[0] == wanted[0] if wanted.endswith("XX") else status == wanted
