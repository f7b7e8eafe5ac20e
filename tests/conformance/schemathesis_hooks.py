"""What the contract says in words and its schemas cannot; schemathesis loads it as its hooks."""

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import schemathesis

from nas_conformance.runner.contract import shipped
from nas_sdk._core.instants import parse_instant

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"({_LABEL}\.)*(?=[A-Za-z])(?!0[xX]){_LABEL}\.?")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Send the key of the request itself wherever the schema is content with the key."""
    body = case.body
    if isinstance(body, dict) and shipped().complaint("ProvisionRequest", body) is None:
        body["dedup_key"] = f"{body['job_id']}:{body['fire_at']}"


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out what patterns cannot: days that no calendar has, and hosts that are none."""
    body = case.body
    if isinstance(body, dict) and _is_no_host(body.get("agent_callback_url")):
        return False
    if not isinstance(body, dict) or shipped().complaint("FireAt", body.get("fire_at")):
        return True
    try:
        parse_instant(body["fire_at"])
    except ValueError:
        return False
    return True


def _is_no_host(url: object) -> bool:
    """Whether a URL names nothing that can be called: the contract lets a NAS refuse that."""
    if not isinstance(url, str):
        return False
    host = ""
    try:
        host = urlsplit(url).hostname or ""
        ip_address(host)
    except ValueError:
        return len(host) > 253 or _NAME.fullmatch(host) is None
    return False
