"""What the contract says in words and its schemas cannot; schemathesis loads it as its hooks."""

from typing import Any

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
    """Leave out days that the calendar does not have: the pattern of FireAt has them."""
    body = case.body
    if not isinstance(body, dict) or shipped().complaint("FireAt", body.get("fire_at")):
        return True
    try:
        parse_instant(body["fire_at"])
    except ValueError:
        return False
    return True
