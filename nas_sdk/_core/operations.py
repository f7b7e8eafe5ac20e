"""The contract's operations without I/O: encode a call, decode an answer.

Requests are built by the generated code. Answers are read here and not by it, because no
body, content type or status may escape the error tree. The generated modules are imported
when first used: they cost more than the rest of this package together.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar, Unpack
from urllib.parse import urlencode

from ..errors import (
    BadRequestError,
    ContractError,
    ForbiddenError,
    IdentityRejectedError,
    NasError,
    RateLimitedError,
    ServerError,
    StatusError,
    UnauthorizedError,
    UnexpectedStatusError,
)
from .schemas import check_optional, fault, fitting, optional, required, schema
from .validation import (
    SCHEDULE_ID_MAX,
    check_callback_url,
    check_dedup_key,
    check_fire_at,
    check_job_id,
    is_instant,
    is_job_id,
)

if TYPE_CHECKING:
    from .._generated.models import ArmedOneShot, ProvisionResult
    from .._generated.options import CancelOptions, ListOptions, ProvisionOptions

T = TypeVar("T")

_log = logging.getLogger("nas_sdk")
_BY_STATUS: Mapping[int, type[StatusError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    429: RateLimitedError,
}
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_QUOTED_MAX = 300


class Call(NamedTuple, Generic[T]):
    """One operation with its arguments, ready to be sent as often as need be."""

    name: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    decode: Callable[[Any], T]
    """Makes the result of the answer's JSON value; raises ContractError."""


def provision(
    job_id: str,
    fire_at: str | datetime,
    agent_callback_url: str,
    dedup_key: str | None = None,
    **options: Unpack[ProvisionOptions],
) -> Call[ProvisionResult]:
    """Arm the job's one-shot. Raises InvalidRequestError for what the contract refuses."""
    from .._generated.api.one_shots.provision import _get_kwargs
    from .._generated.models import ProvisionRequest

    job_id, text = check_job_id(job_id), check_fire_at(fire_at)
    body = ProvisionRequest(
        job_id=job_id,
        fire_at=text,
        agent_callback_url=check_callback_url(agent_callback_url),
        dedup_key=check_dedup_key(dedup_key, job_id, text),
        **options,
    )
    return _call("provision", _get_kwargs(body=body), _provisioned, "ProvisionRequest")


def cancel(job_id: str, **options: Unpack[CancelOptions]) -> Call[None]:
    """Cancel the job's one-shot. Raises InvalidRequestError for a bad job id."""
    from .._generated.api.one_shots.cancel import _get_kwargs
    from .._generated.models import CancelRequest

    body = CancelRequest(job_id=check_job_id(job_id), **options)
    return _call("cancel", _get_kwargs(body=body), _cancelled, "CancelRequest")


def list_armed(**options: Unpack[ListOptions]) -> Call[list[ArmedOneShot]]:
    """List what the agent has armed."""
    from .._generated.api.one_shots.list_ import _get_kwargs

    return _call("list_armed", _get_kwargs(**options), _armed)


def _call(
    name: str, request: dict[str, Any], decode: Callable[[Any], T], body: str | None = None
) -> Call[T]:
    """The call of a request as the generated code builds it; `body` names its schema."""
    content = None
    if body is not None:
        check_optional(body, request["json"])
        content = json.dumps(request["json"]).encode("ascii")
    path, headers = request["url"], request.get("headers", {})
    if query := request.get("params"):
        path += f"?{urlencode(query, doseq=True)}"
    return Call(name, request["method"].upper(), path, headers, content, decode)


def _provisioned(answer: Any) -> ProvisionResult:
    from .._generated.models import ProvisionResult

    return ProvisionResult.from_dict(_members("ProvisionResult", answer))


def _cancelled(answer: Any) -> None:
    _members("CancelResult", answer)


def _armed(answer: Any) -> list[ArmedOneShot]:
    items = _object(answer).get("armed")
    if not isinstance(items, list):
        _broken("its member 'armed' is not a list")
    armed: list[ArmedOneShot] = []
    skipped: list[str] = []
    for item in items:
        try:
            armed.append(_one_shot(item))
        except ContractError as error:
            skipped.append(error.message)
    if skipped:
        _log.warning(
            "list_armed: skipped %d of %d items that break the contract; the first: %s",
            len(skipped),
            len(items),
            skipped[0],
        )
    return armed


