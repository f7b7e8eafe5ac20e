"""Whether a gateway fires a profile's jobs itself; imported where hermes can do that."""

from __future__ import annotations

from pathlib import Path


def sidelined(home: Path) -> str:
    """Why a gateway fires a home's jobs by its own ticker; empty if it does not."""
    try:
        from hermes_cli.gateway_multiplex_mode import default_gateway_multiplexes
    except ImportError:
        from gateway.config import load_gateway_config

        is_shared, may_be = bool(getattr(load_gateway_config(), "multiplex_profiles", False)), False
    else:
        is_shared, may_be = default_gateway_multiplexes(), home.parent.name == "profiles"
    if not is_shared and not may_be:
        return ""
    from .host_gateways import why

    return why(home, is_shared=is_shared)
