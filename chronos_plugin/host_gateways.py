"""Why a gateway fires jobs by its own ticker; imported when one may."""

from __future__ import annotations

import json
import os
from pathlib import Path

SIDELINED = (
    "one gateway serves every profile (gateway.multiplex_profiles), and so fires all jobs by "
    "hermes's own ticker: nothing is armed, and the machine must not stop while idle"
)
OWN_GATEWAY = (
    "this profile has a gateway of its own, which this hermes has fire the default profile's jobs, "
    "too, and so all by its own ticker: nothing is armed, and the machine must not stop while idle"
)


def why(home: Path, *, is_shared: bool) -> str:
    """Why a home's jobs are fired so; empty if they are not. `is_shared`: by one of them all."""
    if is_shared:
        return SIDELINED
    return OWN_GATEWAY if _has_own_gateway(home) else ""


def _has_own_gateway(home: Path) -> bool:
    """Whether the gateway of another profile than the default one runs.

    From 0.22.2 on a gateway ticks the default profile and its own, whatever is configured, and
    takes another scheduler for a single one only.
    """
    from gateway.status import live_gateway_pid_for_home
    from hermes_constants import get_default_hermes_root

    if home == Path(get_default_hermes_root()).resolve():
        return False
    return _is_its_gateway(home) or live_gateway_pid_for_home(home) is not None


def _is_its_gateway(home: Path) -> bool:
    """Whether this process is a home's gateway; hermes tells only when it has come up."""
    try:
        return bool(json.loads((home / "gateway.pid").read_text("utf-8-sig"))["pid"] == os.getpid())
    except (OSError, ValueError, KeyError, TypeError):
        return False
