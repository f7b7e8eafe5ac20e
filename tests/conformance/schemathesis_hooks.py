"""What the contract says in words and its schemas cannot; schemathesis loads it as its hooks."""

from typing import Any
from urllib.parse import urlsplit

import schemathesis

from nas_conformance.runner.contract import shipped
from nas_sdk._core.instants import parse_instant


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Send the key of the request itself wherever the schema is content with the key."""
    body = case.body
    if isinstance(body, dict) and shipped().complaint("ProvisionRequest", body) is None:
        body["dedup_key"] = f"{body['job_id']}:{body['fire_at']}"


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out what patterns cannot: days that no calendar has, and names too long for DNS."""
    body = case.body
    if isinstance(body, dict) and _is_host_too_long(body.get("agent_callback_url")):
        return False
    if not isinstance(body, dict) or shipped().complaint("FireAt", body.get("fire_at")):
        return True
    try:
        parse_instant(body["fire_at"])
    except ValueError:
        return False
    return True


def _is_host_too_long(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        return len(urlsplit(url).hostname or "") > 253
    except ValueError:
        return False
