"""Request bodies: bytes in, checked values out, by the contract to the letter. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from nas_sdk._core.schemas import check_optional
from nas_sdk._core.strict_json import UnreadableError, read_object
from nas_sdk._core.validation import check_fire_at, check_job_id
from nas_sdk.errors import InvalidRequestError
from nas_server.delivery import callbacks

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


@attrs.frozen
class Provision:
    """The body of a provision."""

    job_id: str
    fire_at: str
    agent_callback_url: str
    dedup_key: str
    more: Mapping[str, Any]
    """The optional members of the contract that came with it."""


def parse_provision(body: bytes, *, allow_private: bool) -> Provision:
    """Read a provision; InvalidRequestError names the field that breaks the contract."""
    members = _members(body)
    job_id = check_job_id(_text(members, "job_id"))
    fire_at = check_fire_at(_text(members, "fire_at"))
    url = callbacks.check(_text(members, "agent_callback_url"), allow_private=allow_private)
    dedup_key = _check_dedup_key(_text(members, "dedup_key"), job_id, fire_at)
    more = check_optional("ProvisionRequest", members)
    return Provision(job_id, fire_at, url, dedup_key, more)


def _check_dedup_key(dedup_key: str, job_id: str, fire_at: str) -> str:
    # The client's own check advises to leave a wrong key out; in a body it is required.
    key = f"{job_id}:{fire_at}"
    if dedup_key != key:
        raise InvalidRequestError(
            f"dedup_key: is not {key!r}, the job_id and the fire_at with ':' between them",
            field="dedup_key",
        )
    return key


def parse_cancel(body: bytes) -> str:
    """Read a cancel and return the job id; InvalidRequestError names the field."""
    members = _members(body)
    check_optional("CancelRequest", members)
    return check_job_id(_text(members, "job_id"))


def parse_one_shot(body: bytes) -> tuple[str, str, str]:
    """Read which one-shot is meant: agent, job id, schedule id; InvalidRequestError."""
    members = _members(body)
    return _text(members, "agent"), _text(members, "job_id"), _text(members, "schedule_id")


def _members(body: bytes) -> dict[str, Any]:
    try:
        return read_object(body)
    except UnreadableError as error:
        raise InvalidRequestError(f"body: {error}", field="body") from None


def _text(members: dict[str, Any], name: str) -> str:
    if name not in members:
        raise InvalidRequestError(f"{name}: is missing", field=name)
    value = members[name]
    if not isinstance(value, str):
        raise InvalidRequestError(f"{name}: is not a text", field=name)
    if not value.isascii() and _SURROGATE.search(value):
        raise InvalidRequestError(f"{name}: holds half a character (a lone surrogate)", field=name)
    return value