def _one_shot(item: Any) -> ArmedOneShot:
    from .._generated.models import ArmedOneShot

    return ArmedOneShot.from_dict(_members("ArmedOneShot", item))


def _members(name: str, value: Any) -> dict[str, Any]:
    """The members that the contract's schema `name` has, of an answer or a part of one.

    Raises ContractError for a required one that is missing or wrong. An optional one that is
    wrong counts as missing: what NAS did must not get lost for the sake of it.
    """
    members = _object(value)
    found = {}
    for member, check in _checks(name):
        found[member] = given = members.get(member)
        if wrong := check(given):
            _broken(f"its member {member!r} {wrong}")
    if len(members) > len(found) and optional(name):
        found |= fitting(name, members)
    return found


@cache
def _checks(name: str) -> Sequence[tuple[str, Callable[[Any], str | None]]]:
    nodes = schema(name)["properties"]
    return [(each, _FAULTS.get(each) or partial(fault, nodes[each])) for each in required(name)]


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        _broken(f"it is not an object but {type(value).__name__}")
    return value


def _schedule_id_fault(value: Any) -> str | None:
    if not (isinstance(value, str) and 0 < len(value) <= SCHEDULE_ID_MAX):
        return "is not a name"
    # JSON can spell a lone surrogate, and nothing could print or store it.
    return "is not Unicode" if _LONE_SURROGATE.search(value) else None


_FAULTS: Mapping[str, Callable[[Any], str | None]] = {
    "job_id": lambda value: None if is_job_id(value) else "is not a job id",
    "fire_at": lambda value: None if is_instant(value) else "is not an instant",
    "schedule_id": _schedule_id_fault,
}
"""Members of every list, checked faster than by their schemas and, where that says less, better."""


def _broken(what: str) -> NoReturn:
    raise ContractError(f"the answer breaks the contract: {what}")


def decode(call: Call[T], status: int, body: bytes) -> T:
    """The result of an answer; otherwise the error that says what it was.

    `body` is the decoded body; the caller adds what only it knows (counts, response).
    """
    if status != 200:
        raise status_error(call, status, body)
    try:
        return call.decode(parse_json(body))
    except ContractError as error:
        raise ContractError(f"{call.name}: {error.message}", status=status) from None


def parse_json(body: bytes) -> Any:
    """The JSON value of a body; ContractError for everything else."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        _broken("it is not JSON" if body else "it is empty")


def status_error(call: Call[Any], status: int, body: bytes) -> NasError:
    """The error of an answer that is not a 200."""
    code, description = _oauth_error(body)
    kind = _BY_STATUS.get(status, ServerError if 500 <= status < 600 else UnexpectedStatusError)
    if kind is ForbiddenError and code == "invalid_client":
        kind = IdentityRejectedError
    detail = f" {code}" if code else ""
    detail += f": {description}" if description else ""
    return kind(
        f"{call.name}: NAS answered {status}{detail}",
        status=status,
        code=code,
        description=description,
    )


def _oauth_error(body: bytes) -> tuple[str | None, str | None]:
    """`error` and `error_description` of a body, as far as it has them."""
    try:
        members = _object(parse_json(body))
    except ContractError:
        return None, None
    return quotable(members.get("error")), quotable(members.get("error_description"))


def not_run(body: bytes) -> str | None:
    """The word of the contract for why a fire ended without a run; None when there is none."""
    try:
        members = _object(parse_json(body))
    except ContractError:
        return None
    return members["status"] if fault(schema("FireNotRun"), members) is None else None


def quotable(value: Any) -> str | None:
    """A text of the other side, made safe to print: one line, not too long."""
    if not isinstance(value, str) or not value:
        return None
    line = "".join(each if each.isprintable() else " " for each in value[:_QUOTED_MAX])
    return line if len(value) <= _QUOTED_MAX else f"{line}…"
