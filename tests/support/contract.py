"""The contract as a judge of exchanges.

`Contract.violations` says how an exchange breaks it. What goes over HTTP (path, method,
credentials, content types, statuses, headers) is judged by openapi-core, once for each
distinct combination; bodies are judged by their schemas, every one of them.
"""

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.deserializing.exceptions import DeserializeError
from openapi_core.validation.request.exceptions import RequestBodyValidationError
from openapi_core.validation.response.exceptions import DataValidationError
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from werkzeug.datastructures import Headers, ImmutableMultiDict

from tests.support.exchange import Exchange
from tools.contract.spec import Operation, dig, load, operations, resolved

SPEC = Path(__file__).resolve().parents[2] / "openapi" / "nas-agent-cron.yaml"
FIRE_PATH = "/api/cron/fire"
"""What NAS appends to an agent's own base URL; the contract says so in words only."""
SHOWN = 300
"""Characters of a body that a message quotes."""


@dataclass
class Violations:
    """How an exchange breaks the contract, in words, by the side that breaks it."""

    request: list[str] = field(default_factory=list)
    response: list[str] = field(default_factory=list)


class Contract:
    """One version of the contract, ready to judge. Build it once; it is slow to build."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._spec = spec
        # Any host may serve it: what is looked up is the path alone.
        self._judge = OpenAPI.from_dict({**spec, "servers": [{"url": "/"}]})
        self._judged: dict[object, list[str]] = {}
        self._schemas: dict[str, OAS31Validator] = {}

    def covers(self, exchange: Exchange) -> bool:
        """Whether the exchange is one the contract speaks of."""
        path = urlsplit(exchange.url).path
        if path.endswith(FIRE_PATH):
            return exchange.method.upper() == "POST"
        return any(posixpath.dirname(path).endswith(folder) for folder in self._folders)

    def violations(self, exchange: Exchange) -> Violations:
        """How the exchange breaks the contract; nothing when it keeps it."""
        found = Violations()
        operation = self._operation(exchange)
        if operation is None:
            found.request.append("no operation of the contract has this method and path")
            return found
        request = _Request(exchange, operation)
        found.request += self._about_request(operation, request)
        found.request += self._about_body(
            operation, "requestBody", exchange.request_headers, exchange.request_body
        )
        if exchange.status is not None and not exchange.faulty:
            response = _Response(exchange)
            found.response += self._about_response(operation, request, response)
            found.response += self._about_answer(operation, exchange)
        return found

    @cached_property
    def _folders(self) -> set[str]:
        # `/.well-known` is everybody's: keys are fetched from other issuers, too.
        paths = (path for path in self._spec["paths"] if not path.startswith("/.well-known/"))
        return {posixpath.dirname(path) for path in paths}

    @cached_property
    def _headers(self) -> set[str]:
        """Every header name that some response of the contract speaks of, in lower case."""
        responses = [
            resolved(self._spec, response)
            for operation in operations(self._spec)
            for response in operation.definition["responses"].values()
        ]
        return {name.lower() for response in responses for name in response.get("headers", {})}

    def _operation(self, exchange: Exchange) -> Operation | None:
        path = urlsplit(exchange.url).path
        for operation in operations(self._spec):
            name = FIRE_PATH if operation.kind == "webhooks" else operation.name
            if operation.method == exchange.method.lower() and path.endswith(name):
                return operation
        return None

    def _about_request(self, operation: Operation, request: "_Request") -> list[str]:
        about = (operation, request.key)
        if about not in self._judged:
            validator = (
                self._judge.webhook_request_validator
                if operation.kind == "webhooks"
                else self._judge.request_validator
            )
            self._judged[about] = _words(validator.iter_errors(request))
        return self._judged[about]

    def _about_response(
        self, operation: Operation, request: "_Request", response: "_Response"
    ) -> list[str]:
        declared = {k: v for k, v in response.headers.items() if k.lower() in self._headers}
        about = (operation, response.key, tuple(sorted(declared.items())))
        if about not in self._judged:
            validator = (
                self._judge.webhook_response_validator
                if operation.kind == "webhooks"
                else self._judge.response_validator
            )
            self._judged[about] = _words(validator.iter_errors(request, response))
        return self._judged[about]

    def _about_answer(self, operation: Operation, exchange: Exchange) -> list[str]:
        status = str(exchange.status)
        for name in (status, f"{status[0]}XX", "default"):
            if name in operation.definition["responses"]:
                where = f"responses/{name}"
                return self._about_body(
                    operation, where, exchange.response_headers, exchange.response_body
                )
        return []

    def _about_body(
        self, operation: Operation, where: str, headers: Mapping[str, str], body: bytes | None
    ) -> list[str]:
        kind = _media_type(headers)
        holder = resolved(self._spec, dig(operation.definition, where))
        if body is None or not body or kind not in holder.get("content", {}):
            return []
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return [f"the body is not JSON: {_short(body)}"]
        schema = holder["content"][kind]["schema"]
        errors = self._validator(schema).iter_errors(document)
        return [f"{error.json_path}: {error.message[:SHOWN]}" for error in errors]

    def _validator(self, schema: Mapping[str, Any]) -> OAS31Validator:
        key = str(schema)
        if key not in self._schemas:
            self._schemas[key] = OAS31Validator(
                inlined(self._spec, schema), format_checker=oas31_format_checker
            )
        return self._schemas[key]


class _Request:
    """An exchange's request as openapi-core wants it, for an operation and a webhook alike."""

    host_url = ""

    def __init__(self, exchange: Exchange, operation: Operation) -> None:
        url = urlsplit(exchange.url)
        self.path = self.name = operation.name
        self.method = operation.method
        # A body that was not seen whole is taken for a good one.
        self.body = b"{}" if exchange.request_body is None else exchange.request_body or None
        self.content_type = _media_type(exchange.request_headers)
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(parse_qsl(url.query)),
            header=Headers(list(exchange.request_headers.items())),
        )
        scheme = exchange.request_headers.get("authorization", "").split(" ")[0]
        self.key = (url.query, scheme.lower(), self.content_type, self.body is None)


