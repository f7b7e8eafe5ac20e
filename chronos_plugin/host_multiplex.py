"""Whether one gateway serves all profiles; imported where hermes can do that."""

from __future__ import annotations

SIDELINED = (
    "one gateway serves every profile (gateway.multiplex_profiles), and so fires all jobs by "
    "hermes's own ticker: nothing is armed, and the machine must not stop while idle"
)


def sidelined() -> str:
    """Why one gateway fires all jobs by its own ticker; empty if it does not."""
    try:
        from hermes_cli.gateway_multiplex_mode import default_gateway_multiplexes as serves_all
    except ImportError:
        from gateway.config import load_gateway_config

        def serves_all() -> bool:
            return bool(getattr(load_gateway_config(), "multiplex_profiles", False))

    return SIDELINED if serves_all() else ""