class _Response:
    """An exchange's response as openapi-core wants it."""

    def __init__(self, exchange: Exchange) -> None:
        self.status_code = int(exchange.status or 0)
        self.headers = Headers(list(exchange.response_headers.items()))
        self.content_type = _media_type(exchange.response_headers)
        self.data = b"{}" if exchange.response_body is None else exchange.response_body
        self.key = (self.status_code, self.content_type, not self.data)


@cache
def the_contract() -> Contract:
    """The contract of this checkout, built once a process."""
    return Contract(load(SPEC))


def inlined(spec: Mapping[str, Any], node: Any) -> Any:
    """A node with every reference below it replaced by what it names: quicker to judge by."""
    if isinstance(node, dict):
        return {key: inlined(spec, value) for key, value in resolved(spec, node).items()}
    return [inlined(spec, item) for item in node] if isinstance(node, list) else node


def describe(exchange: Exchange, violations: Violations) -> str:
    """Some lines for the person whose test went red."""
    answer = exchange.status if exchange.status is not None else "no answer"
    lines = [f"{exchange.method} {exchange.url} -> {answer} (seen by {exchange.seen_by})"]
    for side in ("request", "response"):
        problems: list[str] = getattr(violations, side)
        lines += [f"  {side}: {problem}" for problem in problems]
        if problems:
            body: bytes | None = getattr(exchange, f"{side}_body")
            lines.append(f"  {side} body was: {_short(body)}")
    return "\n".join(lines)


def _words(errors: Iterator[Exception]) -> list[str]:
    """openapi-core's findings, without those about a body's content: schemas say them better."""
    try:
        return [_reason(error) for error in errors if not _about_content(error)]
    except RecursionError:  # of its JSON parser; `_about_body` tells that
        return []


def _about_content(error: Exception) -> bool:
    return isinstance(error, RequestBodyValidationError | DataValidationError) and isinstance(
        error.__cause__, InvalidSchemaValue | DeserializeError
    )


def _reason(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(cause, InvalidSchemaValue):
        details = "; ".join(str(found).splitlines()[0] for found in cause.schema_errors)
        return f"{getattr(error, 'name', 'value')}: {details}"
    return str(cause or error)


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").split(";")[0].strip().lower()


def _short(body: bytes | None) -> str:
    if body is None:
        return "(not seen whole)"
    text = body.decode(errors="replace")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(body)} bytes)"
